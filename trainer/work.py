"""One job under way: its folder, what is asked, where things lie, and how far it is."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from shared.model_folder import Card
from shared.run_folder import ANSWERS_DIR, RunFolder
from shared.schemas.jobs import JobProgress, JobRequest, Phase
from trainer.data import Dataset, load_dataset
from trainer.distributed import ALONE, Group
from trainer.errors import Stopped
from trainer.export import ExportSettings
from trainer.pace import Pace
from trainer.registration import Origin, register
from trainer.settings import Settings
from trainer.stopping import stoppable
from trainer.study.answers import Answers
from trainer.training import Hooks


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
        network: nn.Module | Card,
        export: ExportSettings,
        other: Path | None = None,
    ) -> str:
        """Make a version of the network, and return it. Raises as `trainer.registration.register`."""
        models_dir = self.settings.models_dir
        return register(self.run, origin, data, network, models_dir, export, self.hooks, other).id

    def answers(self, faces: int) -> Answers:
        """Return the models' answers, kept in the run's folder or by other runs. Raises Stopped when that is wished.

        Args:
            faces: how many will be read, to tell how far the job is.
        """
        pace = Pace(faces, self.hooks.clock)

        def tell(next_faces: int) -> None:
            if self.hooks.stop_asked():
                raise Stopped("Stopped between two measurements; what was measured is kept.")
            pace.begin(next_faces)
            self.hooks.progress(pace.progress())

        is_anew = self.run.request().retry_of is not None  # who asks for a job once more wants it done once more
        return Answers(self.run.path / ANSWERS_DIR, tell, None if is_anew else self.settings.runs_dir)

    def tell(self, phase: Phase) -> None:
        """Tell what the job does."""
        self.hooks.progress(JobProgress(phase=phase))
