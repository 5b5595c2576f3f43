"""What a worker asks of the storage in a process apart: its own, which forks for each run, must not load `obstore`."""

import logging
import subprocess
import sys
from typing import Final

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 300
"""A checkpoint may have to be put."""


def problem() -> str | None:
    """Return what is wrong with the storage at TRAINER_STORAGE_URL, as a sentence; None if it answers."""
    return _ask("check")


def hand_back(run_id: str, worker: str) -> None:
    """Give back the run of a process that died; if that fails, its lease runs out."""
    what = _ask("hand-back", run_id, worker)
    if what is not None:
        log.error("run %s could not be given back: %s", run_id, what)


def _ask(*words: str) -> str | None:
    command = [sys.executable, "-m", "trainer.storage", *words]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"The storage was too slow: it had {TIMEOUT_S} s."
    return done.stdout.strip() or None
