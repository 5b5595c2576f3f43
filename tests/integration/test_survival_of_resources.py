"""What a run survives when something is missing or claimed twice: its data, room on the disk, memory, itself.

Real processes, as in test_survival; in the end the weights are those of a run that nobody disturbed.
"""

import resource
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from rq.worker import Worker, WorkerStatus

from shared.run_folder import LOG_FILE, RunFolder
from shared.schemas.jobs import JobState
from tests.integration.rooms import (
    DISTURBED_AFTER,
    OwnQueue,
    Rooms,
    assert_as_undisturbed,
    checkpoints,
    finished,
    has_saved,
    horse_of,
    kill,
    resumed_at,
    saved_step,
    starts,
    suspend,
    wait_for,
    wait_until,
    watched,
)
from tests.integration.scarcity import Limits, MountedDisk, OutOfMemory, OutOfTime, killer
from trainer.lost_runs import MAX_DEATHS, enqueue

limits_others = pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux limits another process")


def test_two_workers_that_race_for_one_job_train_it_once(rooms: Rooms, undisturbed: str) -> None:
    with rooms.worker() as one, rooms.worker() as other:
        while Worker.count(rooms.connection) < 2:
            assert one.poll() is None
            assert other.poll() is None
        run = rooms.submit()
        enqueue(rooms.queues, run)  # both workers wait, and there is one job for each: the same
        wait_until(lambda: finished(run), run)
        assert rooms.queues[-1].count == 0
    assert starts(run) == 1
    assert resumed_at(run) == []
    assert_as_undisturbed(rooms, run, undisturbed)


def test_a_data_set_that_vanishes_fails_the_run_with_a_sentence_and_it_goes_on_once_the_data_is_back(
    rooms: Rooms, tmp_path: Path, drawn_dataset: Path, undisturbed: str
) -> None:
    rooms.data, away = tmp_path / "data", tmp_path / "away"
    (rooms.data / "another").mkdir(parents=True)
    run = rooms.submit()
    with rooms.worker() as worker:
        wait_for(JobState.FAILED, run)
        assert "There is no data set" in (run.state().message or "")

        shutil.copytree(drawn_dataset, rooms.data / "drawn")
        rooms.resume(run)
        wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
        horse = horse_of(worker)
        suspend(horse)
        step = saved_step(run)
        (rooms.data / "drawn").rename(away)
        kill(horse)
        wait_for(JobState.FAILED, run)
        assert "There is no data set" in (run.state().message or "")
        assert saved_step(run) == step

        away.rename(rooms.data / "drawn")
        rooms.resume(run)
        wait_until(lambda: finished(run), run)
    assert resumed_at(run) == [step]
    assert_as_undisturbed(rooms, run, undisturbed)


def test_a_worker_without_its_data_folder_leaves_the_jobs_to_others_and_goes_on_once_it_is_there(
    rooms: Rooms, tmp_path: Path, drawn_dataset: Path, undisturbed: str
) -> None:
    sick = Rooms(tmp_path, tmp_path / "data", rooms.url)
    run = rooms.submit()
    with sick.worker():
        while not any(worker.get_state() == WorkerStatus.SUSPENDED for worker in Worker.all(rooms.connection)):
            time.sleep(0.05)
        assert run.state().state == JobState.QUEUED
        assert rooms.queues[-1].job_ids == [run.id]
        with rooms.worker():
            wait_until(lambda: finished(run), run)
        assert starts(run) == 1
        assert_as_undisturbed(rooms, run, undisturbed)

        later = rooms.submit()
        shutil.copytree(drawn_dataset, sick.data / "drawn")
        wait_for(JobState.RUNNING, later)


@pytest.fixture(params=["a disk of its own", "limits"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MountedDisk | Limits]:
    """A small disk for the runs; where none can be mounted, what needs no rights still runs."""
    if request.param == "limits":
        yield Limits(tmp_path / "small")
        return
    try:
        mounted = MountedDisk(tmp_path / "small")
    except OSError as error:
        pytest.skip(f"a disk of its own cannot be mounted here: {error}")
    yield mounted
    mounted.unmount()


def has_failed_to_save(run: RunFolder) -> bool:
    assert not finished(run), "there was room for its checkpoints"
    return "no checkpoint written" in (run.path / LOG_FILE).read_text()


def suspended_between_two_writes(horse: psutil.Process, run: RunFolder) -> None:
    """Suspend the process while no file is half written and no old checkpoint about to go: what it needs is known."""
    while True:
        suspend(horse)
        if len(checkpoints(run)) == 2 and not list(run.path.rglob(".*")):
            return
        horse.resume()
        assert not finished(run)
        time.sleep(0.01)


@limits_others
def test_a_full_disk_keeps_the_checkpoint_before_then_ends_the_run_with_a_sentence_and_it_goes_on_once_there_is_room(
    disk: MountedDisk | Limits, tmp_path: Path, drawn_dataset: Path, queue: OwnQueue, undisturbed: str
) -> None:
    rooms = Rooms(tmp_path, drawn_dataset.parent, queue.url, disk.runs)
    run = rooms.submit()
    with watched(rooms.models), rooms.worker() as worker:
        wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
        horse = horse_of(worker)
        suspended_between_two_writes(horse, run)
        step = saved_step(run)
        disk.leave_room_for_no_checkpoint(horse)
        horse.resume()
        wait_until(lambda: has_failed_to_save(run), run)
        suspended_between_two_writes(horse, run)
        assert (saved_step(run), run.state().state) == (step, JobState.RUNNING)

        disk.leave_no_room(run)
        horse.resume()
        wait_for(JobState.FAILED, run)
        assert "The disk is full; make room and resume" in (run.state().message or "")
        assert saved_step(run) == step

        disk.make_room(run)
        rooms.resume(run)
        wait_until(lambda: finished(run), run)
    assert resumed_at(run) == [step]
    assert_as_undisturbed(rooms, run, undisturbed)


@pytest.fixture
def out_of_memory() -> Iterator[OutOfMemory | OutOfTime]:
    with killer() as kills:
        yield kills


def next_horse(worker: psutil.Process, run: RunFolder, deaths: int) -> psutil.Process | None:
    """Return the process that trains after so many deaths, once it says that it runs; None if the run is given up."""
    while starts(run) <= deaths:
        if run.state().state == JobState.FAILED:
            return None
        time.sleep(0.02)
    (horse,) = worker.children()
    return horse


@limits_others
def test_a_run_that_is_killed_for_want_of_memory_is_tried_again_then_given_up_with_a_sentence_and_can_be_resumed(
    rooms: Rooms, out_of_memory: OutOfMemory | OutOfTime, undisturbed: str
) -> None:
    run = rooms.submit()
    with rooms.worker() as process:
        worker = psutil.Process(process.pid)
        wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
        deaths = 0
        while horse := next_horse(worker, run, deaths):
            out_of_memory.kill(horse)
            deaths += 1
        step = saved_step(run)
        assert deaths >= MAX_DEATHS  # more, if one saved a checkpoint before it was found
        assert f"died {MAX_DEATHS} times" in (run.state().message or "")
        assert "choose a smaller batch size" in (run.state().message or "")
        rooms.resume(run)
        wait_until(lambda: finished(run), run)
    assert resumed_at(run)[-1] == step
    assert_as_undisturbed(rooms, run, undisturbed)
