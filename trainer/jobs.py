"""What may be queued: thin adapters from the queue to plain functions. Runs in the worker's work-horse process."""

import logging
import secrets
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path

from rq import get_current_job

from shared.errors import RunFolderError
from shared.json_logs import configure_json_logs
from shared.run_folder import LOG_FILE, RUN_FUNCTION, RunFolder
from trainer.settings import Settings, load_settings

ALLOWED = frozenset({RUN_FUNCTION})
"""The functions that a worker does; anything else on the queue is refused."""

log = logging.getLogger(__name__)


class StopSignal:
    """Notes SIGTERM, on which a run writes a checkpoint and ends, to be resumed."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        self.asked = True


def run(run_id: str) -> str:
    """Do the run, or go on with it; return the state that it ended in. The folder has the truth."""
    settings, stop = after_fork(load_settings(), sys.platform), StopSignal()
    if not settings.storage_url:
        return _do(run_id, settings, lambda: stop.asked)
    from trainer.storage.loan import lent  # its threads do not survive a fork: never in the worker that forks

    with lent(run_id, settings, _worker_name(), lambda: stop.asked) as stop_asked:
        return "elsewhere" if stop_asked is None else _do(run_id, settings, stop_asked)


def after_fork(settings: Settings, platform: str) -> Settings:
    """Return the settings for a process that was forked.

    On macOS neither the GPU nor the libraries that reach it survive that: the device is the CPU unless one is named.
    """
    is_open = platform == "darwin" and settings.device == "auto"
    return settings.model_copy(update={"device": "cpu"}) if is_open else settings


def _worker_name() -> str:
    job = get_current_job()
    return (job.worker_name if job else None) or secrets.token_hex(8)


def _do(run_id: str, settings: Settings, stop_asked: Callable[[], bool]) -> str:
    try:
        folder = RunFolder.open(settings.runs_dir, run_id)
    except RunFolderError as error:
        log.warning("%s Its folder is gone, so there is nothing to do.", error)
        return "gone"
    from trainer.runs import execute  # torch: only here, in the process that trains, never in the worker that forks it

    configure_json_logs("trainer", settings.log_level)
    _log_to(folder.path / LOG_FILE)
    try:
        return execute(folder, settings, stop_asked).state
    except RunFolderError as error:
        log.error("%s", error)
        return "not begun"


def _log_to(path: Path) -> None:
    """Also write the log, line by line, to the run's folder."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
