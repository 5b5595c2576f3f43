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

from shared.model_folder import Card
from shared.schemas.datasets import DatasetList
from shared.schemas.jobs import Deleted, Job, JobList, JobLog, JobRequest, JobState, MetricList, MetricRow
from shared.schemas.models import ModelChange, ModelHistory, ModelList, PromoteRequest, RollBackRequest
from shared.schemas.predictions import PredictAnswer
from shared.schemas.wire import ErrorAnswer, ErrorDetail, Health
from shared.study import StudyResult
from shared.study_mistakes import MistakeList, MistakesQuery

from .answers import a_card, a_data_set, a_model, a_prediction


@dataclass
class SmallGateway:
    """What the server answers, and what it was asked; tests change the first and read the second."""

    url: str = ""
    health: Health = field(default_factory=lambda: Health(status="ok"))
    prediction: PredictAnswer = field(default_factory=a_prediction)
    refusal: tuple[int, str] | None = None
    change_refusal: tuple[int, str] | None = None  # of what changes something, after its key was looked at
    keys: dict[str, bool] | None = None  # key to whether it may change something; None: nobody needs one
    datasets: DatasetList = field(default_factory=lambda: DatasetList(datasets=[a_data_set()], folder="data"))
    models: ModelList = field(default_factory=lambda: ModelList(models=[a_model()], active={}))
    card: Card = field(default_factory=lambda: a_card())
    history: list[ModelChange] = field(default_factory=list)
    changes_asked: list[tuple[str, PromoteRequest | RollBackRequest | None]] = field(default_factory=list)
    study: StudyResult | None = None
    studies_sent: int = 0
    mistakes: MistakeList | None = None
    mistakes_asked: list[MistakesQuery] = field(default_factory=list)
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


def _error(status: int, message: str, code: str = "refused") -> Response:
    return _answer(ErrorAnswer(error=ErrorDetail(code=code, message=message), request_id="test"), status)


def _key_refusal(keys: dict[str, bool]) -> Response | None:
    """Return the refusal of a request without a key that may change something; None if it has one."""
    sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not sent:
        return _error(401, "This needs a key; send it as the header 'Authorization: Bearer hf_...'.", "key_missing")
    if sent not in keys:
        return _error(401, "This key is not known: it was mistyped or revoked.", "key_unknown")
    return None if keys[sent] else _error(403, "The key 'guest' has the role predict.", "key_role")


def make_app(gateway: SmallGateway) -> Flask:
    """Return the application that answers with what `gateway` holds."""
    app = Flask(__name__)

    @app.before_request
    def remember() -> Response | None:
        gateway.calls.append(f"{request.method} {request.path}")
        refused = gateway.refusal if request.path != "/readyz" else None
        if refused:
            return _error(*refused)
        if request.method == "GET":
            return None
        closed = _key_refusal(gateway.keys) if gateway.keys is not None else None
        return closed or (_error(*gateway.change_refusal) if gateway.change_refusal else None)

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

    @app.get("/v1/study")
    def study() -> Response:
        if gateway.study is None:
            return _error(404, "There is no study yet.", "study_not_found")
        if request.if_none_match.contains("one"):
            return Response(status=304)
        gateway.studies_sent += 1
        response = _answer(gateway.study)
        response.set_etag("one")
        return response

    _add_mistakes(app, gateway)
    _add_models(app, gateway)
    _add_jobs(app, gateway)
    return app


def _add_mistakes(app: Flask, gateway: SmallGateway) -> None:
    @app.get("/v1/study/mistakes")
    def mistakes() -> Response:
        if gateway.mistakes is None:
            return _error(404, "The images are not here: put FER2013 into data/.", "study_data_not_found")
        gateway.mistakes_asked.append(MistakesQuery.model_validate(request.args.to_dict()))
        return _answer(gateway.mistakes)

    @app.get("/v1/study/images/<image_id>")
    def image(image_id: str) -> Response:
        return Response(f"png of {image_id}", mimetype="image/png")


def _add_models(app: Flask, gateway: SmallGateway) -> None:
    @app.get("/v1/models")
    def models() -> Response:
        shown = [model for model in gateway.models.models if not model.archived or request.args.get("archived")]
        return _answer(gateway.models.model_copy(update={"models": shown}))

    @app.get("/v1/models/history")
    def history() -> Response:
        return _answer(ModelHistory(changes=gateway.history))

    @app.get("/v1/models/<name>/<version>")
    def card(name: str, version: str) -> Response:
        return _answer(gateway.card)

    @app.post("/v1/models/<name>/<version>/promote")
    def promote(name: str, version: str) -> Response:
        asked = PromoteRequest.model_validate_json(request.data)
        gateway.changes_asked.append((f"promote {name}/{version}", asked))
        return _answer(a_model())

    @app.post("/v1/models/rollback")
    def roll_back() -> Response:
        gateway.changes_asked.append(("roll back", RollBackRequest.model_validate_json(request.data)))
        return _answer(a_model())

    @app.post("/v1/models/<name>/<version>/<any(archive, restore):what>")
    def put_away(name: str, version: str, what: str) -> Response:
        gateway.changes_asked.append((f"{what} {name}/{version}", None))
        return _answer(a_model())


def _add_jobs(app: Flask, gateway: SmallGateway) -> None:
    @app.get("/v1/jobs")
    def jobs() -> Response:
        state, limit = request.args.get("state"), int(request.args.get("limit", "50"))
        return _answer(JobList(jobs=[job for job in gateway.jobs.values() if state in (None, job.state)][:limit]))

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

    @app.post("/v1/jobs/<job_id>/retry")
    def retry(job_id: str) -> Response:
        gateway.jobs["again"] = gateway.jobs[job_id].model_copy(
            update={"id": "again", "state": JobState.QUEUED, "retry_of": job_id}
        )
        return _answer(gateway.jobs["again"], 201)

    @app.delete("/v1/jobs/<job_id>")
    def delete(job_id: str) -> Response:
        del gateway.jobs[job_id]
        return _answer(Deleted(id=job_id, freed_bytes=2_500_000))

    @app.post("/v1/jobs/<job_id>/<any(cancel, resume):what>")
    def change(job_id: str, what: str) -> Response:
        state = JobState.CANCELLED if what == "cancel" else JobState.QUEUED
        gateway.jobs[job_id] = gateway.jobs[job_id].model_copy(update={"state": state})
        return _answer(gateway.jobs[job_id])


class Quiet(WSGIRequestHandler):
    """Handles requests without printing them."""

    def log(self, type: str, message: str, *args: object) -> None:
        """Print nothing."""
