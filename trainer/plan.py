"""What a training does when: steps, the input's size, what is hidden. It follows from the settings and the data."""

from dataclasses import dataclass

import numpy as np

from shared.schemas.training import TrainSettings
from trainer.augmentation import ViewMix, view_mix
from trainer.size_average import sizes_of


@dataclass(frozen=True)
class Plan:
    """What to train: settings, what is hidden, and the sizes that follow from the data."""

    settings: TrainSettings
    train_on: str
    faces: int

    @property
    def steps_per_epoch(self) -> int:
        faces = min(self.faces, self.settings.epoch_faces or self.faces)
        return max(1, faces // min(self.settings.batch_size, self.faces))

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.settings.epochs

    def size_at(self, epoch: int) -> int:
        """Return the input size of an epoch: three equal stages from `grow_from` to `size`, in multiples of 8."""
        start, end = self.settings.grow_from or self.settings.size, self.settings.size
        stage = 2 if epoch == self.settings.epochs - 1 else 3 * epoch // self.settings.epochs
        return end if stage == 2 else start + (end - start) * stage // 2 // 8 * 8

    def size_of_step(self, epoch: int, rng: np.random.Generator) -> int:
        """Return the input size of a step of an epoch: the epoch's, or under `mixed_sizes` the smaller of the average's
        in its place, if the step's generator says so."""
        size = self.size_at(epoch)
        smaller = self.settings.mixed_sizes and size == self.settings.size and rng.random() < 0.5
        return sizes_of(size)[0] if smaller else size

    def mix_at(self, step: int) -> ViewMix:
        """Return what is hidden at a step: nothing before `hide_after`, then the view; its mirror image too, if the
        network will be asked for that as well."""
        settings = self.settings
        if step < settings.hide_after * self.steps:
            return view_mix("full")
        mix = view_mix(self.train_on, settings.hide_share, settings.other_share)
        return mix.mirrored() if settings.mirror_average else mix
