"""What a worker asks of the storage, in a process apart."""

import logging

from trainer.apart import ask

log = logging.getLogger(__name__)

MODULE = "trainer.storage"


def problem() -> str | None:
    """Return what is wrong with the storage at TRAINER_STORAGE_URL, as a sentence; None if it answers."""
    return ask(MODULE, "check")


def hand_back(run_id: str, worker: str) -> None:
    """Give back the run of a process that died; if that fails, its lease runs out."""
    what = ask(MODULE, "hand-back", run_id, worker)
    if what is not None:
        log.error("run %s could not be given back: %s", run_id, what)
