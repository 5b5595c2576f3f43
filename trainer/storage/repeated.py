"""Something done again and again although the storage may fail: in a thread beside the training, or by itself."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType

from shared.errors import HalffaceError

log = logging.getLogger(__name__)


class Repeated:
    """Does `what` every `seconds` from the beginning of a block to its end.

    Args:
        what: a failure is logged when it begins and when it is over, and `what` is tried again.
        seconds: the pause between two times.
        name: the thread's, for the log.
        meanwhile: what the log says goes on while it fails.
    """

    def __init__(self, what: Callable[[], None], seconds: float, name: str, meanwhile: str = "") -> None:
        self._what, self._seconds, self._name, self._meanwhile = what, seconds, name, meanwhile
        self._done = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> "Repeated":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.once()
            if self._done.wait(self._seconds):
                return

    def once(self) -> bool:
        """Do it once; return whether that went well."""
        try:
            self._what()
        except (HalffaceError, OSError) as error:
            if not self._failing:
                log.warning("%s: %s It is tried again%s.", self._name, _sentence(error), self._meanwhile)
            self._failing = True
        except Exception:
            log.exception("%s failed; it is tried again", self._name)
            self._failing = True
        else:
            if self._failing:
                log.warning("%s: it works again", self._name)
            self._failing = False
        return not self._failing


def _sentence(error: Exception) -> str:
    return f"{str(error).rstrip('. ')}."
