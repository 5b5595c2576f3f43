"""Remembers what was worked out from files, until the files change."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """The last value for each name, with the state of the files that it was worked out from; safe among threads."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[Hashable, Value]] = {}
        self._lock = threading.Lock()

    def get(self, name: str, files: Hashable, work_out: Callable[[], Value]) -> Value:
        """Return the value for `name`; worked out once for each state of its files, by one thread at a time."""
        with self._lock:
            kept = self._values.get(name)
            if kept is None or kept[0] != files:
                kept = self._values[name] = (files, work_out())
            return kept[1]
