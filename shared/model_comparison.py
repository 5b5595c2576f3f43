"""How a version's figures on the test split compare with those of the versions in service."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from shared.errors import ModelFolderError
from shared.masking import STUDY_VIEWS
from shared.model_folder import model_path, read_active, read_card


class Difference(BaseModel):
    """A version's accuracy on a view beside that of the version which serves the view."""

    model: str
    """The version in service."""
    accuracy: float
    """Its accuracy, 0 to 1."""
    difference: float
    """The version's accuracy less that, -1 to 1."""


def figure(metrics: Mapping[str, Any], view: str, key: str = "accuracy") -> float | None:
    """Return a figure of a card's `metrics` on the test split under a view; None where there is none."""
    test = metrics.get("test")
    figures = test.get(view) if isinstance(test, Mapping) else None
    value = figures.get(key) if isinstance(figures, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def compare(metrics: Mapping[str, Any], serving: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, Difference]:
    """Return view to the difference from what serves it, for the study's views on which both were measured.

    Args:
        metrics: of the version's card.
        serving: slot to (version, its card's metrics); measured on the same data.
    """
    differences = {}
    for view in (view.value for view in STUDY_VIEWS if view.value in serving):
        model, others = serving[view]
        mine, theirs = figure(metrics, view), figure(others, view)
        if mine is not None and theirs is not None:
            differences[view] = Difference(model=model, accuracy=theirs, difference=mine - theirs)
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
