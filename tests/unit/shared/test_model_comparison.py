"""A version's figures beside those of the versions in service."""

from pathlib import Path
from typing import Any

import pytest

from shared.model_comparison import Difference, against_serving, compare, figure
from shared.model_folder import write_active, write_model
from shared.preprocessing import InputSpec


def measured(**accuracies: float) -> dict[str, Any]:
    """Return a card's metrics."""
    return {"test": {view: {"accuracy": accuracy} for view, accuracy in accuracies.items()}}


@pytest.mark.parametrize(
    "metrics",
    [{}, {"test": None}, {"test": {"upper": 3}}, {"test": {"upper": {"accuracy": None}}}, measured(full=0.5)],
)
def test_a_figure_that_was_not_measured_is_none(metrics: dict[str, Any]) -> None:
    assert figure(metrics, "upper") is None


def test_views_that_both_were_measured_on_are_compared() -> None:
    serving = {"full": ("first/1", measured(full=0.625)), "left": ("first/1", measured(full=0.5)), "any": ("x/1", {})}

    differences = compare(measured(full=0.75, left=0.5, right=0.5), serving)

    assert differences == {"full": Difference(model="first/1", accuracy=0.625, difference=0.125)}


def test_macro_f1_is_compared_too_and_a_card_keeps_its_form() -> None:
    mine, theirs = ({"test": {"full": {"accuracy": 0.5, "macro_f1": macro_f1}}} for macro_f1 in (0.75, 0.5))

    difference = compare(mine, {"full": ("first/1", theirs)})["full"]

    assert (difference.difference, difference.macro_f1_difference) == (0, 0.25)
    assert difference.model_dump() == {"model": "first/1", "accuracy": 0.5, "difference": 0}


def test_what_serves_any_part_is_compared_by_the_mean_over_the_five_views() -> None:
    old = measured(full=0.5, upper=0.25, lower=0.25, left=0.25, right=0.0)
    new = measured(full=0.5, upper=0.5, lower=0.5, left=0.5, right=0.5)
    part = measured(full=0.5, upper=0.5)

    assert figure(old, "any") == 0.25
    assert compare(new, {"any": ("any/1", old)}) == {"any": Difference(model="any/1", accuracy=0.25, difference=0.25)}
    assert compare(part, {"any": ("any/1", old)}) == {}


def add(models: Path, model_id: str, fingerprint: str, metrics: dict[str, Any]) -> None:
    """Write a version that was measured on the data with this fingerprint."""
    network = models.parent / "network"
    network.write_text("a network")
    name, version = model_id.split("/")
    card = {
        "name": name,
        "version": version,
        "view": "five",
        "input": InputSpec(),
        "architecture": "text",
        "training": {},
        "data": {"fingerprint": fingerprint},
        "metrics": metrics,
        "created": "",
    }
    write_model(models, {"model.onnx": network}, card)


def test_versions_of_other_data_and_broken_ones_are_left_out(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for version, data in (("1", "same"), ("2", "other"), ("3", "same")):
        add(models, f"first/{version}", data, measured(full=0.5, upper=0.5, left=0.5))
    (models / "first/3/card.json").write_text("{")
    write_active(models, {"full": "first/1", "upper": "first/2", "left": "first/3", "right": "first/9"})

    differences = against_serving(models, measured(full=0.75, upper=0.75, left=0.75), "same")

    assert differences == {"full": Difference(model="first/1", accuracy=0.5, difference=0.25)}


def test_a_list_of_active_models_that_cannot_be_read_compares_with_nothing(tmp_path: Path) -> None:
    (tmp_path / "active.json").write_text("{")

    assert against_serving(tmp_path, measured(full=0.75), "same") == {}
