"""`/v1/jobs`: start a job, watch it, cancel it, resume it, start it anew, delete it, read its report."""

from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response, request, send_file, url_for
from pydantic import ConfigDict, Field

from services.gateway.access import current_key_name
from services.gateway.openapi import NO_QUEUE
from services.gateway.parts import parts
from shared.openapi import answer
from shared.schemas.jobs import Deleted, Job, JobDetail, JobList, JobLog, JobRequest, JobState, MetricList
from shared.schemas.wire import RunId, Wire
from shared.study import STUDY_FILE
from shared.web import ApiError

EXAMPLE: Final[dict[str, Any]] = {"dataset": "fer2013.zip", "view": "upper", "settings": {"epochs": 5}}
START_ANSWERS: Final[dict[int | str, dict[str, str | dict[str, Any]]]] = {
    200: answer("It is open already: this is the job.", "JobDetail"),
    409: answer("This Idempotency-Key belongs to a job that asks for something else.", "HTTPError"),
    400: answer("The body is not JSON.", "HTTPError"),
    503: answer("The job queue does not answer; try again after Retry-After seconds.", "HTTPError"),
}
NO_JOB: Final = {404: "There is no such job."}
DELETE_ANSWERS: Final = {
    404: "There is no such job.",
    409: "It has not ended, a worker is still at it, or another job waits for it.",
    503: "The job queue does not answer, or the folder cannot be removed.",
}
BROKEN: Final = {409: "Its folder cannot be read; delete it."}
TEXT: Final = {"schema": {"type": "string"}}
LOG_ANSWERS: Final[dict[int | str, Any]] = {
    404: "There is no such job.",
    409: "It cannot be read.",
    200: {
        "description": "The lines.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/JobLog"}}, "text/plain": TEXT},
    },
}
REPORT_ANSWERS: Final[dict[int | str, Any]] = {
    200: {
        "description": "The report.",
        "content": {"text/html": TEXT, "application/json": {"schema": {"type": "object"}}},
    },
    304: "It is as it was: see If-None-Match and If-Modified-Since.",
    404: "There is no such job, or it has no report.",
}
CANCEL_ANSWERS: Final[dict[int | str, dict[str, str | dict[str, Any]]]] = {
    202: answer("A worker has it and stops within seconds.", "JobDetail"),
    404: answer("There is no such job.", "HTTPError"),
    409: answer("It has ended already, or its folder cannot be read.", "HTTPError"),
    503: answer("The job queue does not answer; try again after Retry-After seconds.", "HTTPError"),
}
RETRY_ANSWERS: Final[dict[int | str, dict[str, str | dict[str, Any]]]] = {
    200: answer("An equal job is open already: this is it.", "JobDetail"),
    404: answer("There is no such job.", "HTTPError"),
    409: answer("It has not ended, or its folder cannot be read.", "HTTPError"),
    422: answer("Its data set or a version that it names is gone.", "HTTPError"),
    503: answer("The job queue does not answer; try again after Retry-After seconds.", "HTTPError"),
}

KEY_HEADER: Final = "Idempotency-Key"
LONGEST_KEY: Final = 200

PAGE: Final = "report.html"
FIGURES: Final = ("metrics.json", STUDY_FILE)
"""Of a report's files: those of an evaluation and of a study."""

blueprint = APIBlueprint("jobs", __name__)


class JobsQuery(Wire):
    """Which jobs to list."""

    state: JobState | None = Field(None, description="Only jobs in this state.")
    limit: int = Field(50, ge=1, le=1000, description="At most so many, the newest.")
    before: RunId | None = Field(
        None, description="Only jobs older than the one with this id, such as the last of an earlier answer."
    )


class MetricsQuery(Wire):
    """Which epochs to list."""

    after: int = Field(-1, ge=-1, description="Only epochs after this one.")


class LogQuery(Wire):
    """How much of the log."""

    lines: int = Field(200, ge=1, le=5000, description="At most so many, the last.")


class StartHeaders(Wire):
    """What one may say beside the request; APIFlask gives headers by their fields' names, and documents the aliases."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    idempotency_key: str | None = Field(
        None,
        alias=KEY_HEADER,
        description="Of your choice; it names this job.",
        json_schema_extra={"minLength": 1, "maxLength": LONGEST_KEY},
    )


@blueprint.post("/v1/jobs")
@blueprint.input(JobRequest, example=EXAMPLE)
@blueprint.input(StartHeaders, location="headers")
@blueprint.output(JobDetail, status_code=201)
@blueprint.doc(tags=["jobs"], responses=START_ANSWERS)
def start_job(json_data: JobRequest, headers_data: StartHeaders) -> tuple[Job, int, dict[str, str]]:
    """Start a job

    Kinds: `train` from scratch, `fine-tune` from a version, `evaluate` a version, `export` one anew, `study`: the
    whole-face network, then five fine-tunings that it teaches, then the report on all of them. The request is checked,
    kept in a folder of its own and queued; the Location header is the job's address. A request that comes
    with a job's Idempotency-Key, or without one equals that of an open job, gets that job and 200.
    """
    key = headers_data.idempotency_key
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        message = f"The header {KEY_HEADER} needs 1 to {LONGEST_KEY} characters."
        raise ApiError(status=422, code="invalid", message=message, field=KEY_HEADER)
    job, is_new = parts().runs.start(json_data, current_key_name(), key)
    return job, 201 if is_new else 200, {"Location": url_for("jobs.show_job", run_id=job.id)}


@blueprint.get("/v1/jobs")
@blueprint.input(JobsQuery, location="query")
@blueprint.output(JobList)
@blueprint.doc(tags=["jobs"])
def list_jobs(query_data: JobsQuery) -> JobList:
    """List the jobs

    Newest first; `before` pages through older ones. Works also while the job queue is away.
    """
    return parts().shown_runs.all(query_data.state, query_data.limit, query_data.before)


@blueprint.get("/v1/jobs/<run_id>")
@blueprint.output(JobDetail)
@blueprint.doc(tags=["jobs"], responses=NO_JOB | BROKEN)
def show_job(run_id: str) -> JobDetail:
    """Show a job

    Its state, phase, progress, time left and past; one that waits, or whose process has gone, says why, one that failed
    shows the end of its log, and a study its parts.
    """
    return parts().shown_runs.show(run_id)


@blueprint.get("/v1/jobs/<run_id>/metrics")
@blueprint.input(MetricsQuery, location="query")
@blueprint.output(MetricList)
@blueprint.doc(tags=["jobs"], responses=NO_JOB | BROKEN)
def job_metrics(run_id: str, query_data: MetricsQuery) -> MetricList:
    """Show a job's curves

    Loss and accuracy, a row an epoch, also while it runs.
    """
    return parts().shown_runs.metrics(run_id, query_data.after)


@blueprint.get("/v1/jobs/<run_id>/log")
@blueprint.input(LogQuery, location="query")
@blueprint.output(JobLog)
@blueprint.doc(tags=["jobs"], responses=LOG_ANSWERS)
def job_log(run_id: str, query_data: LogQuery) -> Response:
    """Show a job's log

    The last lines, as JSON, or as they are if the request accepts only text/plain.
    """
    lines = parts().shown_runs.log_lines(run_id, query_data.lines)
    text = request.accept_mimetypes.best_match(["application/json", "text/plain"]) == "text/plain"
    body = "".join(f"{line}\n" for line in lines) if text else JobLog(lines=lines).model_dump_json()
    return Response(body, mimetype="text/plain" if text else "application/json", headers={"Vary": "Accept"})


@blueprint.post("/v1/jobs/<run_id>/cancel")
@blueprint.output(JobDetail)
@blueprint.doc(tags=["jobs"], responses=CANCEL_ANSWERS)
def cancel_job(run_id: str) -> tuple[Job, int]:
    """Cancel a job

    One that waits, or whose process has gone, is cancelled at once; one that runs leaves a checkpoint first; a study
    with all its parts. Each can be resumed.
    """
    job = parts().runs.cancel(run_id, current_key_name())
    return job, 200 if job.state == JobState.CANCELLED else 202


@blueprint.post("/v1/jobs/<run_id>/resume")
@blueprint.output(JobDetail)
@blueprint.doc(
    tags=["jobs"],
    responses={
        409: "It waits, runs or is finished already, or its folder cannot be read.",
        422: "Its data set or base model is gone, or the job that makes that has stopped.",
        **NO_JOB,
        **NO_QUEUE,
    },
)
def resume_job(run_id: str) -> Job:
    """Resume a job

    One that was cancelled, failed or interrupted is queued again and goes on from its last checkpoint, an interrupted
    one before what waits; a study with its parts that were.
    """
    return parts().runs.resume(run_id)


@blueprint.post("/v1/jobs/<run_id>/retry")
@blueprint.output(JobDetail, status_code=201)
@blueprint.doc(tags=["jobs"], responses=RETRY_ANSWERS)
def retry_job(run_id: str) -> tuple[Job, int, dict[str, str]]:
    """Start a job anew

    A new job with the request of one that has ended, from its beginning; the old one stays as it is. Where a job with
    that request is open already, it is that job and 200.
    """
    job, is_new = parts().runs.retry(run_id, current_key_name())
    return job, 201 if is_new else 200, {"Location": url_for("jobs.show_job", run_id=job.id)}


@blueprint.delete("/v1/jobs/<run_id>")
@blueprint.output(Deleted)
@blueprint.doc(tags=["jobs"], responses=DELETE_ANSWERS)
def delete_job(run_id: str) -> Deleted:
    """Delete a job

    Removes its folder: checkpoints, curves, log, report; of a study its parts too. A model that it made stays. Says how
    much room that freed; `size_bytes` of the job says it before. One whose folder cannot be read can be deleted too.
    """
    return parts().runs.delete(run_id)


@blueprint.get("/v1/jobs/<run_id>/report")
@blueprint.doc(tags=["jobs"], responses=REPORT_ANSWERS)
def job_report(run_id: str) -> Response:
    """Show a job's report

    The page of an evaluation or a study, as HTML that needs nothing else; its figures if JSON is what is accepted.
    """
    json = request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"
    names = FIGURES if json else [PAGE]
    response = send_file(parts().shown_runs.report(run_id, *names).absolute())
    response.vary.add("Accept")
    return response
