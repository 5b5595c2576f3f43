"""What may be queued: thin adapters from the queue to plain functions. Runs in the worker's work-horse process."""

import logging
import signal
import types
from pathlib import Path

from shared.errors import RunFolderError
from shared.json_logs import configure_json_logs
from shared.run_folder import LOG_FILE, RUN_FUNCTION, RunFolder
from trainer.settings import Settings

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
    settings, stop = Settings(), StopSignal()
    try:
        folder = RunFolder.open(settings.runs_dir, run_id)
    except RunFolderError as error:
        log.warning("%s Its folder is gone, so there is nothing to do.", error)
        return "gone"
    from trainer.runs import execute  # torch: only here, in the process that trains, never in the worker that forks it

    configure_json_logs("trainer", settings.log_level)
    _log_to(folder.path / LOG_FILE)
    return execute(folder, settings, lambda: stop.asked).state


def _log_to(path: Path) -> None:
    """Also write the log, line by line, to the run's folder."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
