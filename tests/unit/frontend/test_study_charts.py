"""The study's charts show the study's values; colours and numbers can be read."""

import base64
import re
from typing import Any

import pytest

from services.frontend import (
    charts,
    study_charts,
    study_curves,
    study_faces,
    study_figures,
    study_parts_view,
    study_tables,
    study_words,
)
from services.frontend.charts import EMOTION_COLOURS
from services.frontend.study_palette import AMOUNTS, DIFFERENCES, GREY, colour, ink, luminance
from services.frontend.study_words import ALL
from shared.labels import LABELS
from shared.study import Corruption, StudyResult
from tests.study_example import example_study

from .answers import read


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


def axes_of(chart: Any) -> list[dict[str, Any]]:
    """Return the position channels of a chart's layers that have an axis of their own."""
    layers = [chart.to_dict(), *chart.to_dict().get("layer", [])]
    channels = [layer.get("encoding", {}).get(name, {}) for layer in layers for name in ("x", "y")]
    return [channel for channel in channels if channel.get("axis")]


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


def test_low_resolution_begins_with_undamaged_faces_at_their_native_size(example: StudyResult) -> None:
    falling = Corruption(name="resolution", title="Low resolution", unit="pixels a side", severities=(32, 16))
    whole = [point for point in example.robustness.points if point.corruption == "none"]
    low = [
        point.model_copy(update={"corruption": "resolution", "severity": side})
        for point in whole
        for side in falling.severities
    ]

    rows = rows_of(study_curves.robustness_curve(falling, [*whole, *low]))

    assert sorted({row["severity"] for row in rows}) == [16, 32, 48]
    assert len(rows) == 6 * 3


def test_one_model_under_all_damage_is_one_plot_and_one_table(example: StudyResult) -> None:
    damage = example.robustness

    rows = rows_of(study_curves.robustness_of(damage, "upper"), layer=1)
    table = study_tables.damage_of_rows(damage, "upper")

    assert [row["damage"] for row in rows][:2] == ["Undamaged", "Random rectangle, 10 % of the area"]
    assert len(rows) == len(table) == 5
    points = study_tables.points_of(damage, "upper")
    sunglasses = points["sunglasses", 1]
    assert table[-1]["Accuracy, %"] == study_words.with_interval(sunglasses.accuracy)
    assert [row["Change, points"] for row in table[::4]] == ["", "−1.5 (−3.5 to 0.5)"]
    assert table[0]["Change, points"] == ""
    assert study_tables.widest_reach(damage) == pytest.approx(0.02, abs=1e-4)


def test_the_specialists_tests_are_a_bar_each_with_all_emotions_on_top(example: StudyResult) -> None:
    tests = study_words.tests_by_emotion(example.hypotheses[0], example.tests)

    rows = rows_of(
        study_charts.emotions(
            {name: test.difference for name, test in tests.items()},
            {},
            unit="points",
            differences=True,
            p_values={name: test.p_corrected for name, test in tests.items()},
        )
    )

    assert [row["emotion"] for row in rows] == [ALL, *LABELS]
    assert {test.first.model for test in tests.values()} == {"lower"}
    assert rows[0] | {"text": "−2.8", "end": 0.0, "interval": "−3.9 to −1.7", "p": "p < 0.001", "star": " *"} == rows[0]


def test_the_table_of_quadrants_has_them_their_halves_and_all_emotions_first(example: StudyResult) -> None:
    assert example.shapley

    rows = study_tables.shapley_rows(example.shapley)

    assert [row["Labelled"] for row in rows] == ["all", *LABELS]
    values = {name: told.partition(" (")[0] for name, told in rows[0].items() if " (" in told}
    assert values == {
        "Top right": "12.0",
        "Top left": "8.0",
        "Bottom left": "5.0",
        "Bottom right": "10.0",
        "Upper half": "20.0",
        "Lower half": "15.0",
        "Upper minus lower": "5.0",
        "Left half": "13.0",
        "Right half": "22.0",
        "Left minus right": "−9.0",
    }
    assert rows[0]["Upper half"] == "20.0 (18.0 to 22.0)"


@pytest.mark.parametrize("page", ["#ffffff", "#0f171b"])
def test_grey_text_contrasts_with_both_pages(page: str) -> None:
    light, dark = sorted((luminance(GREY), luminance(page)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4


@pytest.mark.parametrize("page", ["#ffffff", "#0f171b"])
@pytest.mark.parametrize("colour", EMOTION_COLOURS.values())
def test_an_emotions_bar_contrasts_with_both_pages(colour: str, page: str) -> None:
    light, dark = sorted((luminance(colour), luminance(page)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3  # WCAG 2.1, graphics


def test_the_share_won_back_is_written_beside_each_way(example: StudyResult) -> None:
    rows = rows_of(study_curves.recovery(example.recovery))

    assert [row["text"] for row in rows] == ["75 % (73 to 77)"] * 8
    assert rows[0] | {"from": 0.42, "to": 0.6, "whole": 0.66} == rows[0]


def test_a_share_lost_stands_right_of_the_ring_that_it_falls_behind(example: StudyResult) -> None:
    row = example.recovery[0]
    assert row.recovered
    lost = row.recovered.model_copy(update={"value": -0.05})
    behind = row.model_copy(update={"model_on_view": row.full_on_view - 0.01, "recovered": lost})

    (drawn,) = rows_of(study_curves.recovery([behind]))

    assert drawn["text"] == "−5 % (73 to 77)"
    assert drawn["end"] == row.full_on_view


def test_each_face_says_what_its_quadrants_add(example: StudyResult) -> None:
    assert example.shapley

    drawn = study_faces.faces(example.shapley.rows)

    assert drawn.count("<img") == 8
    assert "disgust: top right +12.0, top left +8.0, bottom left +5.0, bottom right +10.0 points" in drawn
    picture = base64.b64decode(drawn.partition("base64,")[2].partition('"')[0]).decode()
    for place, points in (('x="77" y="41"', "12.0"), ('x="33" y="41"', "8.0"), ('x="33" y="79"', "5.0")):
        assert re.search(rf"<text {place} [^>]*>\+{points}</text>", picture), place
    assert picture.count("<text") == 4


def test_what_halves_differ_by_is_that_of_the_halves_named(example: StudyResult) -> None:
    assert example.shapley
    row = example.shapley.rows[0]
    assert study_parts_view._gap(row, "Upper half minus lower half").value == pytest.approx(0.05)
    assert study_parts_view._gap(row, "Left half minus right half").value == pytest.approx(-0.09)


@pytest.mark.parametrize("scale", [AMOUNTS, DIFFERENCES])
def test_every_number_contrasts_with_its_cell(scale: tuple[str, ...]) -> None:
    for step in range(101):
        fill = colour(step / 100, scale)
        light, dark = sorted((luminance(fill), luminance(ink(fill))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3.9, fill


def test_names_beside_a_chart_stand_in_the_middle_of_their_bands(example: StudyResult) -> None:
    cell = example.cells[0]
    grid = study_figures.our_grid(example, "accuracy")
    damage = example.robustness
    drawn = [
        charts.class_counts({"train": dict.fromkeys(LABELS, 1)}),
        charts.probabilities(read()),
        study_charts.agreement(example.agreement[0]),
        study_charts.confusion(cell),
        study_charts.heat_map(grid, (0.4, 0.7), difference=False),
        study_curves.robustness_dots(damage.corruptions, damage.points),
        study_curves.robustness_of(damage, "any"),
        study_curves.recovery(example.recovery),
    ]

    axes = [axis for chart in drawn for axis in axes_of(chart) if axis["type"] == "nominal"]

    assert len(axes) >= len(drawn)
    assert {axis["axis"]["labelFlush"] for axis in axes} == {False}
