"""The lock on a run's folder: whoever trains a run holds it, and the system frees it when that process dies."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Final

from shared.run_folder import LOCK_FILE, RunFolder, RunState, utc_now
from shared.schemas.jobs import OPEN_STATES, JobState
from trainer.errors import RunTakenError

WAIT_SECONDS: Final = 2.0
"""Longer than a worker that looks for lost runs holds a lock, which it does for a few words with the queue."""

UNTIL: Final = "wait until it has ended, or cancel it first"

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
    with (path / LOCK_FILE).open("w") as file:
        if not _locked(file, wait_s):
            yield False
            return
        before = _held.set(_held.get() | {path})
        try:
            yield True
        finally:
            _held.reset(before)


def reopen(run: RunFolder) -> None:
    """Let a run that has stopped, also one that was cancelled, be done again.

    Raises:
        RunTakenError: a process of this machine does it, or a worker of another one.
    """
    if run.is_lent():
        raise RunTakenError(f"A worker on another machine does job {run.id}; {UNTIL}.")
    with only_one(run) as mine:
        if not mine:
            raise RunTakenError(f"Another process, such as a worker, does job {run.id}; {UNTIL}.")
        run.withdraw_cancel()
        if (state := run.state()).state == JobState.CANCELLED:
            run.set_state(RunState(state=JobState.QUEUED, started=state.started))


def cancel(run: RunFolder) -> None:
    """Cancel a run that has not ended: at once if nobody does it, else the one who does it stops soon."""
    with only_one(run, wait_s=0) as mine:
        state = run.state()
        if state.state not in OPEN_STATES:
            return
        if mine and not run.is_lent():
            run.set_state(RunState(state=JobState.CANCELLED, started=state.started, ended=utc_now()))
        else:
            run.ask_to_cancel()


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
