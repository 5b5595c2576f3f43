"""McNemar, Holm and the effect sizes against cases counted by hand and published ones."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chi2

from trainer.study.bootstrap import draw
from trainer.study.paired_tests import cohens_g, difference, holm, mcnemar, odds_ratio

Right = npt.NDArray[np.bool_]


def pair(both: int, only_first: int, only_second: int, neither: int) -> tuple[Right, Right]:
    """Return two readings that agree and differ on so many images."""
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return np.array(first), np.array(second)


def test_few_differing_images_are_tested_exactly() -> None:
    result = mcnemar(*pair(50, 2, 10, 5))
    assert (result.only_first, result.only_second, result.method, result.statistic) == (2, 10, "exact", 2)
    assert result.p == pytest.approx(2 * binom.cdf(2, 12, 0.5))  # 0.0386
    assert result.p == pytest.approx(158 / 4096)


def test_many_differing_images_are_tested_with_the_continuity_correction() -> None:
    result = mcnemar(*pair(101, 121, 59, 33))  # Wikipedia's example of McNemar's test
    assert result.method == "chi-squared"
    assert result.statistic == pytest.approx(61**2 / 180)
    assert result.p == pytest.approx(chi2.sf(61**2 / 180, 1))


def test_from_25_differing_images_on_the_test_is_not_exact() -> None:
    assert mcnemar(*pair(0, 10, 14, 0)).method == "exact"
    assert mcnemar(*pair(0, 10, 15, 0)).method == "chi-squared"


def test_readings_that_are_right_equally_often_do_not_differ() -> None:
    assert mcnemar(*pair(10, 0, 0, 10)).p == 1
    assert mcnemar(*pair(10, 6, 6, 10)).p == 1
    assert mcnemar(*pair(10, 60, 60, 10)).p == 1


@given(st.integers(0, 80), st.integers(0, 80))
def test_mcnemar_does_not_mind_which_reading_is_first(only_first: int, only_second: int) -> None:
    one, other = mcnemar(*pair(3, only_first, only_second, 3)), mcnemar(*pair(3, only_second, only_first, 3))
    assert one.p == pytest.approx(other.p)
    assert 0 <= one.p <= 1


def test_the_test_is_true_to_its_level_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    found = [mcnemar(rng.random(400) < 0.6, rng.random(400) < 0.6).p < 0.05 for _ in range(1000)]
    assert 0.02 < np.mean(found) < 0.06


def test_holm_counted_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_lies_between_no_correction_and_bonferroni(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert [corrected[index] for index in np.argsort(p_values, kind="stable")] == sorted(corrected)
    for p, q in zip(p_values, corrected, strict=True):
        assert p <= q <= min(1.0, p * len(p_values)) or q == pytest.approx(p)


def test_the_difference_is_paired() -> None:
    first, second = pair(400, 40, 20, 140)
    found = difference(first, second, draw(600, 2000, seed=1))
    assert found.value == pytest.approx(20 / 600, abs=1e-4)
    spread = np.sqrt((60 / 600 - (20 / 600) ** 2) / 600)  # of the paired difference
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.08)


def test_the_odds_ratio_with_its_exact_interval() -> None:
    found = odds_ratio(30, 10)
    assert found.value == 3
    low, high = 0.588038, 0.873093  # Clopper and Pearson for 30 of 40
    assert found.low == pytest.approx(low / (1 - low), rel=1e-3)
    assert found.high == pytest.approx(high / (1 - high), rel=1e-3)


def test_the_odds_ratio_is_open_where_one_side_is_empty() -> None:
    assert (odds_ratio(5, 0).value, odds_ratio(5, 0).high) == (11, None)
    assert (odds_ratio(0, 5).value, odds_ratio(0, 5).low) == (pytest.approx(1 / 11), 0)
    assert (odds_ratio(0, 0).value, odds_ratio(0, 0).low) == (1, None)


def test_cohens_g_counted_by_hand() -> None:
    assert cohens_g(30, 10) == 0.25
    assert cohens_g(0, 3) == -0.5
    assert cohens_g(0, 0) == 0
