"""The page of a study: one file without scripts, every part of the study in it, each cell on a click."""

import re
from collections import Counter
from html import unescape
from pathlib import Path

import pytest

from shared.masking import STUDY_VIEWS
from shared.schemas.wire import SLOTS
from shared.study import Corruption, Estimate, Leaks, StudyResult, read_study
from tests.study_example import example_study
from trainer.study import page_rows
from trainer.study.page_charts import damage, damage_lines
from trainer.study.study_report import write_study_report


@pytest.fixture(scope="module")
def study() -> StudyResult:
    study = example_study()
    leaks = Leaks(
        equal=568,
        near=210,
        similarity=0.96,
        train_repeats=1236,
        test_repeats=86,
        conflicting=57,
        left_out={"equal_to_test": 703, "nearly_test": 1037, "repeated": 922},
    )
    return study.model_copy(update={"protocol": study.protocol.model_copy(update={"leaks": leaks})})


@pytest.fixture(scope="module")
def page(study: StudyResult, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("study") / "report"
    write_study_report(study, folder)
    assert {file.name for file in folder.iterdir()} == {"report.html", "study.json"}
    assert read_study(folder / "study.json") == study
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_needs_no_other_file_and_no_script(page: str) -> None:
    tags = Counter(re.findall(r"<([a-z]+\d?)", page))
    assert not {"script", "link", "img", "iframe"} & set(tags)
    assert set(re.findall(r"href='([^'#]*)", page)) == {""}
    assert "prefers-color-scheme: dark" in page
    for tag in ("details", "table", "section", "div", "svg", "tr"):
        assert page.count(f"</{tag}>") == tags[tag]


def test_each_number_of_the_grid_leads_to_its_cell_with_its_charts(page: str) -> None:
    cells = [f"{model}-on-{view}" for model in SLOTS for view in STUDY_VIEWS]
    for name in cells:
        assert page.count(f"<div id='{name}'>") == 1
        assert f"href='#{name}'" in page
    assert page.count("class='confusion'") == len(cells)
    for title in ("ROC", "Precision and recall", "Reliability before the logits are divided"):
        assert page.count(f"<figcaption>{title}</figcaption>") == len(cells)


def test_ours_stand_beside_the_originals_with_the_difference(page: str, study: StudyResult) -> None:
    ours = study.cell("upper", "lower")
    assert ours is not None
    value = ours.metrics.accuracy.value
    assert f"<a href='#upper-on-lower'>{value * 100:.1f}</a>" in page
    assert f">{(value - 0.5) * 100:+.1f}</td>" in page
    assert unescape(page).count("<h3>The original's</h3>") == 6  # accuracy, three F1 and AUC each


def test_the_parts_of_the_test_set_stand_in_each_cell(page: str, study: StudyResult) -> None:
    public = study.cell("any", "left", "public")
    assert public is not None
    inside = page.partition("<div id='any-on-left'>")[2].partition("</details>")[0]
    for words in ("all test images", "PublicTest", "PrivateTest", "not in the training split"):
        assert f"<th scope='row'>{words}</th>" in inside
    assert f"{public.metrics.macro_f1.value * 100:.1f}" in inside


@pytest.mark.parametrize(
    "words",
    [
        "the lower half is worth more by 2.8 points",
        "What training wins back",
        "Random rectangle, 0.3 share of the area",
        "Sunglasses",
        "How far the specialists agree",
        "upper half</th>",
        "Speed and size",
        "H1-specialists-all",
        "568 test images stand in the training split pixel for pixel, 210 more nearly so",
        "1,236 training and 86 test images repeat another one",
        "57 different images stand there under several labels",
        "equal to test 703",
        "Damage beyond the five views",
        "of areas under curves (AUC, AP) the first 500",
    ],
)
def test_every_part_of_the_study_is_told(words: str, page: str) -> None:
    assert words in page


def test_each_quarter_and_half_stands_under_its_name(study: StudyResult) -> None:
    assert study.shapley is not None
    table = page_rows.of_shapley(study.shapley)
    row = dict(zip(table.head, table.rows[0], strict=True))
    values = {name: round(told.value, 4) for name, told in row.items() if isinstance(told, Estimate)}
    assert values == {
        "top right": 0.12,
        "top left": 0.08,
        "bottom left": 0.05,
        "bottom right": 0.1,
        "upper half": 0.2,
        "lower half": 0.15,
        "upper less lower": 0.05,
        "left less right": -0.09,
    }


def test_curves_of_damage_begin_with_undamaged_faces(study: StudyResult) -> None:
    whole = next(point for point in study.robustness.points if (point.model, point.corruption) == ("upper", "none"))
    falling = Corruption(name="resolution", title="Low resolution", unit="pixels a side", severities=(32, 16))
    low = [whole.model_copy(update={"corruption": "resolution", "severity": side}) for side in falling.severities]

    drawn = damage(falling, damage_lines(falling, (whole, *low)))

    ticks = re.findall(r"text-anchor=.middle.>(\d+)<", drawn)
    assert ticks == ["48", "32", "16"]
    line = re.findall(r"class=.line upper. d=.M([^\"']*)", drawn)
    assert len(line[0].split(" L")) == 3


def test_a_study_without_original_figures_damage_and_quadrants_is_a_page_too(
    study: StudyResult, tmp_path: Path
) -> None:
    less = study.model_copy(
        update={
            "published": None,
            "shapley": None,
            "robustness": study.robustness.model_copy(update={"points": ()}),
            "agreement": (),
        }
    )
    write_study_report(less, tmp_path)
    page = unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "The original's" not in page
    assert "Damage" not in page
    assert "specialists agree" not in page
    assert "Protocol" in page
