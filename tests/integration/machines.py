"""Machines that share nothing but a queue and an S3 storage: the gateway's, and workers with folders of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.run_folder import RunFolder
from shared.schemas.jobs import JobState
from tests.integration.rooms import Rooms
from tests.s3_server import S3Server

LEASE_SECONDS = 10
"""Short, so that a test need not wait for long; long enough for a training process that is starved for a while."""


class Machine(Rooms):
    """The folders of one machine, and its worker; machines in one folder share a storage."""

    def __init__(self, folder: Path, data_dir: Path, queue_url: str, s3: S3Server) -> None:
        super().__init__(folder, data_dir, queue_url)
        self.s3, self.storage = s3, folder.parent.name
        self.environment = {
            **s3.environment(self.storage),
            "TRAINER_REDIS_URL": queue_url,
            "TRAINER_DATA_DIR": str(data_dir),
            "TRAINER_RUNS_DIR": str(self.runs),
            "TRAINER_MODELS_DIR": str(self.models),
            "TRAINER_DEVICE": "cpu",
            "TRAINER_THREADS": "1",
            "TRAINER_STORAGE_SECONDS": "0.3",
            "TRAINER_STORAGE_LEASE_SECONDS": str(LEASE_SECONDS),
        }

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker that takes its runs from the storage."""
        return self._start("worker")

    def _start(self, command: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, **self.environment}
        return subprocess.Popen([sys.executable, "-m", "trainer", command], env=environment)

    @contextmanager
    def sync(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run `python -m trainer sync`, as the gateway's machine does, until the block ends."""
        process = self._start("sync")
        try:
            yield process
        finally:
            process.terminate()
            try:
                assert process.wait(60) == 0
            finally:
                process.kill()

    def has_stored(self, run: RunFolder) -> bool:
        """Return whether the run trains and the storage has a checkpoint of it."""
        assert run.state().state in (JobState.QUEUED, JobState.RUNNING), "it has ended before it could be disturbed"
        return bool(self.s3.keys(f"{self.storage}/runs/{run.id}/checkpoints/"))

    def copy(self, run: RunFolder) -> RunFolder:
        """Return the run's folder on this machine."""
        return RunFolder(self.runs / run.id)
