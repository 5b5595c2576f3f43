"""Breaks off long work that has no steps of its own to stop between: reading a data set, validating, exporting."""

import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from trainer.errors import Stopped

POLL_SECONDS: Final = 0.5
SIGNAL: Final = signal.SIGUSR1


_held: ContextVar[bool] = ContextVar("held", default=False)


class _Wish(BaseException):
    """The wish to stop, on its way out of the block; no library that catches `Exception` holds it up."""


@contextmanager
def unbroken() -> Iterator[None]:
    """Do what the block does to its end, within `stoppable`; a wish to stop is heeded after it.

    For libraries that call back into Python from their own code, which no foreign exception may cross: broken off,
    PyTorch's exporter fails with an error of its own, or ends the process.
    """
    token = _held.set(True)
    try:
        yield
    finally:
        _held.reset(token)


@contextmanager
def stoppable(stop_asked: Callable[[], bool], doing: str) -> Iterator[None]:
    """Leave the block by `Stopped` soon after somebody wishes it: a thread asks, and a signal ends what the block does.

    Python heeds a signal between two of its own instructions, so one call of a library, such as a batch of a network,
    is done to its end. Signals reach the main thread alone: in another one, the block is done to its end.

    Args:
        stop_asked: whether to stop; called twice a second.
        doing: what the block does, for the sentence. It must be safe to break off anywhere but where it is `unbroken`.

    Raises:
        Stopped: somebody asked to stop.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    main, over = threading.get_ident(), threading.Event()

    def watch() -> None:
        while not over.wait(POLL_SECONDS):
            if stop_asked():
                signal.pthread_kill(main, SIGNAL)

    def leave(number: int, frame: types.FrameType | None) -> None:
        if not over.is_set() and not _held.get():
            raise _Wish

    def drop(told: "sys.UnraisableHookArgs") -> None:
        # It struck a destructor or the callback of a weak reference, which nothing leaves: the next signal tries again.
        if not isinstance(told.exc_value, _Wish):
            tell(told)

    before, tell = signal.signal(SIGNAL, leave), sys.unraisablehook
    sys.unraisablehook = drop
    watcher = threading.Thread(target=watch, name="stop", daemon=True)
    watcher.start()
    try:
        try:
            yield
        finally:
            over.set()
    except _Wish:
        raise Stopped(f"Stopped while {doing}; what was done before is kept.") from None
    finally:
        over.set()
        watcher.join()
        signal.signal(SIGNAL, before)
        sys.unraisablehook = tell
