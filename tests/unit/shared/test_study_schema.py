"""The study's file: written, read, refused; numbers kept short."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.errors import StudyError
from shared.study import Curve, Estimate, PairedTest, StudyResult, Subset, read_study, write_study
from tests.study_example import example_study

STUDY = example_study()


def test_a_study_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_study(STUDY, tmp_path / "study.json")
    assert read_study(tmp_path / "study.json") == STUDY
    assert (tmp_path / "study.json").stat().st_size < 1_500_000


def test_a_study_that_is_written_anew_leaves_the_old_one_whole_for_who_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    write_study(STUDY, path)
    with path.open("rb") as reader:
        write_study(STUDY.model_copy(update={"models": ()}), path)
        assert StudyResult.model_validate_json(reader.read()) == STUDY
    assert read_study(path).models == ()


def test_a_cell_is_found_by_model_view_and_part() -> None:
    cell = STUDY.cell("any", "left", "clean")
    assert cell is not None
    assert (cell.trained_on, cell.evaluated_on, cell.subset) == ("any", "left", Subset.CLEAN)
    whole = STUDY.cell("any", "left")
    assert whole is not None
    assert whole.subset == Subset.ALL
    assert STUDY.cell("any", "diagonal") is None


def test_numbers_are_kept_to_four_digits_figures_to_eight_and_p_to_three_that_count() -> None:
    assert Curve(name="macro", x=(0.123456,), y=(0.1,)).x == (0.1235,)
    assert Estimate(value=0.1234567891, low=0.1).value == 0.12345679
    known = STUDY.tests[0].model_dump()
    assert PairedTest.model_validate(known | {"p": 1.23456e-40}).p == 1.23e-40


def test_a_kept_figure_is_shown_in_per_cent_as_the_figure_itself_would_be() -> None:
    images = 7_178
    kept = [Estimate(value=right / images).value for right in range(images + 1)]
    assert [f"{value * 100:.1f}" for value in kept] == [f"{right / images * 100:.1f}" for right in range(images + 1)]


def test_what_is_no_number_or_no_probability_is_refused() -> None:
    with pytest.raises(ValidationError):
        Estimate(value=float("nan"))
    with pytest.raises(ValidationError):
        PairedTest.model_validate(STUDY.tests[0].model_dump() | {"p": 1.5})


def test_a_curve_of_more_than_sixty_points_is_refused() -> None:
    with pytest.raises(ValidationError):
        Curve(name="macro", x=(0.0,) * 61, y=(0.0,) * 61)


def test_the_study_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        STUDY.cells[0].count = 3  # type: ignore[misc]


def test_a_reader_ignores_what_a_newer_study_adds(tmp_path: Path) -> None:
    document = STUDY.model_dump(mode="json") | {"newer": 1}
    (tmp_path / "study.json").write_text(json.dumps(document))
    assert read_study(tmp_path / "study.json") == STUDY


def test_a_missing_and_a_broken_study_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="make it with"):
        read_study(tmp_path / "study.json")
    (tmp_path / "study.json").write_text('{"format": 2}')
    with pytest.raises(StudyError, match="make it again"):
        read_study(tmp_path / "study.json")
