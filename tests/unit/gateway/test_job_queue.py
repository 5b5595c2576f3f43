"""The gateway's end of the queue, on a real server."""

import json
import socket
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from rq.serializers import JSONSerializer
from rq.worker import Worker, WorkerStatus

from services.gateway.job_queue import JobQueue, QueueSnapshot
from shared.run_folder import QUEUE_NAMES, RunFolder
from shared.schemas.jobs import JobRequest, JobState
from shared.web import ApiError


def waiting(redis: Redis) -> list[bytes]:
    """Return the ids in RQ's own list."""
    return redis.lrange("rq:queue:trainer", 0, -1)


def test_a_run_is_queued_by_function_name_with_json_arguments(queue: JobQueue, redis: Redis) -> None:
    queue.enqueue("run-1", "train")

    job = redis.hgetall("rq:job:run-1")
    assert waiting(redis) == [b"run-1"]
    assert json.loads(zlib.decompress(job[b"data"])) == ["trainer.jobs.run", None, ["run-1"], {}]
    assert (job[b"timeout"], job[b"result_ttl"]) == (b"-1", b"0")


def test_a_run_that_is_queued_twice_waits_once(queue: JobQueue, redis: Redis) -> None:
    queue.enqueue("run-1", "train")
    queue.enqueue("run-1", "train")

    assert waiting(redis) == [b"run-1"]


def test_what_an_earlier_attempt_left_behind_is_no_obstacle(queue: JobQueue, redis: Redis) -> None:
    redis.hset("rq:job:run-1", "last_heartbeat", "2026-01-01T00:00:00.000000Z")

    queue.enqueue("run-1", "train")

    assert waiting(redis) == [b"run-1"]
    assert redis.hget("rq:job:run-1", "status") == b"queued"


def test_a_withdrawn_run_leaves_nothing_behind(queue: JobQueue, redis: Redis) -> None:
    queue.enqueue("run-1", "train")
    queue.enqueue("run-2", "train")

    assert queue.withdraw("run-1")
    assert waiting(redis) == [b"run-2"]
    assert not redis.exists("rq:job:run-1")


def test_a_run_of_which_the_queue_knows_nothing_counts_as_withdrawn(queue: JobQueue) -> None:
    assert queue.withdraw("run-9")


def test_a_run_that_a_worker_has_or_is_just_taking_is_not_withdrawn(
    queue: JobQueue, redis: Redis, worker: subprocess.Popen[bytes], folder: Path
) -> None:
    run = RunFolder.create(folder / "runs", JobRequest(dataset="faces.zip"))
    queue.enqueue(run.id, "train")
    while run.state().state != JobState.RUNNING:
        time.sleep(0.05)
    queue.enqueue("run-2", "train")
    redis.lmove("rq:queue:trainer", "rq:queue:trainer:intermediate")  # as RQ does before it says who has a job

    for taken in (run.id, "run-2"):
        assert queue.is_taken(taken)
        assert not queue.withdraw(taken)
        assert redis.exists(f"rq:job:{taken}")
    assert queue.snapshot() == QueueSnapshot(waiting=(), taken=frozenset({run.id, "run-2"}), workers=1)

    run.ask_to_cancel()
    while queue.is_taken(run.id):
        time.sleep(0.05)
    assert queue.withdraw(run.id)


def test_the_snapshot_has_the_order_in_which_runs_are_taken_short_ones_first(queue: JobQueue) -> None:
    queue.enqueue("run-1", "train")
    queue.enqueue("run-2", "fine-tune")
    queue.enqueue("run-3", "evaluate")

    snapshot = queue.snapshot()

    assert snapshot == QueueSnapshot(waiting=("run-3", "run-1", "run-2"), taken=frozenset(), workers=0)
    assert snapshot.why_waiting("run-2").startswith("Number 3 in the queue; no worker is running")


def test_a_worker_that_has_paused_is_none_that_takes_jobs(queue: JobQueue, redis: Redis) -> None:
    for name, state in (("one", WorkerStatus.IDLE), ("two", WorkerStatus.SUSPENDED)):
        worker = Worker(QUEUE_NAMES, connection=redis, name=name, serializer=JSONSerializer)
        worker.register_birth()  # type: ignore[no-untyped-call]
        worker.set_state(state)

    assert queue.snapshot() == QueueSnapshot(waiting=(), taken=frozenset(), workers=1, paused=1)


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (QueueSnapshot(("a",), frozenset(), 1), "Number 1 in the queue; a worker takes it in a moment."),
        (QueueSnapshot(("a",), frozenset({"b"}), 1), "Number 1 in the queue; the worker is busy with b."),
        (QueueSnapshot((), frozenset({"a"}), 1), "A worker has taken it; it starts in a moment."),
        (QueueSnapshot(("a",), frozenset({"b"}), 2), "Number 1 in the queue; a worker takes it in a moment."),
        (
            QueueSnapshot(("a",), frozenset({"c", "b"}), 2),
            "Number 1 in the queue; all 2 workers are busy with b, c.",
        ),
        (
            QueueSnapshot((), frozenset(), 1),
            "It is in no queue; a worker finds it in its folder within a minute and queues it.",
        ),
        (
            QueueSnapshot((), frozenset(), 0),
            "It is in no queue; no worker is running: `make up` or `docker compose up -d trainer` starts one "
            "(README.md, Scale).",
        ),
        (
            QueueSnapshot(("a",), frozenset(), 0, paused=2),
            "Number 1 in the queue; no worker takes jobs now, and their logs say why.",
        ),
        (
            QueueSnapshot((), frozenset(), 0, paused=1),
            "It is in no queue; a worker finds it in its folder within a minute and queues it.",
        ),
        (
            QueueSnapshot(("a",), frozenset({"b"}), 1, paused=1),
            "Number 1 in the queue; the worker is busy with b.",
        ),
    ],
)
def test_a_job_that_waits_says_why(snapshot: QueueSnapshot, said: str) -> None:
    assert snapshot.why_waiting("a") == said


@pytest.mark.parametrize(
    "use",
    [
        lambda queue: queue.ping(),
        lambda queue: queue.enqueue("run-1", "train"),
        lambda queue: queue.withdraw("run-1"),
        lambda queue: queue.is_taken("run-1"),
        lambda queue: queue.snapshot(),
    ],
    ids=["ping", "enqueue", "withdraw", "is_taken", "snapshot"],
)
def test_a_queue_that_is_away_is_unavailable_with_retry_after(
    absent_queue: JobQueue, use: Callable[[JobQueue], object]
) -> None:
    with pytest.raises(ApiError) as raised:
        use(absent_queue)

    error = raised.value
    assert (error.status, error.code, error.headers) == (503, "queue_unavailable", {"Retry-After": "5"})


def test_a_queue_that_takes_connections_and_says_nothing_is_asked_once() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        queue = JobQueue(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout_s=0.2)
        with pytest.raises(ApiError, match="does not answer"):
            queue.ping()
        silent.settimeout(1)
        silent.accept()[0].close()
        silent.settimeout(0.1)
        with pytest.raises(TimeoutError):
            silent.accept()
