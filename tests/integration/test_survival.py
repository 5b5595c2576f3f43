"""What a run survives, each with real processes: no job lost, none done twice, the weights of an undisturbed run.

A run ends with the weights of one that nobody disturbed (same seed, one thread, CPU), goes on exactly from its newest
whole checkpoint, and registers one version; no half-written model is to be seen meanwhile.
"""

import os
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from redis import Redis

from scripts.processes import free_port
from shared.model_folder import list_models
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
    make_old,
    resumed_at,
    saved_step,
    starts,
    suspend,
    wait_until,
    weights_digest,
)
from tests.integration.service_process import running_service


def test_kill_9_of_the_training_process(rooms: Rooms, undisturbed: str) -> None:
    run = rooms.submit()
    with rooms.worker() as worker:
        wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
        horse = horse_of(worker)
        suspend(horse)  # so that what is saved now is what is saved when it dies
        step = saved_step(run)
        kill(horse)
        wait_until(lambda: finished(run), run)
    assert resumed_at(run) == [step]
    assert_as_undisturbed(rooms, run, undisturbed)


def test_kill_9_of_the_worker_leaves_its_training_alone_and_nobody_begins_it_twice(
    rooms: Rooms, undisturbed: str
) -> None:
    run = rooms.submit()
    with rooms.worker() as worker:
        wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
        worker.kill()
        make_old(run)
        with rooms.worker():
            wait_until(lambda: finished(run), run)
    assert starts(run) == 1
    assert_as_undisturbed(rooms, run, undisturbed)


def test_kill_9_of_worker_training_and_queue_at_once(rooms: Rooms, queue: OwnQueue, undisturbed: str) -> None:
    run = rooms.submit()
    with rooms.worker() as worker:
        wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
        horse = horse_of(worker)
        suspend(horse)
        step = saved_step(run)
        kill(psutil.Process(worker.pid), horse)
        queue.kill()
    queue.restart(with_data=True)
    make_old(run)
    with rooms.worker():
        wait_until(lambda: finished(run), run)
    assert resumed_at(run) == [step]
    assert_as_undisturbed(rooms, run, undisturbed)


@pytest.mark.parametrize("with_data", [True, False], ids=["with its data", "with its data lost"])
def test_the_queue_restarted_while_a_run_trains_and_another_waits(
    with_data: bool, rooms: Rooms, queue: OwnQueue, undisturbed: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run, waiting = rooms.submit(), rooms.submit()
    with rooms.worker() as worker:
        wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
        queue.kill()
        found_no_queue = f"Run {run.id} goes on."  # what the worker says where it cannot give a sign of life
        wait_until(lambda: found_no_queue in "".join(capfd.readouterr()), run)
        queue.restart(with_data=with_data)
        make_old(waiting)
        wait_until(lambda: finished(run) and finished(waiting), run)
        assert worker.poll() is None, "the worker has to outlive the queue"
    assert [starts(run), starts(waiting)] == [1, 1]
    assert weights_digest(rooms.models, run) == weights_digest(rooms.models, waiting) == undisturbed
    assert len(list(list_models(rooms.models))) == 2


def test_a_queue_that_refuses_to_write_costs_no_worker_and_no_training(
    rooms: Rooms, queue: OwnQueue, undisturbed: str
) -> None:
    run = rooms.submit()
    with rooms.worker() as worker, Redis.from_url(queue.url) as connection:

        def refuses_until(condition: Callable[[], bool]) -> None:
            connection.config_resetstat()
            connection.config_set("maxmemory", "1")  # each write is an error then, as on a full disk
            wait_until(lambda: connection.info("errorstats") != {} and condition(), run)
            connection.config_set("maxmemory", "0")

        wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
        refuses_until(lambda: finished(run))
        waiting = rooms.submit()
        wait_until(lambda: finished(waiting), waiting)
        refuses_until(lambda: True)
        assert worker.poll() is None, "the worker has to outlive that"
    assert [starts(run), starts(waiting)] == [1, 1]
    assert weights_digest(rooms.models, run) == weights_digest(rooms.models, waiting) == undisturbed


def test_the_gateway_restarted(rooms: Rooms, tmp_path: Path, undisturbed: str) -> None:
    port = free_port()
    environment = {
        "GATEWAY_PORT": str(port),
        "GATEWAY_REDIS_URL": rooms.url,
        **{f"GATEWAY_{name}_DIR": str(getattr(rooms, name.lower())) for name in ("DATA", "RUNS", "MODELS")},
    }
    url = f"http://127.0.0.1:{port}"
    run = rooms.submit()
    with rooms.worker():
        with running_service("gateway", environment, url, tmp_path / "first.log") as gateway:
            wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
            for process in [*psutil.Process(gateway.pid).children(recursive=True), psutil.Process(gateway.pid)]:
                process.kill()
            gateway.wait()
        with running_service("gateway", environment, url, tmp_path / "second.log"):
            wait_until(lambda: finished(run), run)
    assert starts(run) == 1
    assert_as_undisturbed(rooms, run, undisturbed)


def test_sigterm_leaves_a_checkpoint_and_the_next_worker_goes_on_before_it_begins_another_run(
    rooms: Rooms, undisturbed: str
) -> None:
    run, waiting = rooms.submit(), rooms.submit()
    with rooms.worker() as worker:
        wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
        worker.terminate()
        assert worker.wait(60) == 0
    assert run.state().state == JobState.INTERRUPTED
    step = saved_step(run)
    assert f"step {step};" in (run.state().message or "")

    def finished_first() -> bool:
        begun = starts(waiting)
        assert finished(run) or not begun
        return finished(run)

    with rooms.worker():
        wait_until(finished_first, run)
    assert resumed_at(run) == [step]
    assert_as_undisturbed(rooms, run, undisturbed)


def test_a_truncated_checkpoint_is_passed_over_for_the_one_before(rooms: Rooms, undisturbed: str) -> None:
    run = rooms.submit()
    with rooms.worker() as worker:
        wait_until(lambda: has_saved(run, DISTURBED_AFTER), run)
        worker.terminate()
        worker.wait(60)
    *_, before, newest = checkpoints(run)
    os.truncate(newest, newest.stat().st_size // 2)
    with rooms.worker():
        wait_until(lambda: finished(run), run)
    assert resumed_at(run) == [int(before.stem.removeprefix("step-").removesuffix("_validated"))]
    assert_as_undisturbed(rooms, run, undisturbed)
