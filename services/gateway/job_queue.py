"""The queues of jobs: a thin adapter around RQ. They hold only what is under way; `runs/` is the truth.

Functions are named by string and arguments travel as JSON, so nothing of the trainer is imported here and nothing is
unpickled on either side.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue
from rq.exceptions import DuplicateJobError, InvalidJobOperation
from rq.job import Job as QueuedJob
from rq.serializers import JSONSerializer
from rq.worker import BaseWorker, Worker, WorkerStatus

from shared.run_folder import JOB_OPTIONS, QUEUE_NAMES, RUN_FUNCTION, queue_name
from shared.web import ApiError

RETRY_AFTER_S: Final = 5
NO_WORKER: Final = "no worker is running: `make up` or `docker compose up -d trainer` starts one (README.md, Scale)."

_log = logging.getLogger("halfface.gateway.queue")


@dataclass(frozen=True)
class QueueSnapshot:
    """The queue at one moment."""

    waiting: tuple[str, ...]
    """Run ids in the order in which workers take them."""
    taken: frozenset[str]
    """Run ids that a worker has taken and not ended."""
    workers: int
    """Workers that gave a sign of life within the last minutes, and take jobs."""
    paused: int = 0
    """Workers that did, and take none: their machines lack what every job needs."""

    def knows(self, run_id: str) -> bool:
        """Return whether the run waits here or was taken from here."""
        return run_id in self.waiting or run_id in self.taken

    def why_waiting(self, run_id: str) -> str:
        """Return a sentence for a person: the place in the queue, and why the job does not run yet."""
        if run_id in self.taken:
            return "A worker has taken it; it starts in a moment."
        if run_id not in self.waiting and (self.workers or self.paused):
            return "It is in no queue; a worker finds it in its folder within a minute and queues it."
        place = (
            f"Number {self.waiting.index(run_id) + 1} in the queue" if run_id in self.waiting else "It is in no queue"
        )
        if not self.workers:
            return f"{place}; {'no worker takes jobs now, and their logs say why.' if self.paused else NO_WORKER}"
        if len(self.taken) >= self.workers:
            who = "the worker is" if self.workers == 1 else f"all {self.workers} workers are"
            return f"{place}; {who} busy with {', '.join(sorted(self.taken))}."
        return f"{place}; a worker takes it in a moment."


class JobQueue:
    """The gateway's end of the queues; safe to use from many threads.

    Args:
        url: redis://, rediss:// or unix:// address.
        timeout_s: longest wait to connect and for an answer.
    """

    def __init__(self, url: str, timeout_s: float = 2.0) -> None:
        self._redis = Redis.from_url(
            url,
            socket_connect_timeout=timeout_s,
            socket_timeout=timeout_s,
            health_check_interval=30,
            # Once, and only where a connection went stale: what did not answer in time is not asked again.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._queues = [Queue(name, connection=self._redis, serializer=JSONSerializer) for name in QUEUE_NAMES]

    def ping(self) -> None:
        """Return if the queue answers.

        Raises:
            ApiError: 503 `queue_unavailable`, as from every method here.
        """
        with _queue_errors():
            self._redis.ping()

    def enqueue(self, run_id: str, kind: str, *, first: bool = False) -> None:
        """Put a run at the end of its kind's queue, or `first`, once, whatever an earlier attempt left behind."""
        queue = next(queue for queue in self._queues if queue.name == queue_name(kind))
        with _queue_errors():
            self._forget(run_id)
            try:
                queue.enqueue(
                    RUN_FUNCTION,
                    run_id,
                    job_id=run_id,
                    description=f"{kind} {run_id}",
                    unique=True,
                    at_front=first,
                    **JOB_OPTIONS,
                )
            except DuplicateJobError:
                _log.info("the run is in the queue already", extra={"run": run_id})

    def withdraw(self, run_id: str) -> bool:
        """Take a run out of the queue; return whether no worker will run it now (False: one has it already)."""
        with _queue_errors():
            removed = sum(self._redis.lrem(queue.key, 0, run_id) for queue in self._queues)
            if not removed and run_id in self._taken(self._workers()):
                return False
            self._forget(run_id)
            return True

    def is_taken(self, run_id: str) -> bool:
        """Return whether a live worker has the run, also while it is ending it."""
        with _queue_errors():
            return run_id in self._taken(self._workers())

    def snapshot(self) -> QueueSnapshot:
        """Return what waits and what is under way."""
        with _queue_errors():
            waiting = tuple(run_id for queue in self._queues for run_id in queue.get_job_ids())
            workers = self._workers()
            paused = sum(worker.get_state() == WorkerStatus.SUSPENDED for worker in workers)
            return QueueSnapshot(waiting, self._taken(workers), len(workers) - paused, paused)

    def _taken(self, workers: list[BaseWorker]) -> frozenset[str]:
        current = {run_id for worker in workers if (run_id := worker.get_current_job_id())}
        for queue in self._queues if workers else []:
            current.update(queue.intermediate_queue.get_job_ids())
        return frozenset(current)

    def _workers(self) -> list[BaseWorker]:
        return Worker.all(queue=self._queues[-1], serializer=JSONSerializer)

    def _forget(self, run_id: str) -> None:
        job = QueuedJob(run_id, connection=self._redis, serializer=JSONSerializer)
        job.origin = QUEUE_NAMES[0]
        try:
            job.delete()
        except InvalidJobOperation:  # RQ's word for a job of which it knows nothing
            self._redis.delete(job.key)
        for queue in self._queues:
            self._redis.lrem(queue.key, 0, run_id)


@contextmanager
def _queue_errors() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        _log.warning("the queue does not answer: %s", type(error).__name__)
        raise ApiError(
            status=503,
            code="queue_unavailable",
            message="The job queue does not answer, so this is not done; try again in a few seconds.",
            headers={"Retry-After": str(RETRY_AFTER_S)},
        ) from error
