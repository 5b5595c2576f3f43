"""One job under way: its folder, what is asked, where things lie, and how far it is."""

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn

from shared.run_folder import ANSWERS_DIR, RunFolder
from shared.schemas.jobs import JobProgress, JobRequest, Phase
from trainer.data import Dataset, load_dataset
from trainer.distributed import ALONE, Group
from trainer.errors import Stopped
from trainer.export import ExportSettings
from trainer.registration import Origin, register
from trainer.settings import Settings
from trainer.stopping import stoppable
from trainer.study.answers import BATCH_SIZE, Answers
from trainer.training import Hooks

SECONDS_BETWEEN_WORDS: Final = 1.0
"""How often a measurement tells how far it is."""


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


@dataclass(frozen=True)
class Work:
    """One job under way: its folder, what is asked, and where things lie."""

    run: RunFolder
    request: JobRequest
    settings: Settings
    device: torch.device
    hooks: Hooks
    group: Group = ALONE

    def dataset(self, size: int, split: Mapping[str, float] | None = None) -> Dataset:
        """Read the data set, faces at `size` x `size` pixels; raises DatasetError, and Stopped when that is wished.

        Args:
            size: of the faces.
            split: how to divide the training split; as the request says, if None.
        """
        asked = self.request.settings
        as_asked = {"validation_share": asked.validation_share, "duplicate_similarity": asked.duplicate_similarity}
        with self.stoppable("reading the data set"):
            return load_dataset(
                self.settings.data_dir / self.request.dataset, size=size, **(as_asked if split is None else split)
            )

    def stoppable(self, doing: str) -> AbstractContextManager[None]:
        """Return what lets a wish to stop break off the block, unless other processes would then wait for this one."""
        return stoppable(self.hooks.stop_asked, doing) if self.group.size == 1 else nullcontext()

    def register(
        self,
        origin: Origin,
        data: Dataset,
        network: nn.Module,
        export: ExportSettings,
        other: Path | None = None,
    ) -> str:
        """Make a version of the network, and return it. Raises as `trainer.registration.register`."""
        models_dir = self.settings.models_dir
        return register(self.run, origin, data, network, models_dir, export, self.hooks.stop_asked, other).id

    def answers(self, faces: int) -> Answers:
        """Return the models' answers, kept in the run's folder or by other runs. Raises Stopped when that is wished.

        Args:
            faces: how many will be read, to tell how far the job is.
        """
        pace, told = Pace(faces, self.hooks.clock), time.monotonic()

        def tell(next_faces: int) -> None:
            nonlocal told
            if self.hooks.stop_asked():
                raise Stopped("Stopped between two measurements; what was measured is kept.")
            pace.begin(next_faces)
            if time.monotonic() - told >= SECONDS_BETWEEN_WORDS:
                told = time.monotonic()
                self.run.set_progress(pace.progress())

        return Answers(self.run.path / ANSWERS_DIR, tell, self.settings.runs_dir)

    def tell(self, phase: Phase) -> None:
        """Tell what the job does."""
        self.run.set_progress(JobProgress(phase=phase))
