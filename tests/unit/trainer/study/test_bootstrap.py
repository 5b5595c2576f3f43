"""Resamples are drawn as they should be, and intervals cover what they promise."""

import numpy as np
import pytest

from trainer.study.bootstrap import basic_estimate, draw, estimate, mean_estimate, means


def test_each_resample_draws_as_many_images_as_there_are_and_the_seed_fixes_which() -> None:
    weights = draw(50, 20, seed=3)
    assert weights.shape == (20, 50)
    assert (weights.sum(axis=1) == 50).all()
    assert weights.min() == 0
    assert weights.max() > 1
    np.testing.assert_array_equal(weights, draw(50, 20, seed=3))
    assert not np.array_equal(weights, draw(50, 20, seed=4))


def test_means_of_resamples_counted_by_hand() -> None:
    weights = np.array([[1, 1, 1], [0, 3, 0], [2, 0, 1]], np.float32)
    np.testing.assert_allclose(means(np.array([0.0, 1.0, 5.0]), weights), [2, 1, 5 / 3])
    np.testing.assert_allclose(means(np.array([[1, 0], [1, 1], [1, 1]]), weights), [[1, 2 / 3], [1, 1], [1, 1 / 3]])


def test_a_resample_that_drew_none_of_the_images_has_no_mean_and_is_left_out() -> None:
    weights = np.array([[1, 1], [0, 0], [0, 2]], np.float32)
    resampled = means(np.array([0, 1]), weights)
    assert np.isnan(resampled[1])
    found = estimate(0.5, resampled)
    assert found.low == pytest.approx(0.5125)  # 2.5 % of the way from 0.5 to 1
    assert found.high == pytest.approx(0.9875)


def test_the_interval_stays_open_where_no_resample_is_defined() -> None:
    found = estimate(0.5, np.array([np.nan, np.nan]))
    assert (found.value, found.low, found.high) == (0.5, None, None)


def test_nothing_found_in_any_resample_leaves_the_interval_open() -> None:
    found = mean_estimate(np.zeros(9, bool), draw(9, 50))
    assert (found.value, found.low, found.high) == (0, None, None)


def test_the_basic_interval_is_mirrored_and_not_below_zero() -> None:
    resampled = np.linspace(0.1, 0.3, 401)  # percentiles 0.105 and 0.295
    assert basic_estimate(0.16, resampled).high == pytest.approx(0.215)
    assert basic_estimate(0.16, resampled).low == pytest.approx(0.025)
    assert basic_estimate(0.1, resampled).low == 0


def test_the_basic_interval_holds_its_own_value() -> None:
    above = basic_estimate(0.004, np.linspace(0.009, 0.02, 401))  # mirrored: -0.012 to -0.001
    assert (above.value, above.low, above.high) == (0.004, 0, 0.004)
    below = basic_estimate(0.1, np.linspace(0.05, 0.08, 401))  # mirrored: 0.12 to 0.15
    assert below.low == 0.1
    assert below.high == pytest.approx(0.1492, abs=1e-4)


def test_the_interval_of_a_mean_is_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(0).normal(2, 1, 1000)
    found = mean_estimate(values, draw(1000, 2000, seed=1))
    half_width = 1.96 * values.std() / np.sqrt(1000)
    assert found.value == pytest.approx(values.mean(), abs=1e-4)
    assert found.low == pytest.approx(values.mean() - half_width, abs=0.006)
    assert found.high == pytest.approx(values.mean() + half_width, abs=0.006)


def test_intervals_hold_the_true_share_about_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(5)
    weights = draw(200, 400, seed=2)
    found = [mean_estimate(rng.random(200) < 0.6, weights) for _ in range(300)]
    held = np.mean([one.low <= 0.6 <= one.high for one in found])
    assert 0.91 <= held <= 0.98
