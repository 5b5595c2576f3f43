"""The worker as a real process on a real queue: a run becomes a version, is cancelled and resumed, or is refused.

What a run survives is tested in test_survival and test_survival_of_resources.
"""

import time
from pathlib import Path

from shared.model_folder import read_card
from shared.schemas.jobs import JobState
from tests.integration.rooms import QUICK, Rooms, checkpoints, finished, resumed_at, saved_step, wait_until

TWO_EPOCHS = QUICK.model_copy(update={"epochs": 2})
LONG = QUICK.model_copy(update={"epochs": 1000})


def test_a_queued_run_becomes_a_model_version_with_its_card(rooms: Rooms) -> None:
    run = rooms.submit(TWO_EPOCHS)
    with rooms.worker():
        wait_until(lambda: finished(run), run)
    state = run.state()
    assert state.model == f"five/{run.id}"
    card = read_card(rooms.models / "five" / run.id)
    assert card.data["counts"]["test"] == dict.fromkeys(card.labels, 3)
    assert set(card.metrics["test"]) == {"full", "upper", "lower", "left", "right"}
    assert card.metrics["export"]["parity"]["float32"]["agreement"] == 1.0
    assert [row.epoch for row in run.metrics()] == [1, 2]
    progress = run.progress()
    assert (progress.phase, progress.step) == ("done", progress.steps)


def test_a_cancelled_run_stops_with_a_checkpoint_and_goes_on_from_it(rooms: Rooms) -> None:
    run = rooms.submit(LONG)
    with rooms.worker():
        wait_until(lambda: run.progress().epoch > 1, run)
        run.ask_to_cancel()
        wait_until(lambda: run.state().state == JobState.CANCELLED, run)
        step = saved_step(run)
        assert f"step {step};" in (run.state().message or "")
        assert len(checkpoints(run)) == 2
        rooms.resume(run)
        wait_until(lambda: run.progress().step > step, run)
    assert resumed_at(run) == [step]
    epochs = [row.epoch for row in run.metrics()]
    assert epochs == list(range(1, len(epochs) + 1))


def test_a_function_that_is_not_on_the_list_is_refused(rooms: Rooms, tmp_path: Path) -> None:
    target = tmp_path / "made"
    job = rooms.queues[-1].enqueue("os.mkdir", args=(str(target),), job_id="evil")
    with rooms.worker():
        while not job.is_failed:
            time.sleep(0.1)
    assert not target.exists()
