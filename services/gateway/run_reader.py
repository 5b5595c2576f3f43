"""What one can see of jobs: folders read, and the queue asked why one waits. Every refusal is an `ApiError`."""

import logging
import os
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from services.gateway.job_messages import why_abandoned, why_waiting
from services.gateway.job_queue import JobQueue, QueueSnapshot
from shared.errors import RunFolderError
from shared.run_folder import LOG_FILE, REPORT_DIR, RunFolder
from shared.schemas.jobs import Job, JobDetail, JobList, JobState, MetricList
from shared.web import ApiError

LOG_TAIL_BYTES: Final = 1 << 20
LOG_TAIL_LINES: Final = 20
WAITING: Final = frozenset({JobState.QUEUED, JobState.INTERRUPTED})
"""States in which a job waits for a worker."""

UNDER_WAY: Final = frozenset({JobState.RUNNING, JobState.CANCELLING})
"""States in which a worker has a job, unless it was killed."""

_log = logging.getLogger("halfface.gateway.runs")


class RunReader:
    """The jobs in `runs_dir`, to look at.

    Args:
        runs_dir: where the runs' folders are.
        queue: knows the place of one that waits.
    """

    def __init__(self, runs_dir: Path, queue: JobQueue) -> None:
        self._runs_dir = runs_dir
        self._queue = queue

    def open(self, run_id: str) -> RunFolder:
        try:
            return RunFolder.open(self._runs_dir, run_id)
        except RunFolderError as error:
            raise ApiError(
                status=404, code="job_not_found", message=f"{error} /v1/jobs lists the jobs that there are."
            ) from error

    def all(self, state: JobState | None, limit: int, before: str | None = None) -> JobList:
        """Return at most `limit` jobs, newest first; of one state, and older than one, if given. Needs no queue."""
        runs = (run for run in RunFolder.all(self._runs_dir) if before is None or run.id < before)
        found = ((run, job) for run in runs if (job := readable(run)))
        wanted = list(islice(((run, job) for run, job in found if state in (None, job.state)), limit))
        return JobList(jobs=self._with_messages(wanted))

    def show(self, run_id: str) -> JobDetail:
        """Return one job with its past, why it waits, and its parts if it is a study."""
        run = self.open(run_id)
        try:
            return self._shown(run)
        except (ApiError, RunFolderError):
            self.open(run_id)  # says so if the run was deleted meanwhile
            raise

    def _shown(self, run: RunFolder) -> JobDetail:
        job = self._with_messages([(run, read(run))])[0]
        parts = [(part, found) for part in run.parts() if job.request.kind == "study" and (found := readable(part))]
        return JobDetail(
            **job.model_dump(),
            history=run.history(),
            log_tail=self.log_lines(run.id, LOG_TAIL_LINES) if job.state == JobState.FAILED else [],
            parts=self._with_messages(parts),
            size_bytes=sum(folder.size_bytes() for folder in (run, *(part for part, _ in parts))),
        )

    def metrics(self, run_id: str, after: int) -> MetricList:
        """Return the epochs that come after epoch `after`."""
        run = self.open(run_id)
        try:
            return MetricList(rows=[row for row in run.metrics() if row.epoch > after])
        except OSError as error:
            raise _unreadable(f"The metrics of job {run.id} cannot be read.") from error

    def log_lines(self, run_id: str, count: int) -> list[str]:
        """Return the last `count` lines of the run's log, or fewer; none before it begins."""
        path = self.open(run_id).path / LOG_FILE
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - LOG_TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unreadable(f"The log of job {run_id} cannot be read.") from error
        return lines[-count:]

    def report(self, run_id: str, *names: str) -> Path:
        """Return the path of a file of the run's report, the first of these names that is there.

        Raises:
            ApiError: 404 `report_not_found`: no such job, or it has no such file (yet).
        """
        folder = self.open(run_id).path / REPORT_DIR
        found = next((folder / name for name in names if (folder / name).is_file()), None)
        if found is None:
            message = f"Job {run_id} has no {' or '.join(names)}; evaluations and studies have a report once finished."
            raise ApiError(status=404, code="report_not_found", message=message)
        return found

    def _with_messages(self, found: list[tuple[RunFolder, Job]]) -> list[Job]:
        """Return the jobs, those that do not go on with why; that follows an interrupted one's own sentence."""
        snapshot: QueueSnapshot | None = None
        if any(job.state in WAITING for _, job in found):
            with suppress(ApiError):
                snapshot = self._queue.snapshot()
        return [_with_reason(run, job, snapshot) for run, job in found]


def _with_reason(run: RunFolder, job: Job, snapshot: QueueSnapshot | None) -> Job:
    reason = None
    with suppress(RunFolderError):  # it is being deleted
        if job.state in WAITING:
            reason = why_waiting(run, snapshot)
        elif job.state in UNDER_WAY and run.is_abandoned():
            reason = why_abandoned(job.state)
    return job.model_copy(update={"message": " ".join(filter(None, (job.message, reason))) or None})


def readable(run: RunFolder) -> Job | None:
    try:
        return run.job()
    except RunFolderError as error:
        _log.warning("a run is left out of the list: %s", error)
        return None


def read(run: RunFolder) -> Job:
    try:
        return run.job()
    except RunFolderError as error:
        raise _unreadable(str(error)) from error


def _unreadable(message: str) -> ApiError:
    return ApiError(status=409, code="job_unreadable", message=message)
