"""The RQ worker: takes runs from the queues, short ones first, one at a time, each in a process of its own.

The folders are the truth, so what was under way when a worker, its work-horse or the queue died is found there and
queued again; so is a run that waited for others, once they have finished. SIGTERM is passed on to the work-horse, which
writes a checkpoint; the run is resumed by the next worker.
"""

import contextlib
import fcntl
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import redis.exceptions
from redis import Redis
from rq import Queue, Worker
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.serializers import JSONSerializer

from shared.errors import RunFolderError
from shared.json_logs import configure_json_logs
from shared.run_folder import QUEUE_NAMES, RUN_FUNCTION, RunFolder, RunState, queue_name
from shared.schemas import JobState
from trainer.jobs import ALLOWED
from trainer.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 15
"""How often an idle worker looks for runs that were lost."""

SETTLE_SECONDS: Final = 20
"""A run younger than this may be on its way to the queue: it is left alone."""

MAX_DEATHS: Final = 3
"""A run whose process died this often without being asked is given up, with a sentence."""


class RunWorker(Worker):
    """An RQ worker that does the allowed functions only and brings lost runs back."""

    runs_settings: Settings

    @property
    def dequeue_timeout(self) -> int:
        """Seconds to wait for a job before looking for lost runs again."""
        return LOOK_SECONDS

    def run_maintenance_tasks(self) -> None:
        """Also queue what was lost, and what others have finished for."""
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        requeue_lost(self.runs_settings, self.queues)

    def perform_job(self, job: Job, queue: Queue, execution: Any) -> bool:
        """Refuse what is not on the list before it is imported."""
        if job.func_name not in ALLOWED:
            log.error("refused the function %s, which is not on the list", job.func_name)
            job.func_name = "trainer.worker.refuse"
            job.args = (job.id,)
        done: bool = super().perform_job(job, queue, execution)
        self.last_cleaned_at = None  # what waited for this run is queued at once
        return done

    def handle_warm_shutdown_request(self) -> None:
        """Ask the work-horse for a checkpoint; the worker waits for it."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:
        """Note that a run's process died; `requeue_lost` brings it back."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]
        self.last_cleaned_at = None  # look for it at once
        if self._stop_requested:
            return  # it was asked to end, perhaps before it could note that
        with contextlib.suppress(RunFolderError):
            note_death(RunFolder.open(self.runs_settings.runs_dir, job.id))


def refuse(job_id: str) -> None:
    """Stand in for a function that is not on the list."""
    raise PermissionError(f"Job {job_id} names a function that is not on the list.")


def note_death(run: RunFolder) -> None:
    """Mark a run whose process died as interrupted; after `MAX_DEATHS` in a row without an epoch done, as failed.

    It may have died before it could say that it runs.
    """
    state = run.state()
    if state.state not in (JobState.QUEUED, JobState.RUNNING, JobState.INTERRUPTED):
        return
    path = run.path / "deaths"
    done = str(run.progress().epoch)
    deaths = [line for line in path.read_text().split() if line == done] if path.exists() else []
    path.write_text("\n".join([*deaths, done]) + "\n")
    message = "The training's process died; it goes on from its last checkpoint."
    new = JobState.INTERRUPTED
    if len(deaths) + 1 >= MAX_DEATHS:
        new, message = (
            JobState.FAILED,
            (
                f"The training's process died {MAX_DEATHS} times in the same epoch, perhaps for want of memory; "
                "choose a smaller batch size or network."
            ),
        )
    run.set_state(state.model_copy(update={"state": new, "message": message}))


def requeue_lost(settings: Settings, queues: Sequence[Queue]) -> list[str]:
    """Queue every open run that waits for nothing and that no queue and no process knows of; return their ids."""
    known = {run_id for queue in queues for run_id in _ids_of(queue)}
    requeued = []
    for run in RunFolder.all(settings.runs_dir):
        if run.id in known or not _is_lost(run):
            continue
        with _alone(run) as alone:
            if not alone or not _is_lost(run):
                continue
            if run.state().state == JobState.RUNNING:
                note_death(run)
            if run.cancel_asked():
                run.set_state(run.state().model_copy(update={"state": JobState.CANCELLED, "message": None}))
            elif run.state().state != JobState.FAILED:
                enqueue(queues, run)
                requeued.append(run.id)
    if requeued:
        log.warning("queued after a wait or a loss: %s", ", ".join(requeued))
    return requeued


def _ids_of(queue: Queue) -> list[str]:
    return [*queue.job_ids, *IntermediateQueue(queue.key, queue.connection).get_job_ids()]


def enqueue(queues: Sequence[Queue], run: RunFolder) -> None:
    """Put a run on the queue of its kind."""
    name = queue_name(run.request().request.kind)
    queue = next(queue for queue in queues if queue.name == name)
    queue.enqueue(RUN_FUNCTION, args=(run.id,), job_id=run.id, job_timeout=-1, result_ttl=0, failure_ttl=3600)


def _is_lost(run: RunFolder) -> bool:
    """Return whether a run is open, may start, and was not touched just now."""
    try:
        state: RunState = run.state()
        waits = run.unfinished()
    except RunFolderError:
        return False
    if waits or state.state not in (JobState.QUEUED, JobState.RUNNING, JobState.INTERRUPTED):
        return False
    if run.request().after and state.state == JobState.QUEUED:
        return True  # it was never queued before: nobody does until the others have finished
    changed = datetime.fromtimestamp((run.path / "state.json").stat().st_mtime, UTC)
    settled = datetime.now(UTC) - changed > timedelta(seconds=SETTLE_SECONDS)
    return settled or state.state == JobState.INTERRUPTED


@contextlib.contextmanager
def _alone(run: RunFolder) -> Iterator[bool]:
    """Yield whether nobody trains the run, by the lock that `trainer.runs.only_one` takes."""
    with (run.path / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(file, fcntl.LOCK_UN)
        except BlockingIOError:
            yield False
            return
        yield True


def work(settings: Settings) -> int:
    """Wait for runs until SIGTERM or SIGINT; return the exit status."""
    configure_json_logs("trainer", settings.log_level)
    if not settings.redis_url:
        log.error("Set TRAINER_REDIS_URL to the queue's address, such as redis://127.0.0.1:6379/0.")
        return 2
    connection = Redis.from_url(settings.redis_url, socket_connect_timeout=5, health_check_interval=30)
    queues = [Queue(name, connection=connection, serializer=JSONSerializer) for name in QUEUE_NAMES]
    try:
        worker = RunWorker(
            queues,
            connection=connection,
            serializer=JSONSerializer,
            maintenance_interval=LOOK_SECONDS,
            log_job_description=False,
        )
        worker.runs_settings = settings
        worker.work(logging_level="WARNING", with_scheduler=False)  # its INFO tells of every look at the queue
    except redis.exceptions.ConnectionError:
        log.error("The queue at TRAINER_REDIS_URL does not answer; start it, or correct the address.")
        return 1
    return 0
