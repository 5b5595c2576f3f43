"""The worker as a real process on a real queue: a run is trained, stopped, resumed, and survives kill -9."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from shared.model_folder import list_models, read_card
from shared.run_folder import RUN_FUNCTION, RunFolder
from shared.schemas import JobRequest, JobState, TrainSettings

QUICK = TrainSettings(
    architecture="resnet18",
    epochs=2,
    batch_size=32,
    size=16,
    warmup_steps=4,
    precision="fp32",
    duplicate_similarity=1.01,
)
LONG = QUICK.model_copy(update={"epochs": 1000})


class Rooms:
    """A worker's folders and its queue, emptied for the test."""

    def __init__(self, folder: Path, data_dir: Path, queue_url: str) -> None:
        self.runs, self.models, self.data, self.url = folder / "runs", folder / "models", data_dir, queue_url
        connection = Redis.from_url(queue_url)
        connection.flushdb()
        self.queue = Queue("trainer", connection=connection, serializer=JSONSerializer)

    def submit(self, settings: TrainSettings) -> RunFolder:
        """Make a run's folder and queue it, as the gateway does."""
        run = RunFolder.create(self.runs, JobRequest(dataset="drawn", view="five", settings=settings))
        self.queue.enqueue(RUN_FUNCTION, args=(run.id,), job_id=run.id, job_timeout=-1, result_ttl=0)
        return run

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker process; end it with SIGTERM."""
        environment = {
            **os.environ,
            "TRAINER_REDIS_URL": self.url,
            "TRAINER_DATA_DIR": str(self.data),
            "TRAINER_RUNS_DIR": str(self.runs),
            "TRAINER_MODELS_DIR": str(self.models),
            "TRAINER_DEVICE": "cpu",
            "TRAINER_THREADS": "2",
        }
        with subprocess.Popen([sys.executable, "-m", "trainer", "worker"], env=environment) as process:
            try:
                yield process
            finally:
                process.terminate()
                process.wait(120)


@pytest.fixture
def rooms(tmp_path: Path, drawn_dataset: Path, queue_url: str) -> Rooms:
    return Rooms(tmp_path, drawn_dataset.parent, queue_url)


def wait_until(condition: Callable[[], bool], run: RunFolder) -> None:
    """Return when `condition` holds; the test's time limit ends the wait, and a failed run ends it at once."""
    while not condition():
        assert run.state().state != JobState.FAILED, run.state().message
        time.sleep(0.1)


def in_epoch(run: RunFolder, epoch: int) -> bool:
    return run.progress().phase == "training" and run.progress().epoch >= epoch


def test_a_queued_run_becomes_a_model_version_with_its_card(rooms: Rooms) -> None:
    run = rooms.submit(QUICK)
    with rooms.worker():
        wait_until(lambda: run.state().state == JobState.FINISHED, run)
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
        wait_until(lambda: in_epoch(run, 2), run)
        run.ask_to_cancel()
        wait_until(lambda: run.state().state == JobState.CANCELLED, run)
        reached = run.progress().step
        assert list((run.path / "checkpoints").glob("step-*.safetensors"))
        run.withdraw_cancel()
        run.set_state(run.state().model_copy(update={"state": JobState.QUEUED}))
        rooms.queue.enqueue(RUN_FUNCTION, args=(run.id,), job_id=run.id, job_timeout=-1, result_ttl=0)
        wait_until(lambda: run.state().state == JobState.RUNNING and run.progress().step > reached, run)
    epochs = [row.epoch for row in run.metrics()]
    assert epochs == list(range(1, len(epochs) + 1))


def test_sigterm_to_the_worker_leaves_an_interrupted_run_that_the_next_worker_resumes(rooms: Rooms) -> None:
    run = rooms.submit(LONG)
    with rooms.worker():
        wait_until(lambda: in_epoch(run, 1), run)
    assert run.state().state == JobState.INTERRUPTED
    reached = run.progress().step
    with rooms.worker():
        wait_until(lambda: run.state().state == JobState.RUNNING and run.progress().step > reached, run)


def test_a_run_whose_process_is_killed_goes_on_by_itself(rooms: Rooms) -> None:
    run = rooms.submit(LONG)
    with rooms.worker() as worker:
        wait_until(lambda: in_epoch(run, 2), run)
        (horse,) = psutil.Process(worker.pid).children()
        horse.send_signal(signal.SIGKILL)
        wait_until(lambda: run.state().state == JobState.INTERRUPTED, run)
        wait_until(lambda: run.state().state == JobState.RUNNING and in_epoch(run, 3), run)
    epochs = [row.epoch for row in run.metrics()]
    assert epochs == list(range(1, len(epochs) + 1))


def test_a_run_that_the_queue_forgot_is_found_in_its_folder(rooms: Rooms) -> None:
    run = rooms.submit(QUICK)
    rooms.queue.connection.flushdb()
    long_ago = time.time() - 3600
    os.utime(run.path / "state.json", (long_ago, long_ago))
    with rooms.worker():
        wait_until(lambda: run.state().state == JobState.FINISHED, run)
    assert [name for name, _ in list_models(rooms.models)] == [f"five/{run.id}"]


def test_a_function_that_is_not_on_the_list_is_refused(rooms: Rooms, tmp_path: Path) -> None:
    target = tmp_path / "made"
    job = rooms.queue.enqueue("os.mkdir", args=(str(target),), job_id="evil")
    with rooms.worker():
        while not job.is_failed:
            time.sleep(0.1)
    assert not target.exists()


def test_a_data_set_that_vanished_fails_the_run_with_a_sentence(rooms: Rooms) -> None:
    rooms.data = rooms.runs
    run = rooms.submit(QUICK)
    with rooms.worker():
        while run.state().state != JobState.FAILED:
            time.sleep(0.1)
    assert "There is no data set" in (run.state().message or "")
