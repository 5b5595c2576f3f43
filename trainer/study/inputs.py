"""What the study is computed from: answers of networks to the test images, and what is known of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import StudyError
from shared.masking import STUDY_VIEWS, View
from shared.probabilities import Logits
from shared.schemas.wire import SLOTS
from shared.study import Subset
from trainer.study.bootstrap import Floats
from trainer.study.confusion import Labels

SUBSET_MARKS: Final = {Subset.PUBLIC: "PublicTest", Subset.PRIVATE: "PrivateTest"}
"""What the names of a part's files hold (in the CSV forms: the Usage column)."""

Damage = tuple[str, str, float]
"""A model's slot, the name of a corruption (`trainer.study.corruptions`) and its severity."""


Sample = npt.NDArray[np.int64]
"""Places of some of the test images."""

Chosen = npt.NDArray[np.bool_]
"""Which of the test images, (N,)."""


@dataclass(frozen=True)
class StudyInputs:
    """Logits are those of the networks, not divided by a temperature. All arrays keep the test images' order.

    labels: int64 (N,). names: N file names or CSV lines. clean: bool (N,), the images not in the training split.
    logits: (model, view) to float32 (N, 7); all slots and study views.
    damaged: see `Damage`, to float32 (M, 7), the answers to the M images of `sample`.
    sample: int64 (M,), the places of the images that were damaged; None for all, in their order.
    coalitions: float64 (N, 16, 7), see `shared.shapley.coalition_outputs`, of the model in the slot `any`.
    mirrored: whether the left and the right specialist were shown mirrored faces in training.
    """

    labels: Labels
    names: Sequence[str]
    clean: Chosen
    logits: Mapping[tuple[str, View], Logits]
    damaged: Mapping[Damage, Logits] = field(default_factory=dict)
    sample: Sample | None = None
    coalitions: Floats | None = None
    mirrored: bool = True

    def __post_init__(self) -> None:
        lengths = {len(self.labels), len(self.names), len(self.clean)}
        lengths |= {len(logits) for logits in self.logits.values()}
        if self.coalitions is not None:
            lengths.add(len(self.coalitions))
        if len(lengths) != 1 or 0 in lengths:
            raise StudyError(f"Every model must read the same test images, one or more; got {sorted(lengths)} of them.")
        if {len(logits) for logits in self.damaged.values()} - {len(self.damaged_places())}:
            raise StudyError("Every model must read the same damaged images, those of the sample.")
        missing = [f"{model} on {view}" for model in SLOTS for view in STUDY_VIEWS if (model, view) not in self.logits]
        if missing:
            raise StudyError(f"The study needs every model on every view; missing: {', '.join(missing)}.")

    def damaged_places(self) -> Sample:
        """Return the places of the damaged images, int64 (M,)."""
        return np.arange(len(self.labels)) if self.sample is None else self.sample

    def subsets(self) -> dict[Subset, Chosen]:
        """Return each part of the test set that has images, as bool (N,); the whole comes first."""
        return subsets_of(self.names, self.clean)


def subsets_of(names: Sequence[str], clean: Chosen) -> dict[Subset, Chosen]:
    """Return each part of the test set that has images, as bool (N,); the whole comes first.

    Args:
        names: N file names, or usage and line of a CSV.
        clean: bool (N,), the images not in the training split.
    """
    parts = {Subset.ALL: np.ones(len(names), np.bool_)}
    for subset, mark in SUBSET_MARKS.items():
        parts[subset] = np.array([mark in name for name in names], np.bool_)
    parts[Subset.CLEAN] = clean
    return {subset: chosen for subset, chosen in parts.items() if chosen.any()}
