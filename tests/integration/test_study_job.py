"""A study through queue and worker, on drawn faces: six trainings in the order of what they need, then the report."""

import time

import psutil
import pytest

from shared.model_folder import list_models, model_path, read_card
from shared.run_folder import REPORT_DIR, RunFolder
from shared.schemas.jobs import JobRequest, JobState
from shared.schemas.wire import SLOTS
from shared.study import STUDY_FILE, read_study
from shared.study_plan import create_study
from tests.integration.rooms import QUICK, Rooms, finished, kill, starts
from trainer.lost_runs import enqueue

SETTINGS = QUICK.model_copy(update={"epochs": 2, "batch_size": 32, "max_pool": True})


class Order:
    """The jobs of a study, looked at again and again: none may begin before what it needs is there."""

    def __init__(self, runs: list[RunFolder]) -> None:
        self.base, *self.fine_tunings, self.report = runs
        self.trainings = runs[:-1]

    def check(self) -> None:
        """Fail if a job has failed, or has begun before its turn."""
        for run in (*self.trainings, self.report):
            assert run.state().state != JobState.FAILED, run.state().message
        reported, tuned = starts(self.report), sum(starts(run) for run in self.fine_tunings)
        assert finished(self.base) or not tuned
        assert all(finished(run) for run in self.trainings) or not reported


def horse_in_the_middle(order: Order, worker: psutil.Process) -> tuple[RunFolder, psutil.Process]:
    """Return a fine-tuning that trains, and the process that does it."""
    while True:
        order.check()
        for run in order.fine_tunings:
            if run.state().state == JobState.RUNNING:
                (horse,) = worker.children()
                return run, horse
        time.sleep(0.05)


@pytest.mark.long
@pytest.mark.timeout(900)  # seven jobs, each with a process of its own
def test_a_study_trains_its_six_models_in_their_order_then_reports_and_a_killed_process_loses_nothing(
    rooms: Rooms,
) -> None:
    order = Order(create_study(rooms.runs, JobRequest(kind="study", dataset="drawn", settings=SETTINGS)))
    enqueue(rooms.queues, order.base)  # as the gateway does: the others wait
    with rooms.worker() as worker:
        killed, horse = horse_in_the_middle(order, psutil.Process(worker.pid))
        kill(horse)
        while not finished(order.report):
            order.check()
            time.sleep(0.05)
    assert {run.id: starts(run) for run in (*order.trainings, order.report)} == {
        run.id: 2 if run is killed else 1 for run in (*order.trainings, order.report)
    }
    versions = {run.request().step: run.state().model for run in order.trainings}
    assert sorted(versions) == sorted(SLOTS)
    assert sorted(name for name, _ in list_models(rooms.models)) == sorted(map(str, versions.values()))
    base = versions["full"]
    for slot in set(SLOTS) - {"full"}:
        asked = read_card(model_path(rooms.models, str(versions[slot]))).training["request"]
        assert (asked["base_model"], asked["teacher"], asked["view"]) == (base, base, slot)
    study = read_study(order.report.path / REPORT_DIR / STUDY_FILE)
    assert {model.slot: model.version for model in study.models} == versions
    assert order.report.state().model == base
