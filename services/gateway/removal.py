"""Removing runs: a folder gets another name first, so that a deletion that is cut off leaves no half of a run."""

import logging
import shutil
from pathlib import Path
from typing import Final

from shared.run_folder import RunFolder

PREFIX: Final = ".deleted-"
"""No run's id begins with a dot."""

_log = logging.getLogger("halfface.gateway.runs")


def remove(run: RunFolder) -> None:
    """Remove a run's folder; what cannot be removed now is no run any more, and goes at the gateway's next start.

    Raises:
        OSError: the folder of all runs cannot be written; nothing is changed.
    """
    _empty(run.path.rename(run.path.with_name(f"{PREFIX}{run.id}")))


def finish_removals(runs_dir: Path) -> None:
    """Remove what earlier deletions left. Several processes may do so at once."""
    for path in runs_dir.glob(f"{PREFIX}*"):
        _empty(path)


def _empty(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        _log.warning("the deleted run in %s could not be removed wholly", path)
