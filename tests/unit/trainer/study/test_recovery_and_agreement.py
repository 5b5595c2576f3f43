"""Recovered losses and kappas against counted and published cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from shared.masking import View
from shared.study import Recovery
from trainer.study.agreement import agreement, cohens_kappa, fleiss_kappa
from trainer.study.bootstrap import draw
from trainer.study.recovery import recovery

FLEISS = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)
"""Ten images, fourteen readers, five answers: the worked example of Wikipedia's Fleiss' kappa, 0.210."""


def first(count: int, images: int = 100) -> np.ndarray:
    """Return a reading that is right on the first `count` images."""
    return np.arange(images) < count


def recovered(whole: int, hidden: int, trained: int) -> Recovery:
    return recovery(
        first(whole), first(hidden), first(trained), draw(100, 500), view=View.UPPER, model=View.UPPER.value
    )


# --- recovery --------------------------------------------------------------------------------------------------------


def test_the_share_of_the_loss_counted_by_hand() -> None:
    found = recovered(70, 30, 60)
    assert (found.full_on_full, found.full_on_view, found.model_on_view) == (0.7, 0.3, 0.6)
    assert found.loss.value == 0.4
    assert found.recovered is not None
    assert found.recovered.value == 0.75
    assert found.recovered.low < 0.75 < found.recovered.high < 1


def test_training_can_make_it_worse_and_better_than_whole() -> None:
    worse, better = recovered(70, 30, 20).recovered, recovered(70, 30, 80).recovered
    assert worse is not None
    assert worse.value == -0.25
    assert better is not None
    assert better.value == 1.25


def test_without_a_loss_nothing_can_be_recovered() -> None:
    assert recovered(50, 50, 60).recovered is None
    assert recovered(50, 60, 60).recovered is None


# --- agreement -------------------------------------------------------------------------------------------------------


def test_fleiss_own_kind_of_example() -> None:
    assert fleiss_kappa(FLEISS) == pytest.approx(0.210, abs=5e-4)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=30))
def test_of_two_readers_fleiss_is_scotts_pi_and_cohen_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    one, other = (np.array(column) for column in zip(*pairs, strict=True))
    table = np.eye(7, dtype=int)[one] + np.eye(7, dtype=int)[other]
    shares = table.sum(axis=0) / table.sum()
    expected, observed = (shares**2).sum(), (one == other).mean()
    pi = 1.0 if expected == 1 else (observed - expected) / (1 - expected)
    assert fleiss_kappa(table) == pytest.approx(pi)
    if not np.array_equal(one, other):
        assert cohens_kappa(one, other) == pytest.approx(cohen_kappa_score(one, other))


def test_readers_that_always_agree_have_a_kappa_of_one() -> None:
    answers = np.array([3, 3, 3])
    assert cohens_kappa(answers, answers) == 1
    assert fleiss_kappa(2 * np.eye(7, dtype=int)[answers]) == 1


def test_agreement_of_three_models_counted_by_hand() -> None:
    labels = np.array([0, 1, 2, 3])
    predicted = {
        "full": np.array([0, 1, 2, 0]),
        "upper": np.array([0, 1, 5, 0]),
        "lower": np.array([0, 2, 6, 0]),
    }
    found = agreement(predicted, labels, draw(4, 100), setting="own")
    assert found.models == ("full", "upper", "lower")
    assert found.share == ((1, 0.75, 0.5), (0.75, 1, 0.5), (0.5, 0.5, 1))
    assert found.kappa[0][1] == pytest.approx(cohen_kappa_score(predicted["full"], predicted["upper"]), abs=1e-4)
    assert found.kappa[2][2] == 1
    assert (found.all_alike.value, found.all_right.value, found.none_right.value) == (0.5, 0.25, 0.25)


def test_the_interval_of_fleiss_kappa_holds_it() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7, 400)
    predicted = {name: np.where(rng.random(400) < 0.7, labels, rng.integers(0, 7, 400)) for name in ("full", "upper")}
    found = agreement(predicted, labels, draw(400, 300), setting="full").fleiss_kappa
    assert found.low < found.value < found.high
    assert found.high - found.low < 0.15
