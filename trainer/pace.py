"""How far a measurement is."""

from collections.abc import Callable

from shared.schemas.jobs import JobProgress
from trainer.evaluation import BATCH_SIZE


class Pace:
    """How far a measurement is, how fast the networks read, and how long the rest takes at that.

    Args:
        faces: how many there are to read.
        clock: seconds.
    """

    def __init__(self, faces: int, clock: Callable[[], float]) -> None:
        self._faces, self._clock = faces, clock
        self._began = clock()
        self._done = self._read = self._next = 0

    def begin(self, faces: int) -> None:
        """Count the batch before as done and note the next; more than a batch is what was kept, and takes no time."""
        self._done, self._read = self._done + self._next, self._read + self._next
        is_batch = faces <= BATCH_SIZE
        self._next = faces if is_batch else 0
        self._done += 0 if is_batch else faces

    def progress(self) -> JobProgress:
        """Return how far it is; speed and time left once a batch is done."""
        seconds = self._clock() - self._began
        rate = self._read / seconds if seconds > 0 else 0.0
        done = min(self._done, self._faces)
        return JobProgress(
            phase="evaluating",
            step=done,
            steps=self._faces,
            images_per_s=round(rate, 1) if rate else None,
            eta_s=round((self._faces - done) / rate, 1) if rate else None,
        )
