"""A small real gateway for the pages' tests.

What it guarantees: it is an HTTP server on a free port; every answer and every error is built with the
classes of `shared.schemas`, so none can drift from what the real gateway sends; it requires the form fields and bodies
that the schemas require; it remembers what it was asked. What it does not do: read faces or train. The end-to-end tests
drive the real gateway.
"""

from dataclasses import dataclass, field

from flask import Flask, Response, request
from pydantic import BaseModel
from werkzeug.serving import WSGIRequestHandler

from shared.schemas import (
    DatasetList,
    ErrorAnswer,
    ErrorDetail,
    Health,
    Job,
    JobList,
    JobLog,
    JobRequest,
    JobState,
    MetricList,
    MetricRow,
    ModelList,
    PredictAnswer,
)

from .answers import a_data_set, a_model, a_prediction


@dataclass
class SmallGateway:
    """What the server answers, and what it was asked; tests change the first and read the second."""

    url: str = ""
    health: Health = field(default_factory=lambda: Health(status="ok"))
    prediction: PredictAnswer = field(default_factory=a_prediction)
    refusal: tuple[int, str] | None = None
    datasets: DatasetList = field(default_factory=lambda: DatasetList(datasets=[a_data_set()], folder="data"))
    models: ModelList = field(default_factory=lambda: ModelList(models=[a_model()], active={}))
    jobs: dict[str, Job] = field(default_factory=dict)
    rows: list[MetricRow] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    predictions_asked: list[dict[str, str]] = field(default_factory=list)
    jobs_asked: list[JobRequest] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    def count(self, call: str) -> int:
        """Return how often a call such as "POST /v1/jobs" was made."""
        return self.calls.count(call)


def _answer(content: BaseModel, status: int = 200) -> Response:
    return Response(content.model_dump_json(), status, mimetype="application/json")


def _error(status: int, message: str) -> Response:
    return _answer(ErrorAnswer(error=ErrorDetail(code="refused", message=message), request_id="test"), status)


def make_app(gateway: SmallGateway) -> Flask:
    """Return the application that answers with what `gateway` holds."""
    app = Flask(__name__)

    @app.before_request
    def remember() -> Response | None:
        gateway.calls.append(f"{request.method} {request.path}")
        refused = gateway.refusal if request.path != "/readyz" else None
        return _error(*refused) if refused else None

    @app.get("/readyz")
    def readyz() -> Response:
        return _answer(gateway.health, 200 if gateway.health.status == "ok" else 503)

    @app.post("/v1/predictions")
    def predictions() -> Response:
        gateway.predictions_asked.append({**request.form, "bytes": str(len(request.files["images"].read()))})
        return _answer(gateway.prediction)

    @app.get("/v1/datasets")
    def datasets() -> Response:
        return _answer(gateway.datasets)

    @app.get("/v1/models")
    def models() -> Response:
        return _answer(gateway.models)

    _add_jobs(app, gateway)
    return app


def _add_jobs(app: Flask, gateway: SmallGateway) -> None:
    @app.get("/v1/jobs")
    def jobs() -> Response:
        return _answer(JobList(jobs=list(gateway.jobs.values())))

    @app.post("/v1/jobs")
    def start() -> Response:
        asked = JobRequest.model_validate_json(request.data)
        gateway.jobs_asked.append(asked)
        job = Job(id="new-job", request=asked, state=JobState.QUEUED, created="2026-11-23T10:00:00+00:00")
        gateway.jobs[job.id] = job
        return _answer(job, 201)

    @app.get("/v1/jobs/<job_id>")
    def job(job_id: str) -> Response:
        known = gateway.jobs.get(job_id)
        return _answer(known) if known else _error(404, f"There is no job '{job_id}'.")

    @app.get("/v1/jobs/<job_id>/metrics")
    def metrics(job_id: str) -> Response:
        return _answer(MetricList(rows=gateway.rows))

    @app.get("/v1/jobs/<job_id>/log")
    def log(job_id: str) -> Response:
        return _answer(JobLog(lines=gateway.log))

    @app.post("/v1/jobs/<job_id>/<any(cancel, resume):what>")
    def change(job_id: str, what: str) -> Response:
        state = JobState.CANCELLED if what == "cancel" else JobState.QUEUED
        gateway.jobs[job_id] = gateway.jobs[job_id].model_copy(update={"state": state})
        return _answer(gateway.jobs[job_id])


class Quiet(WSGIRequestHandler):
    """Handles requests without printing them."""

    def log(self, type: str, message: str, *args: object) -> None:
        """Print nothing."""
