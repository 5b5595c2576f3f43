"""Lost runs are queued once each and in order, on a real queue; who looks for them are real processes."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
import torch
from redis import Redis
from rq import Queue
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from shared.run_folder import QUEUE_NAMES, RunFolder, RunState
from shared.schemas.jobs import JobRequest, JobState
from tests.integration.rooms import Rooms, make_old
from trainer import lost_runs
from trainer.lost_runs import LostRuns, enqueue
from trainer.registration import note_origin
from trainer.run_lock import only_one

LOOKERS = 3


@pytest.fixture
def rooms(tmp_path: Path, drawn_dataset: Path, queue_url: str) -> Rooms:
    """Folders of the test's own, and a queue that others used before."""
    rooms = Rooms(tmp_path, drawn_dataset.parent, queue_url)
    rooms.connection.flushdb()
    return rooms


def make_run(rooms: Rooms, run_id: str, state: JobState = JobState.QUEUED, after: tuple[str, ...] = ()) -> RunFolder:
    """Make a run that no queue knows of."""
    run = RunFolder.create(rooms.runs, JobRequest(dataset="drawn", view="five"), run_id=run_id, after=list(after))
    run.set_state(RunState(state=state))
    return run


def waiting(rooms: Rooms) -> list[str]:
    return [run_id for queue in rooms.queues for run_id in queue.job_ids]


def look(runs_dir: Path, queue_url: str, barrier: Barrier) -> None:
    """Look for lost runs when all others do."""
    connection = Redis.from_url(queue_url)
    finder = LostRuns(runs_dir, [Queue(name, connection=connection, serializer=JSONSerializer) for name in QUEUE_NAMES])
    barrier.wait(60)
    finder.requeue()


def test_interrupted_runs_go_before_those_that_wait_and_the_others_behind_them_in_their_order(rooms: Rooms) -> None:
    enqueue(rooms.queues, make_run(rooms, "1-waits"))
    for run_id, state in (
        ("2-begun", JobState.INTERRUPTED),
        ("3-lost", JobState.QUEUED),
        ("4-begun", JobState.RUNNING),
        ("5-lost", JobState.QUEUED),
    ):
        make_old(make_run(rooms, run_id, state))
    LostRuns(rooms.runs, rooms.queues).requeue()
    assert waiting(rooms) == ["2-begun", "4-begun", "1-waits", "3-lost", "5-lost"]


def test_workers_that_look_at_the_same_time_queue_each_run_once(rooms: Rooms) -> None:
    make_run(rooms, "0-base", JobState.FINISHED)
    runs = [make_run(rooms, f"1-lost-{index}") for index in range(10)]
    runs += [make_run(rooms, f"2-interrupted-{index}", JobState.INTERRUPTED) for index in range(10)]
    for run in runs:
        make_old(run)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(LOOKERS)
    lookers = [context.Process(target=look, args=(rooms.runs, rooms.url, barrier), daemon=True) for _ in range(LOOKERS)]
    for process in lookers:
        process.start()
    for process in lookers:
        process.join()
    assert [process.exitcode for process in lookers] == [0] * LOOKERS
    assert sorted(waiting(rooms)) == sorted(run.id for run in runs)


def test_a_run_that_a_worker_has_just_taken_is_left_alone_before_and_after_its_process_has_the_lock(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = make_run(rooms, "0-base")
    run = make_run(rooms, "1-waited", after=(base.id,))
    base.set_state(RunState(state=JobState.FINISHED))
    make_old(run)
    finder = LostRuns(rooms.runs, rooms.queues)
    assert finder.requeue() == [run.id]

    rooms.connection.lpop(rooms.queues[-1].key)  # as a worker takes it
    assert finder.requeue() == []
    with only_one(run):  # as the process that it forks does; another is stood in for by a thread of this one
        job = Job.fetch(run.id, rooms.connection, JSONSerializer)
        job.set_status(JobStatus.STARTED)
        with ThreadPoolExecutor(1) as other:
            assert other.submit(finder.requeue).result() == []
    assert waiting(rooms) == []

    assert finder.requeue() == [run.id], "its process died"
    rooms.connection.lpop(rooms.queues[-1].key)
    assert finder.requeue() == [], "when it was taken before counts no more"
    monkeypatch.setattr(lost_runs, "SETTLE_SECONDS", 0)
    assert finder.requeue() == [run.id], "the worker that took it died before it had a process"


def test_a_run_of_several_processes_is_not_queued_but_says_what_became_of_it(rooms: Rooms) -> None:
    runs = [make_run(rooms, f"{index}-together", JobState.RUNNING) for index in range(2)]
    for run in runs:
        note_origin(run, torch.device("cpu"), processes=2)
        make_old(run)
    runs[1].ask_to_cancel()
    assert LostRuns(rooms.runs, rooms.queues).requeue() == []
    assert [run.state().state for run in runs] == [JobState.INTERRUPTED, JobState.CANCELLED]
    assert f"torchrun --nproc-per-node 2 -m trainer resume {runs[0].id}" in (runs[0].state().message or "")


def test_a_run_that_is_queued_by_the_gateway_after_its_parts_finished_is_not_queued_by_a_worker_too(
    rooms: Rooms,
) -> None:
    base = make_run(rooms, "0-base", JobState.FINISHED)
    make_old(base)
    make_run(rooms, "1-new", after=(base.id,))
    assert LostRuns(rooms.runs, rooms.queues).requeue() == []
