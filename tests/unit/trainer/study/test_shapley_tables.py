"""What a quadrant is worth is told of the halves that it lies in, and of no other."""

import numpy as np
import pytest

from shared.labels import LABELS
from shared.shapley import COALITIONS
from trainer.study.bootstrap import draw
from trainer.study.shapley_tables import shapley_table

from .small_study import labels_of

IMAGES = 70


@pytest.mark.parametrize(
    ("number", "halves"),
    [(1, ("upper", "right")), (2, ("upper", "left")), (3, ("lower", "left")), (4, ("lower", "right"))],
)
def test_the_halves_of_the_one_quadrant_that_counts_have_all_of_its_worth(number: int, halves: tuple[str, ...]) -> None:
    labels = labels_of(IMAGES)
    outputs = np.full((IMAGES, COALITIONS, len(LABELS)), 0.1)
    for coalition in range(COALITIONS):
        if coalition >> (number - 1) & 1:  # it is seen
            outputs[np.arange(IMAGES), coalition, labels] = 0.5

    table = shapley_table(outputs, labels, draw(IMAGES, 20, 0), model="any/1")

    assert [row.count for row in table.rows] == [70, *[10] * 7]
    for row in table.rows:
        assert [one.value for one in row.quadrants] == pytest.approx([0.4 * (each == number) for each in (1, 2, 3, 4)])
        for half in ("upper", "lower", "left", "right"):
            assert getattr(row, half).value == pytest.approx(0.4 if half in halves else 0, abs=1e-9)
        assert row.upper_less_lower.value == pytest.approx(0.4 if "upper" in halves else -0.4)
        assert row.left_less_right.value == pytest.approx(0.4 if "left" in halves else -0.4)
