"""What a model would reach that knows the copied test images by heart."""

import pytest

from shared.copies import knowing_copies
from shared.study import Cell, StudyResult
from tests.study_example import example_study

CLASSES = 7


def diagonal(rights: list[int], wrongs: list[int]) -> list[list[int]]:
    """Return a confusion matrix: each class's right answers, and wrong ones that name the class after it."""
    matrix = [[0] * CLASSES for _ in range(CLASSES)]
    for label, (right, wrong) in enumerate(zip(rights, wrongs, strict=True)):
        matrix[label][label] = right
        matrix[label][(label + 1) % CLASSES] = wrong
    return matrix


def with_confusions(study: StudyResult, by_subset: dict[str, list[list[int]]]) -> StudyResult:
    def changed(cell: Cell) -> Cell:
        if (cell.trained_on, cell.evaluated_on) != ("left", "left") or cell.subset not in by_subset:
            return cell
        return cell.model_copy(update={"confusion": by_subset[cell.subset]})

    return study.model_copy(update={"cells": tuple(map(changed, study.cells))})


def test_copies_are_read_rightly_and_the_clean_images_as_they_are() -> None:
    clean = diagonal([4] * CLASSES, [4] * CLASSES)
    whole = diagonal([4] * CLASSES, [6, 4, 4, 4, 4, 4, 4])  # two copies, both of the first class, both read wrongly
    study = with_confusions(example_study(), {"all": whole, "clean": clean})

    known = knowing_copies(study, "left", "left")

    assert known is not None
    assert known.accuracy == pytest.approx(30 / 58)
    assert known.macro_f1 == pytest.approx((12 / 20 + 6 * 0.5) / 7)


def test_a_class_without_image_and_answer_counts_as_missed() -> None:
    matrix = diagonal([4] * 5 + [0] * 2, [0] * CLASSES)
    known = knowing_copies(with_confusions(example_study(), {"all": matrix, "clean": matrix}), "left", "left")
    assert known == (1.0, pytest.approx(5 / 7))


def test_what_was_not_measured_is_not_known() -> None:
    study = example_study()
    cells = tuple(cell for cell in study.cells if cell.subset != "clean")
    assert knowing_copies(study.model_copy(update={"cells": cells}), "left", "left") is None
