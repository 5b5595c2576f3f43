"""Workers on other machines: real processes with folders of their own, an S3 server, a queue, and `trainer sync`."""

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shared.run_folder import RUN_FUNCTION
from shared.schemas.jobs import JobState
from tests.integration.machines import Machine
from tests.integration.rooms import (
    QUICK,
    OwnQueue,
    Rooms,
    assert_as_undisturbed,
    finished,
    horse_of,
    kill,
    resumed_at,
    saved_step,
    starts,
    wait_for,
    wait_until,
    watched,
    weights_digest,
)
from tests.s3_server import S3Server

SLOW = QUICK.model_copy(update={"batch_size": 4, "epochs": 8, "checkpoint_seconds": 300.0})
"""A checkpoint at the end of each epoch: the first is in the storage long before the last."""

LONG = SLOW.model_copy(update={"epochs": 1000})


@pytest.fixture
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def home(tmp_path: Path, drawn_dataset: Path, queue: OwnQueue, s3: S3Server) -> Iterator[Machine]:
    """The gateway's machine, which trains nothing: a model that is not whole there fails the test."""
    machine = Machine(tmp_path / "home", drawn_dataset.parent, queue.url, s3)
    with watched(machine.models), machine.sync():
        yield machine


@pytest.fixture
def near(tmp_path: Path, drawn_dataset: Path, queue: OwnQueue, s3: S3Server) -> Machine:
    return Machine(tmp_path / "near", drawn_dataset.parent, queue.url, s3)


@pytest.fixture
def far(tmp_path: Path, drawn_dataset: Path, queue: OwnQueue, s3: S3Server) -> Machine:
    return Machine(tmp_path / "far", drawn_dataset.parent, queue.url, s3)


@pytest.fixture(scope="module")
def slow_digest(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory, queue_url: str) -> str:
    """The digest of the weights of a slow run that nobody disturbed, on one machine."""
    rooms = Rooms(tmp_path_factory.mktemp("slow"), drawn_dataset.parent, queue_url)
    run = rooms.submit(SLOW)
    with rooms.worker():
        wait_until(lambda: finished(run), run)
    return weights_digest(rooms.models, run)


def test_a_job_of_one_machine_is_trained_on_another(home: Machine, near: Machine, undisturbed: str) -> None:
    run = home.submit()
    with near.worker():
        wait_until(lambda: finished(run), run)
    assert_as_undisturbed(home, run, undisturbed)
    assert starts(run) == 1
    assert "epoch 6" in (run.path / "log.txt").read_text()
    assert run.progress().phase == "done"
    assert not near.copy(run).path.exists()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_run_goes_on_on_another_machine_from_the_storages_checkpoint_where_its_machine_dies(
    home: Machine, near: Machine, far: Machine, slow_digest: str
) -> None:
    run = home.submit(SLOW)
    with near.worker() as worker:
        wait_until(lambda: home.has_stored(run), run)
        kill(psutil.Process(worker.pid), horse_of(worker))
    with far.worker():
        wait_until(lambda: finished(run), run)
    assert resumed_at(run)
    assert_as_undisturbed(home, run, slow_digest)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_wish_to_cancel_and_the_death_of_a_process_reach_the_other_machines(
    home: Machine, near: Machine, far: Machine
) -> None:
    run = home.submit(LONG)
    with near.worker() as worker:
        wait_until(lambda: home.has_stored(run), run)
        kill(horse_of(worker))
        wait_until(lambda: starts(run) == 2, run)
        run.ask_to_cancel()
        wait_for(JobState.CANCELLED, run)
        wait_until(lambda: saved_step(run) > 0, run)
    reached = saved_step(run)
    home.resume(run)
    with far.worker():
        wait_until(lambda: run.state().state == JobState.RUNNING and run.progress().step > reached, run)
    wait_for(JobState.INTERRUPTED, run)  # by SIGTERM
    assert resumed_at(run)[-1] == reached


@pytest.mark.long
@pytest.mark.timeout(900)
def test_two_machines_that_get_a_run_at_once_train_it_once(home: Machine, near: Machine, undisturbed: str) -> None:
    run = home.submit()
    with home.worker(), near.worker():
        for number in range(2):
            home.queues[-1].enqueue(RUN_FUNCTION, args=(run.id,), job_id=f"again-{number}", job_timeout=-1)
        wait_until(lambda: finished(run) and not run.is_lent(), run)
        while any(queue.job_ids for queue in home.queues):
            time.sleep(0.1)
    assert starts(run) == 1
    assert_as_undisturbed(home, run, undisturbed)
