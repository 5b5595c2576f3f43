"""The README's tables: from the study where there is one, else from the cards; written between the marks."""

import shutil
from pathlib import Path

import pytest

from shared.copies import knowing_copies
from shared.errors import HalffaceError
from shared.model_folder import read_active, write_active
from shared.schemas.wire import SLOTS
from shared.study import StudyResult, write_study
from tests.study_example import example_study
from trainer.tables import BEGIN, END, readme_table, write_between_marks


@pytest.fixture(scope="module")
def study() -> StudyResult:
    return example_study()


def with_accuracy(study: StudyResult, trained_on: str, view: str, value: float) -> StudyResult:
    """Return the study with another accuracy of a cell on all test images."""
    cell = study.cell(trained_on, view)
    assert cell is not None
    figure = cell.metrics.accuracy.model_copy(update={"value": value, "low": value - 0.011, "high": value + 0.011})
    other = cell.model_copy(update={"metrics": cell.metrics.model_copy(update={"accuracy": figure})})
    return study.model_copy(update={"cells": tuple(other if one is cell else one for one in study.cells)})


def test_the_study_gives_every_model_on_every_view_and_each_view_beside_the_original(
    study: StudyResult, tmp_path: Path
) -> None:
    write_study(with_accuracy(study, "left", "left", 0.6123), tmp_path / "study.json")

    lines = readme_table(tmp_path).splitlines()

    assert lines[0] == "| trained on | full | upper | lower | left | right |"
    assert [line.split(" | ")[0] for line in lines[2:8]] == [f"| {slot}" for slot in SLOTS]
    assert lines[5].split(" | ")[4] == "61.2"
    own = next(line for line in lines[9:] if line.startswith("| left |"))
    assert own.split(" | ")[1:6] == ["left/1", "61.2", "60.1 to 62.3", "50.0", "+11.2"]


def test_macro_f1_has_a_table_like_that_of_accuracy_below_it(study: StudyResult, tmp_path: Path) -> None:
    write_study(study, tmp_path / "study.json")

    text = readme_table(tmp_path)
    accuracy, macro_f1 = (table.splitlines() for table in text.split("\n\n")[1:3])

    cell, known = study.cell("left", "left"), knowing_copies(study, "left", "left")
    assert cell is not None
    assert known is not None
    assert [table[0].split(" | ")[2] for table in (accuracy, macro_f1)] == ["accuracy", "macro F1"]
    rows = [next(line for line in table if line.startswith("| left |")).split(" | ") for table in (accuracy, macro_f1)]
    assert [row[2] for row in rows] == [
        f"{it.value * 100:.1f}" for it in (cell.metrics.accuracy, cell.metrics.macro_f1)
    ]
    assert [row[-1] for row in rows] == [f"{it * 100:.1f} |" for it in known]


def test_a_difference_that_rounds_to_nothing_has_no_minus(study: StudyResult, tmp_path: Path) -> None:
    write_study(with_accuracy(study, "left", "left", 0.4997), tmp_path / "study.json")

    own = next(line for line in readme_table(tmp_path).splitlines()[9:] if line.startswith("| left |"))
    assert own.split(" | ")[5] == "+0.0"


def test_the_cells_at_or_above_the_original_are_counted(study: StudyResult, tmp_path: Path) -> None:
    for view in ("full", "upper", "lower", "left", "right"):
        for slot in SLOTS:
            study = with_accuracy(study, slot, view, 0.5)  # as high as the example's published ones
    study = with_accuracy(study, "upper", "full", 0.4999)
    write_study(study, tmp_path / "study.json")

    assert (
        readme_table(tmp_path)
        .splitlines()[-1]
        .startswith(
            "Cells of the five specialists at or above the original's: accuracy 24 of 25 (own view: 5 of 5), macro F1 "
        )
    )


def test_it_is_told_where_ours_and_the_originals_are_apart_after_correction(study: StudyResult, tmp_path: Path) -> None:
    """An interval of 1.1 points to each side: an error of 0.79 of the difference, of which 2.58 (Holm's first) is 2."""
    values = {"full": 0.5, "upper": 0.5205, "lower": 0.478, "left": 0.5155, "right": 0.4995}
    for view, value in values.items():
        study = with_accuracy(study, view, view, value)
    write_study(study, tmp_path / "study.json")

    last = readme_table(tmp_path).splitlines()[-1]

    assert "Holm): accuracy above on upper and below on lower; macro F1 " in last


def test_of_figures_that_nobody_published_nothing_is_told_apart(study: StudyResult, tmp_path: Path) -> None:
    assert study.published is not None
    none = study.published.model_copy(update={"cells": ()})
    write_study(study.model_copy(update={"published": none}), tmp_path / "study.json")
    assert "On their own views" not in readme_table(tmp_path)


def test_without_a_study_the_cards_give_the_slots_own_view_and_all_views_of_any(
    models_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(models_dir, tmp_path / "models")
    version = read_active(models_dir)["full"]
    write_active(tmp_path / "models", {"upper": version, "any": version})

    rows = [line.split(" | ")[0] for line in readme_table(tmp_path / "models").splitlines()[2:]]

    assert rows == ["| upper", "| full, any", "| upper, any", "| lower, any", "| left, any", "| right, any"]


def test_the_tables_are_put_between_the_marks_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"before\n{BEGIN}\n| old |\n{END}\nafter\n", encoding="utf-8")
    write_between_marks(path, r"| new \1 |")
    assert path.read_text(encoding="utf-8") == f"before\n{BEGIN}\n| new \\1 |\n{END}\nafter\n"


@pytest.mark.parametrize("text", ["nothing", f"{END}\n{BEGIN}\n", f"{BEGIN}\n1\n{END}\n{BEGIN}\n2\n{END}\n"])
def test_a_file_without_the_marks_stays_as_it_is(text: str, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(HalffaceError, match="once each"):
        write_between_marks(path, "| new |")
    assert path.read_text(encoding="utf-8") == text
