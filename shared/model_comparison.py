"""How a version's figures on the test split compare with those of the versions in service.

What serves `any` reads whatever is hidden, so its figure is the mean over the study's five views.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from shared.errors import ModelFolderError
from shared.masking import STUDY_VIEWS
from shared.model_folder import model_path, read_active, read_card
from shared.schemas.wire import SLOTS


class Difference(BaseModel):
    """A version's accuracy on a view, or its mean for `any`, beside that of the version which serves there."""

    model: str
    """The version in service."""
    accuracy: float
    """Its accuracy, 0 to 1."""
    difference: float
    """The version's accuracy less that, -1 to 1."""
    macro_f1_difference: float | None = Field(None, exclude=True)
    """The same of macro F1; None where one of them lacks it. For those who compare now: cards keep the fields above."""


def figure(metrics: Mapping[str, Any], view: str, key: str = "accuracy") -> float | None:
    """Return a figure of a card's `metrics` on the test split under a view; None where there is none.

    Under `any` it is the mean over the study's views, and None unless all of them were measured.
    """
    if view == "any":
        measured = [each for part in STUDY_VIEWS if (each := figure(metrics, part.value, key)) is not None]
        return sum(measured) / len(measured) if len(measured) == len(STUDY_VIEWS) else None
    test = metrics.get("test")
    figures = test.get(view) if isinstance(test, Mapping) else None
    value = figures.get(key) if isinstance(figures, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def compare(metrics: Mapping[str, Any], serving: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, Difference]:
    """Return slot to the difference from what serves it, for the slots on which both were measured.

    Args:
        metrics: of the version's card.
        serving: slot to (version, its card's metrics); measured on the same data.
    """
    differences = {}
    for slot in (slot for slot in SLOTS if slot in serving):
        model, others = serving[slot]
        mine, theirs = figure(metrics, slot), figure(others, slot)
        my_f1, their_f1 = figure(metrics, slot, "macro_f1"), figure(others, slot, "macro_f1")
        if mine is not None and theirs is not None:
            differences[slot] = Difference(
                model=model,
                accuracy=theirs,
                difference=mine - theirs,
                macro_f1_difference=None if my_f1 is None or their_f1 is None else my_f1 - their_f1,
            )
    return differences


def against_serving(models_dir: Path, metrics: Mapping[str, Any], fingerprint: str) -> dict[str, Difference]:
    """Return `compare` with the versions that serve now; those measured on other data, or broken, are left out."""
    serving = {}
    try:
        active = read_active(models_dir)
    except ModelFolderError:
        return {}
    for slot, model_id in active.items():
        try:
            card = read_card(model_path(models_dir, model_id), verify=False)
        except ModelFolderError:
            continue
        if card.data.get("fingerprint") == fingerprint:
            serving[slot] = (model_id, card.metrics)
    return compare(metrics, serving)
