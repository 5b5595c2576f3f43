"""What the study is computed from: answers of networks to the test images, and what is known of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import StudyError
from shared.masking import STUDY_VIEWS, View
from shared.schemas import SLOTS
from shared.study import Subset
from trainer.evaluation import Logits
from trainer.study.bootstrap import Floats
from trainer.study.confusion import Labels

SUBSET_MARKS: Final = {Subset.PUBLIC: "PublicTest", Subset.PRIVATE: "PrivateTest"}
"""What the names of a part's files hold (in the CSV forms: the Usage column)."""

Damage = tuple[str, str, float]
"""A model's slot, the name of a corruption (`trainer.study.corruptions`) and its severity."""


@dataclass(frozen=True)
class StudyInputs:
    """Logits are those of the networks, not divided by a temperature. All arrays keep the test images' order.

    labels: int64 (N,). names: N file names or CSV lines. clean: bool (N,), the images not in the training split.
    logits: (model, view) to float32 (N, 7); all slots and study views.
    validation: model to (logits, labels) of validation images, seen as the model was trained to see them.
    damaged: see `Damage`, to float32 (N, 7).
    coalitions: float64 (N, 16, 7), see `shared.shapley.coalition_outputs`, of the model in the slot `any`.
    """

    labels: Labels
    names: Sequence[str]
    clean: npt.NDArray[np.bool_]
    logits: Mapping[tuple[str, View], Logits]
    validation: Mapping[str, tuple[Logits, Labels]]
    damaged: Mapping[Damage, Logits] = field(default_factory=dict)
    coalitions: Floats | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.labels), len(self.names), len(self.clean)}
        lengths |= {len(logits) for logits in (*self.logits.values(), *self.damaged.values())}
        if self.coalitions is not None:
            lengths.add(len(self.coalitions))
        if len(lengths) != 1 or 0 in lengths:
            raise StudyError(f"Every model must read the same test images, one or more; got {sorted(lengths)} of them.")
        missing = [f"{model} on {view}" for model in SLOTS for view in STUDY_VIEWS if (model, view) not in self.logits]
        missing += [f"{model} on validation images" for model in SLOTS if model not in self.validation]
        if missing:
            raise StudyError(f"The study needs every model on every view; missing: {', '.join(missing)}.")

    def subsets(self) -> dict[Subset, npt.NDArray[np.bool_]]:
        """Return each part of the test set that has images, as bool (N,); the whole comes first."""
        parts = {Subset.ALL: np.ones(len(self.labels), np.bool_)}
        for subset, mark in SUBSET_MARKS.items():
            parts[subset] = np.array([mark in name for name in self.names], np.bool_)
        parts[Subset.CLEAN] = self.clean
        return {subset: chosen for subset, chosen in parts.items() if chosen.any()}
