"""What one can do with training jobs. Plain functions over run folders and the queue; no Flask, no RQ.

Two requests for one run at once take turns: each change holds a lock on the run's folder, so a state is never judged
by one and replaced by another. Every refusal is an `ApiError`.
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from services.gateway.dataset_catalogue import DatasetCatalogue
from services.gateway.job_queue import JobQueue, QueueSnapshot
from services.gateway.model_catalogue import ModelCatalogue
from shared.errors import ModelFolderError, RunFolderError
from shared.model_folder import IMAGENET
from shared.run_folder import RunFolder, RunState, utc_now
from shared.schemas import Job, JobList, JobRequest, JobState, MetricList
from shared.web import ApiError

LOG_FILE: Final = "log.txt"
LOG_TAIL_BYTES: Final = 1 << 20
WAITING: Final = frozenset({JobState.QUEUED, JobState.INTERRUPTED})
UNDER_WAY: Final = frozenset({JobState.RUNNING, JobState.CANCELLING})
RESUMABLE: Final = frozenset({JobState.CANCELLED, JobState.FAILED, JobState.INTERRUPTED})

_log = logging.getLogger("halfface.gateway.runs")


class Runs:
    """The jobs in `runs_dir`.

    Args:
        runs_dir: where the runs' folders are.
        queue: takes the jobs to the workers.
        datasets: what can be trained on.
        models: what can be started from.
    """

    def __init__(self, runs_dir: Path, queue: JobQueue, datasets: DatasetCatalogue, models: ModelCatalogue) -> None:
        self._runs_dir = runs_dir
        self._queue = queue
        self._datasets = datasets
        self._models = models

    def start(self, asked: JobRequest) -> Job:
        """Check a request, make its folder and queue it; all of it or nothing."""
        self._check(asked)
        self._queue.ping()
        try:
            run = RunFolder.create(self._runs_dir, asked)
        except OSError as error:
            _log.error("no run can be made in %s: %s", self._runs_dir, error)
            raise ApiError(
                status=503,
                code="runs_unavailable",
                message="The runs folder cannot be written; check its permissions and the free space.",
            ) from error
        try:
            self._queue.enqueue(run.id)
        except ApiError:
            shutil.rmtree(run.path, ignore_errors=True)
            raise
        return self.show(run.id)

    def all(self, state: JobState | None, limit: int) -> JobList:
        """Return at most `limit` jobs, newest first; of one state if given. Needs no queue."""
        jobs = (job for run in RunFolder.all(self._runs_dir) if (job := _readable(run)))
        wanted = list(islice((job for job in jobs if state in (None, job.state)), limit))
        return JobList(jobs=self._with_messages(wanted))

    def show(self, run_id: str) -> Job:
        """Return one job, with why it waits."""
        return self._with_messages([_read(self._open(run_id))])[0]

    def metrics(self, run_id: str, after: int) -> MetricList:
        """Return the epochs that come after epoch `after`."""
        run = self._open(run_id)
        try:
            return MetricList(rows=[row for row in run.metrics() if row.epoch > after])
        except (OSError, ValueError) as error:
            raise _unreadable(f"The metrics of job {run.id} cannot be read.") from error

    def log_lines(self, run_id: str, count: int) -> list[str]:
        """Return the last `count` lines of the run's log, or fewer; none before it begins."""
        path = self._open(run_id).path / LOG_FILE
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

    def cancel(self, run_id: str) -> Job:
        """Cancel a job: at once while it waits, else by word to its worker, which stops within seconds."""
        run = self._open(run_id)
        with _turn(run):
            state = _read(run).state
            if state not in WAITING | UNDER_WAY:
                raise _conflict(f"Job {run_id} is {state.value} already, so there is nothing to cancel.")
            if state in WAITING and self._queue.withdraw(run_id):
                was = run.state()
                run.set_state(RunState(state=JobState.CANCELLED, started=was.started, ended=utc_now()))
            else:
                run.ask_to_cancel()
        return self.show(run_id)

    def resume(self, run_id: str) -> Job:
        """Queue a job again that was cancelled, failed or interrupted; it goes on from its last checkpoint."""
        run = self._open(run_id)
        with _turn(run):
            job = _read(run)
            if job.state not in RESUMABLE:
                raise _conflict(_why_not_resumable(job))
            self._check(job.request)
            if self._queue.is_taken(run_id):
                raise _conflict(f"A worker is still stopping job {run_id}; try again in a few seconds.")
            self._queue_again(run)
        return self.show(run_id)

    def _queue_again(self, run: RunFolder) -> None:
        """Queue the run; leave its folder as it was if the queue does not answer."""
        before, cancel_asked = run.state(), run.cancel_asked()
        run.withdraw_cancel()
        run.set_state(RunState(state=JobState.QUEUED, started=before.started))
        try:
            self._queue.enqueue(run.id)
        except ApiError:
            run.set_state(before)
            if cancel_asked:
                run.ask_to_cancel()
            raise

    def _open(self, run_id: str) -> RunFolder:
        try:
            return RunFolder.open(self._runs_dir, run_id)
        except RunFolderError as error:
            raise ApiError(
                status=404, code="job_not_found", message=f"{error} /v1/jobs lists the jobs that there are."
            ) from error

    def _check(self, asked: JobRequest) -> None:
        """Raise an ApiError that names the field if the data set or the base model cannot be used."""
        dataset = self._datasets.find(asked.dataset)
        if dataset is None:
            raise _invalid("dataset", f"There is no data set '{asked.dataset}'; /v1/datasets lists those there are.")
        if dataset.problem:
            raise _invalid("dataset", f"The data set cannot be trained on: {dataset.problem}")
        if asked.base_model is not None and asked.base_model != IMAGENET:
            self._check_base(asked.base_model, asked.settings.architecture)

    def _check_base(self, base_model: str, architecture: str) -> None:
        try:
            card = self._models.card(base_model)
        except ModelFolderError as error:
            raise _invalid("base_model", f"The base model cannot be used: {error}") from error
        if card is None:
            raise _invalid("base_model", f"There is no model '{base_model}'; /v1/models lists those there are.")
        if not card.has_weights:
            raise _invalid("base_model", f"{base_model} ships no weights to start from; choose another model.")
        if card.architecture != architecture:
            sentence = f"{base_model} is a {card.architecture}; choose that architecture to start from it."
            raise _invalid("settings.architecture", sentence)

    def _with_messages(self, jobs: list[Job]) -> list[Job]:
        """Return the jobs, those that wait with a sentence that says why."""
        if not any(job.state == JobState.QUEUED for job in jobs):
            return jobs
        try:
            snapshot: QueueSnapshot | None = self._queue.snapshot()
        except ApiError:
            snapshot = None
        return [_with_message(job, snapshot) if job.state == JobState.QUEUED else job for job in jobs]


def _with_message(job: Job, snapshot: QueueSnapshot | None) -> Job:
    unknown = "The job queue does not answer, so its place is not known; the job itself is kept."
    return job.model_copy(update={"message": snapshot.why_waiting(job.id) if snapshot else unknown})


def _readable(run: RunFolder) -> Job | None:
    try:
        return run.job()
    except RunFolderError as error:
        _log.warning("a run is left out of the list: %s", error)
        return None


def _read(run: RunFolder) -> Job:
    try:
        return run.job()
    except RunFolderError as error:
        raise _unreadable(str(error)) from error


@contextmanager
def _turn(run: RunFolder) -> Iterator[None]:
    """Wait until no other request, of this process or another, is changing the run."""
    folder = os.open(run.path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)  # gives up the lock


def _why_not_resumable(job: Job) -> str:
    if job.state == JobState.CANCELLING:
        return f"Job {job.id} is still stopping; resume it once it is cancelled."
    if job.state == JobState.FINISHED:
        return f"Job {job.id} is finished; start a new job to train again."
    return f"Job {job.id} is {job.state.value} already."


def _conflict(message: str) -> ApiError:
    return ApiError(status=409, code="job_state", message=message)


def _invalid(field: str, message: str) -> ApiError:
    return ApiError(status=422, code="invalid", message=message, field=field)


def _unreadable(message: str) -> ApiError:
    return ApiError(status=500, code="job_unreadable", message=message)
