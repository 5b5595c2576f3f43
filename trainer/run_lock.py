"""The lock on a run's folder: whoever trains a run holds it, and the system frees it when that process dies."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Final

from shared.run_folder import RunFolder

WAIT_SECONDS: Final = 2.0
"""Longer than a worker that looks for lost runs holds a lock, which it does for a few words with the queue."""

_POLL_SECONDS: Final = 0.05

_held: ContextVar[frozenset[Path]] = ContextVar("_held", default=frozenset())


@contextmanager
def only_one(run: RunFolder, wait_s: float = WAIT_SECONDS) -> Iterator[bool]:
    """Hold the run's lock; yield False where another process keeps it for longer than `wait_s` seconds.

    Within it one may ask again: a worker's process holds the lock before the training asks for it.
    """
    path = run.path.absolute()
    if path in _held.get():
        yield True
        return
    with (path / "lock").open("w") as file:
        if not _locked(file, wait_s):
            yield False
            return
        before = _held.set(_held.get() | {path})
        try:
            yield True
        finally:
            _held.reset(before)


def _locked(file: IO[str], wait_s: float) -> bool:
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(_POLL_SECONDS)
        else:
            return True
