"""`/v1/jobs`: start a training, watch it, cancel it, resume it."""

from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response, request, url_for
from pydantic import Field

from services.gateway.openapi import BAD_JSON, NO_QUEUE
from services.gateway.parts import parts
from shared.openapi import answer
from shared.schemas import Job, JobList, JobLog, JobRequest, JobState, MetricList, Wire

EXAMPLE: Final[dict[str, Any]] = {"dataset": "fer2013.zip", "view": "upper", "settings": {"epochs": 5}}
NO_JOB: Final = {404: "There is no such job."}
CANCEL_ANSWERS: Final[dict[int | str, dict[str, str | dict[str, Any]]]] = {
    202: answer("A worker has it and stops within seconds.", "Job"),
    404: answer("There is no such job.", "HTTPError"),
    409: answer("It has ended already.", "HTTPError"),
    503: answer("The job queue does not answer; try again after Retry-After seconds.", "HTTPError"),
}

blueprint = APIBlueprint("jobs", __name__)


class JobsQuery(Wire):
    """Which jobs to list."""

    state: JobState | None = Field(None, description="Only jobs in this state.")
    limit: int = Field(50, ge=1, le=1000, description="At most so many, the newest.")


class MetricsQuery(Wire):
    """Which epochs to list."""

    after: int = Field(-1, ge=-1, description="Only epochs after this one.")


class LogQuery(Wire):
    """How much of the log."""

    lines: int = Field(200, ge=1, le=5000, description="At most so many, the last.")


@blueprint.post("/v1/jobs")
@blueprint.input(JobRequest, example=EXAMPLE)
@blueprint.output(Job, status_code=201)
@blueprint.doc(tags=["jobs"], responses={**BAD_JSON, **NO_QUEUE})
def start_job(json_data: JobRequest) -> tuple[Job, int, dict[str, str]]:
    """Start a training

    The request is checked, kept in a folder of its own and queued; the Location header is the job's address.
    """
    job = parts().runs.start(json_data)
    return job, 201, {"Location": url_for("jobs.show_job", run_id=job.id)}


@blueprint.get("/v1/jobs")
@blueprint.input(JobsQuery, location="query")
@blueprint.output(JobList)
@blueprint.doc(tags=["jobs"])
def list_jobs(query_data: JobsQuery) -> JobList:
    """List the jobs

    Newest first. Works also while the job queue is away.
    """
    return parts().runs.all(query_data.state, query_data.limit)


@blueprint.get("/v1/jobs/<run_id>")
@blueprint.output(Job)
@blueprint.doc(tags=["jobs"], responses=NO_JOB)
def show_job(run_id: str) -> Job:
    """Show a job

    Its state, phase, progress and time left; one that waits says why.
    """
    return parts().runs.show(run_id)


@blueprint.get("/v1/jobs/<run_id>/metrics")
@blueprint.input(MetricsQuery, location="query")
@blueprint.output(MetricList)
@blueprint.doc(tags=["jobs"], responses=NO_JOB)
def job_metrics(run_id: str, query_data: MetricsQuery) -> MetricList:
    """Show a job's curves

    Loss and accuracy, a row an epoch, also while it runs.
    """
    return parts().runs.metrics(run_id, query_data.after)


@blueprint.get("/v1/jobs/<run_id>/log")
@blueprint.input(LogQuery, location="query")
@blueprint.output(JobLog)
@blueprint.doc(tags=["jobs"], responses=NO_JOB)
def job_log(run_id: str, query_data: LogQuery) -> JobLog | Response:
    """Show a job's log

    The last lines, as JSON, or as they are if the request accepts only text/plain.
    """
    lines = parts().runs.log_lines(run_id, query_data.lines)
    if request.accept_mimetypes.best_match(["application/json", "text/plain"]) == "text/plain":
        return Response("".join(f"{line}\n" for line in lines), mimetype="text/plain")
    return JobLog(lines=lines)


@blueprint.post("/v1/jobs/<run_id>/cancel")
@blueprint.output(Job)
@blueprint.doc(tags=["jobs"], responses=CANCEL_ANSWERS)
def cancel_job(run_id: str) -> tuple[Job, int]:
    """Cancel a job

    One that waits is cancelled at once; one that runs leaves a checkpoint first. Either can be resumed.
    """
    job = parts().runs.cancel(run_id)
    return job, 200 if job.state == JobState.CANCELLED else 202


@blueprint.post("/v1/jobs/<run_id>/resume")
@blueprint.output(Job)
@blueprint.doc(
    tags=["jobs"],
    responses={
        409: "It waits, runs or is finished already.",
        422: "Its data set or base model is gone.",
        **NO_JOB,
        **NO_QUEUE,
    },
)
def resume_job(run_id: str) -> Job:
    """Resume a job

    One that was cancelled, failed or interrupted is queued again and goes on from its last checkpoint.
    """
    return parts().runs.resume(run_id)
