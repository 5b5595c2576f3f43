"""A real queue server, real folders, and a small real inference service for the gateway's unit tests."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from redis import Redis

from scripts.processes import free_port
from services.gateway.dataset_catalogue import DatasetCatalogue
from services.gateway.job_checks import JobChecks
from services.gateway.job_queue import JobQueue
from services.gateway.model_catalogue import ModelCatalogue
from services.gateway.run_reader import RunReader
from services.gateway.runs import Runs

from .folders import write_small_model, write_zip
from .small_inference import SmallInference, serve_inference


@pytest.fixture
def inference() -> Iterator[SmallInference]:
    """Serve a small inference service."""
    with serve_inference() as told:
        yield told


@pytest.fixture
def redis(queue_url: str) -> Iterator[Redis]:
    """Connect to the queue server, emptied."""
    with Redis.from_url(queue_url) as connection:
        connection.flushall()
        yield connection


@pytest.fixture
def queue(redis: Redis, queue_url: str) -> JobQueue:
    """Give the gateway's end of an empty queue."""
    return JobQueue(queue_url)


@pytest.fixture
def absent_queue() -> JobQueue:
    """Give a queue at an address where nothing listens."""
    return JobQueue(f"redis://127.0.0.1:{free_port()}/0")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with `data/faces.zip`, `models/first/1` and no runs."""
    (tmp_path / "data").mkdir()
    write_zip(tmp_path / "data" / "faces.zip")
    write_small_model(tmp_path / "models")
    return tmp_path


@pytest.fixture
def make_runs(folder: Path) -> Callable[[JobQueue], Runs]:
    """Give a function that makes the jobs over the folder and a queue."""

    def make(queue: JobQueue) -> Runs:
        checks = JobChecks(folder / "runs", DatasetCatalogue(folder / "data"), ModelCatalogue(folder / "models"))
        return Runs(folder / "runs", queue, RunReader(folder / "runs", queue), checks)

    return make


@pytest.fixture
def runs(make_runs: Callable[[JobQueue], Runs], queue: JobQueue) -> Runs:
    """Give the jobs over the folder and an empty queue."""
    return make_runs(queue)


@pytest.fixture
def reader(folder: Path, queue: JobQueue) -> RunReader:
    """Show the jobs over the folder and the queue."""
    return RunReader(folder / "runs", queue)


@pytest.fixture
def worker(redis: Redis, queue_url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a small real worker on the queue and the folder's runs."""
    command = [sys.executable, "-m", "tests.unit.gateway.small_worker", queue_url, str(folder / "runs")]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:  # asked to end, it would wait for what it does, which a failed test may leave under way
            worker = psutil.Process(process.pid)
            for each in [worker, *worker.children(recursive=True)]:
                each.kill()
