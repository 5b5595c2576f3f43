"""The files of a run's folder: which of them are mirrored, and in which order they travel."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from shared.run_folder import (
    BEST_FILE,
    CANCEL_FILE,
    CHECKPOINTS_DIR,
    EXPORT_DIR,
    LEASE_FILE,
    LOCK_FILE,
    REQUEST_FILE,
    RESERVE_FILE,
    START_FILE,
    STATE_FILE,
)

GATEWAYS: Final = frozenset({REQUEST_FILE, CANCEL_FILE})
"""Only who makes the job writes these."""

HERE_ONLY: Final = frozenset({LOCK_FILE, RESERVE_FILE, LEASE_FILE})


def is_mirrored(name: str) -> bool:
    """Return whether a file of a run's folder is mirrored; a name that would leave the folder never is."""
    parts = PurePosixPath(name).parts
    return name not in HERE_ONLY and parts[0] != EXPORT_DIR and not any(part.startswith((".", "/")) for part in parts)


def is_checkpoint(name: str) -> bool:
    """Return whether a file is a checkpoint: it never changes, and makes way for newer ones."""
    return name.startswith(f"{CHECKPOINTS_DIR}/step-")


def is_weights(name: str) -> bool:
    """Return whether a file is large: a checkpoint, or the best weights or the first ones, which belong with it."""
    return is_checkpoint(name) or name in (BEST_FILE, START_FILE)


def reached(names: Iterable[str]) -> str:
    """Return the name of the newest checkpoint among names, empty without one."""
    return max(filter(is_checkpoint, names), default="")


def in_order(names: Iterable[str]) -> list[str]:
    """Return names in the order in which to bring them.

    Small files; the best weights and the first ones, then the checkpoints that know how good the best are, the newest
    first; the state, that speaks of all this; the request, without which a folder is no run.
    """
    return sorted(sorted(names, reverse=True), key=_rank)


def _rank(name: str) -> int:
    if is_checkpoint(name):
        return 2
    return {BEST_FILE: 1, START_FILE: 1, STATE_FILE: 3, REQUEST_FILE: 4}.get(name, 0)


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Return name to (modification time in ns, size) of the mirrored files of a folder.

    Names are listed before any file is looked at: the best weights are found as new as any checkpoint that is.
    """
    found = {}
    for path in list(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        try:
            if is_mirrored(name) and path.is_file():
                about = path.stat()
                found[name] = (about.st_mtime_ns, about.st_size)
        except FileNotFoundError:
            continue  # an old checkpoint, just now
    return found
