"""The RQ worker: takes runs from the queues, short ones first, one at a time, each in a process of its own.

A queue that is away, or that refuses to write, stops no training: the worker waits for it. The folders are the truth,
so what was under way when a worker, its work-horse or the queue died is found there and queued again; so is a run that
waited for others, once they have finished. SIGTERM is passed on to the work-horse, which writes a checkpoint; the run
is resumed by the next worker.
"""

import contextlib
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError, ResponseError
from rq import Queue, Worker, worker_registration
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from shared.errors import RunFolderError
from shared.json_logs import configure_json_logs
from shared.run_folder import QUEUE_NAMES, RunFolder
from trainer import machine
from trainer.jobs import ALLOWED
from trainer.lost_runs import LostRuns, note_death
from trainer.run_lock import only_one
from trainer.settings import Settings
from trainer.storage import SYNC_DIR, apart, is_home

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 15
"""How often an idle worker looks for runs that were lost, and gives a sign of life."""

MONITOR_SECONDS: Final = 30
"""How often a worker gives a sign of life while a run is under way."""

PAUSE_SECONDS: Final = 60
"""How often a worker whose machine can do no job looks whether it can again."""

WAIT_SECONDS: Final = 5
"""How long it waits before it begins anew where the queue failed it."""

SILENCE_SECONDS: Final = 30
"""RQ counts a worker that was killed as alive for a minute longer than this; with its own 420, for eight."""


class RunWorker(Worker):
    """An RQ worker that does the allowed functions only and brings lost runs back."""

    settings: Settings
    runs_dir: Path
    lost_runs: LostRuns
    has_storage: bool = False
    """Whether runs come from a storage: `python -m trainer sync` then looks for lost ones, as it sees all leases."""

    @property
    def dequeue_timeout(self) -> int:
        """Seconds to wait for a job before looking for lost runs again."""
        return LOOK_SECONDS

    @property
    def has_been_stopped(self) -> bool:
        """Whether a signal asked it to end."""
        return self._shutdown_requested_date is not None

    def stop_listening(self) -> None:
        """End the thread that listens to the queue, where the worker could not say that it ends."""
        if self.pubsub_thread:
            self.pubsub_thread.stop()

    def heartbeat(self, timeout: int | None = None, pipeline: Pipeline | None = None) -> None:
        """Give a sign of life; be listed again, if another worker took this one for dead while the queue was away."""
        super().heartbeat(timeout, pipeline)
        worker_registration.register(self, pipeline)

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Give a sign of life beside a run under way, which goes on where the queue cannot take it.

        The queue holds nothing that the run needs: what becomes of it is told in its folder.
        """
        try:
            super().maintain_heartbeats(job, execution)
        except RedisError as error:
            log.warning("%s Run %s goes on.", _trouble_with_queue(error), job.id)

    def set_shutdown_requested_date(self) -> None:
        """Note that it was asked to end while a run is under way, if the queue can take it."""
        with contextlib.suppress(RedisError):
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]

    def run_maintenance_tasks(self) -> None:
        """Also queue what was lost, and what others have finished for."""
        super().run_maintenance_tasks()  # type: ignore[no-untyped-call]
        if not self._stop_requested and not self.has_storage:
            self.lost_runs.requeue()

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Do a job if this machine can do any.

        Look for runs once this one has ended: what waited for it is queued at once, or it, if its process died.
        """
        if not self._can_do(job, queue):
            return
        super().execute_job(job, queue)
        if not self._stop_requested:
            self.last_cleaned_at = None

    def _can_do(self, job: Job, queue: Queue) -> bool:
        """Return whether this machine can do jobs; if not, leave this one to other workers, and wait until it can."""
        is_fit = False
        try:
            trouble = machine.trouble(self.settings)
            is_fit = trouble is None
        finally:  # also where a signal ends the worker meanwhile
            if not is_fit:
                queue.push_job_id(job.id, at_front=True)
        while trouble is not None:
            log.error("%s Until then this worker takes no job.", trouble)
            self._pause()
            trouble = machine.trouble(self.settings)
        return is_fit

    def _pause(self) -> None:
        """Wait, shown as suspended; give a sign of life, and look for lost runs, which others may do."""
        with contextlib.suppress(RedisError):
            self.set_state(WorkerStatus.SUSPENDED)
            self.heartbeat(2 * PAUSE_SECONDS + machine.DEVICE_TIMEOUT_S)
            self.run_maintenance_tasks()
        time.sleep(PAUSE_SECONDS)

    def perform_job(self, job: Job, queue: Queue, execution: Any) -> bool:
        """Refuse what is not on the list before it is imported; hold the run's lock from here to the end.

        This is the process that was forked to train. Until it has the lock nobody could tell that the run is taken,
        and importing torch, which comes next, takes seconds.
        """
        if job.func_name not in ALLOWED:
            log.error("refused the function %s, which is not on the list", job.func_name)
            job.func_name = "trainer.worker.refuse"
            job.args = (job.id,)
        with contextlib.ExitStack() as held:
            with contextlib.suppress(RunFolderError):
                held.enter_context(only_one(RunFolder.open(self.runs_dir, job.id)))
            done: bool = super().perform_job(job, queue, execution)
        return done

    def handle_warm_shutdown_request(self) -> None:
        """Ask the work-horse for a checkpoint; the worker waits for it."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:
        """Note that a run's process died; it is brought back at the next look."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]
        if self._stop_requested:
            return  # it was asked to end, perhaps before it could note that
        try:
            run = RunFolder.open(self.runs_dir, job.id)
            with only_one(run) as alone:
                if alone:  # else another process trains it, and this one only asked to
                    note_death(run)
        except (RunFolderError, OSError) as error:  # the folder is gone, or the disk is full: the next look tells
            log.error("the death of the process of run %s could not be noted: %s", job.id, error)
        if self.has_storage:
            apart.hand_back(job.id, self.name)


def refuse(job_id: str) -> None:
    """Stand in for a function that is not on the list."""
    raise PermissionError(f"Job {job_id} names a function that is not on the list.")


def _trouble_with_storage(settings: Settings) -> str | None:
    """Return why this worker cannot do runs as the others do, as a sentence; None if it can."""
    if settings.storage_url:
        return apart.problem()
    if is_home(settings.runs_dir):
        return (
            "Workers on other machines may have the runs of this folder. Set TRAINER_STORAGE_URL as for `python -m "
            f"trainer sync`; or, if there is no storage any more, remove {settings.runs_dir / SYNC_DIR}."
        )
    return None


def work(settings: Settings) -> int:
    """Wait for runs until SIGTERM or SIGINT; return the exit status."""
    configure_json_logs("trainer", settings.log_level)
    if not settings.redis_url:
        log.error("Set TRAINER_REDIS_URL to the queue's address, such as redis://127.0.0.1:6379/0.")
        return 2
    if (trouble := _trouble_with_storage(settings)) is not None:
        log.error("%s", trouble)
        return 2
    try:
        connection = Redis.from_url(settings.redis_url, socket_connect_timeout=5, health_check_interval=30)
    except ValueError:
        log.error("TRAINER_REDIS_URL is no address; write it as redis://127.0.0.1:6379/0.")
        return 2
    worker: RunWorker | None = None
    try:
        while True:
            former = worker
            try:
                worker = make_worker(settings, connection)
                if former and former.has_been_stopped:  # meanwhile: signals were still its own
                    return 0
                worker.work(logging_level="WARNING", with_scheduler=False)  # its INFO tells of every look at the queue
            except RedisError as error:
                log.error("%s", _trouble_with_queue(error))
                if worker is None:
                    return 1
                worker.stop_listening()
            if worker.has_been_stopped:
                return 0
            time.sleep(WAIT_SECONDS)
            if worker.has_been_stopped:
                return 0
    except StopRequested:
        return 0


def _trouble_with_queue(error: RedisError) -> str:
    """Return what is wrong with the queue, as a sentence."""
    if isinstance(error, ResponseError):  # such as MISCONF, where its disk is full, and OOM
        return f"The queue at TRAINER_REDIS_URL refuses: {str(error).rstrip('.')}."
    return "The queue at TRAINER_REDIS_URL does not answer; start it, or correct the address."


def make_worker(settings: Settings, connection: Redis) -> RunWorker:
    """Return a worker of the queues that does not work yet. Raises RedisError."""
    queues = [Queue(name, connection=connection, serializer=JSONSerializer) for name in QUEUE_NAMES]
    worker = RunWorker(
        queues,
        connection=connection,
        serializer=JSONSerializer,
        maintenance_interval=LOOK_SECONDS,
        worker_ttl=SILENCE_SECONDS,
        job_monitoring_interval=MONITOR_SECONDS,
        log_job_description=False,
    )
    worker.settings, worker.runs_dir = settings, settings.runs_dir
    worker.lost_runs = LostRuns(settings.runs_dir, queues)
    worker.has_storage = bool(settings.storage_url)
    return worker
