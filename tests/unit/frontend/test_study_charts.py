"""The study's charts show the study's values; colours and numbers can be read."""

from typing import Any

import pytest

from services.frontend import study_charts, study_curves, study_faces, study_figures
from services.frontend.study_palette import AMOUNTS, DIFFERENCES, colour, ink, luminance
from shared.study import StudyResult
from tests.study_example import example_study


@pytest.fixture(scope="module")
def example() -> StudyResult:
    """Give a study with every table filled."""
    return example_study()


def rows_of(chart: Any, layer: int = 0) -> list[dict[str, Any]]:
    """Return the rows that a layer of a chart draws."""
    document = chart.to_dict()
    data = document.get("data") or document["layer"][layer]["data"]
    rows: list[dict[str, Any]] = data["values"]
    return rows


def test_the_heat_map_has_a_number_in_each_of_thirty_cells(example: StudyResult) -> None:
    grid = study_figures.our_grid(example, "accuracy")

    rows = rows_of(study_charts.heat_map(grid, (0.4, 0.7), difference=False, chosen=("any", "left")))

    first = grid["full", "full"]
    assert len(rows) == 30
    assert first
    assert rows[0]["text"] == f"{first.value * 100:.1f}"
    assert [(row["model"], row["view"]) for row in rows if row["chosen"]] == [("Any hidden", "Left hidden")]


def test_the_difference_is_ours_less_the_published_for_the_five_models(example: StudyResult) -> None:
    ours, theirs = (make(example, "accuracy") for make in (study_figures.our_grid, study_figures.published_grid))

    difference = study_figures.difference_grid(ours, theirs)

    one, other = ours["upper", "left"], difference["upper", "left"]
    assert one
    assert other
    assert other.value == pytest.approx(one.value - 0.5, abs=1e-4)
    assert len(difference) == 25
    low, high = study_figures.balanced_domain(difference)
    assert low == -high


def test_a_figure_that_was_not_published_is_a_dash(example: StudyResult) -> None:
    grid = study_figures.published_grid(example, "ece")

    rows = rows_of(study_charts.heat_map(grid, study_figures.domain_of(grid), difference=False))

    assert {row["text"] for row in rows} == {"–"}


def test_the_confusion_matrix_gives_the_share_of_each_label(example: StudyResult) -> None:
    cell = example.cell("full", "full")
    assert cell

    rows = rows_of(study_charts.confusion(cell))

    assert len(rows) == 49
    assert sum(row["value"] for row in rows if row["true"] == "fear") == pytest.approx(1, abs=1e-3)
    assert rows[0]["text"] == f"{cell.confusion[0][0] / sum(cell.confusion[0]) * 100:.0f}"


def test_the_legend_of_the_curves_gives_their_areas(example: StudyResult) -> None:
    cell = example.cell("full", "full")
    assert cell
    areas = {"macro": cell.metrics.macro_auc}

    rows = rows_of(study_curves.class_curves(cell.roc, areas, "x", "y", chance=True), layer=1)

    assert cell.metrics.macro_auc
    assert f"macro {cell.metrics.macro_auc.value * 100:.1f}" in {row["curve"] for row in rows}
    assert len({row["curve"] for row in rows}) == 10


def test_robustness_begins_with_undamaged_faces(example: StudyResult) -> None:
    table = example.robustness

    rows = rows_of(study_curves.robustness_curve(table.corruptions[0], table.points))

    assert {row["severity"] for row in rows} == {0, 0.1, 0.3, 0.5}
    assert len(rows) == 6 * 4


def test_the_share_won_back_is_written_beside_each_way(example: StudyResult) -> None:
    rows = rows_of(study_curves.recovery(example.recovery))

    assert [row["text"] for row in rows] == ["75 %"] * 8
    assert rows[0] | {"from": 0.42, "to": 0.6, "whole": 0.66} == rows[0]


def test_each_face_says_what_its_quadrants_add(example: StudyResult) -> None:
    assert example.shapley

    drawn = study_faces.faces(example.shapley.rows)

    assert drawn.count("<img") == 8
    assert "disgust: top right +10.0, top left +10.0" in drawn


@pytest.mark.parametrize("scale", [AMOUNTS, DIFFERENCES])
def test_every_number_contrasts_with_its_cell(scale: tuple[str, ...]) -> None:
    for step in range(101):
        fill = colour(step / 100, scale)
        light, dark = sorted((luminance(fill), luminance(ink(fill))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3.9, fill
