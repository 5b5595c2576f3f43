"""Waits for an answer as long as the one who was asked gives a sign of life.

A process that is stopped, or whose machine hangs, still takes connections: the kernel does that for it. Whoever asked
would wait for the whole time that a slow answer may take.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from shared.errors import HalffaceError

Answer = TypeVar("Answer")


class HangsError(HalffaceError):
    """The one who was asked gives no sign of life."""


def wait_for(ask: Callable[[], Answer], hangs: Callable[[float], bool], look_every_s: float) -> Answer:
    """Return what `ask` returns, or raise what it raises.

    Args:
        ask: called in a thread of its own; left to itself where it hangs, so it must end some time.
        hangs: called each time that `look_every_s` went by without an answer, with the moment from which on by
            `time.monotonic`; returns whether there was no sign of life since.
        look_every_s: seconds.

    Raises:
        HangsError: `hangs` said so, and there is no answer yet.
    """
    answer = _begin(ask)
    while not answer.done():
        since_s = time.monotonic()
        try:
            return answer.result(look_every_s)
        except TimeoutError:
            if not answer.done() and hangs(since_s) and not answer.done():
                raise HangsError("There is no sign of life; ask another one.") from None
    return answer.result()


def _begin(ask: Callable[[], Answer]) -> Future[Answer]:
    answer: Future[Answer] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # for the one who waits
            answer.set_exception(error)

    threading.Thread(target=run, name="ask", daemon=True).start()
    return answer
