"""The temperature is found, the calibration error counted by hand."""

import numpy as np
import pytest

from shared.probabilities import softmax
from tests.unit.trainer.study.small_study import answers, labels_of
from trainer.evaluation import cross_entropy
from trainer.study.bootstrap import draw
from trainer.study.calibration import (
    calibration,
    expected_calibration_error,
    fit_temperature,
    reliability,
)


def honest(images: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return logits whose probabilities are true, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (images, 7)).astype(np.float32)
    probabilities = softmax(logits)
    return logits, (probabilities.cumsum(axis=1) < rng.random((images, 1))).sum(axis=1).clip(0, 6)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_that_was_put_on_honest_logits_is_found(temperature: float) -> None:
    logits, labels = honest(20_000)
    assert fit_temperature((logits * temperature).astype(np.float32), labels) == pytest.approx(temperature, rel=0.03)


def test_no_other_temperature_has_a_lower_loss() -> None:
    logits, labels = answers(labels_of(300), 2.0, 1), labels_of(300)
    best = fit_temperature(logits, labels)
    loss = cross_entropy(logits / best, labels)
    assert all(loss <= cross_entropy(logits / (best * factor), labels) for factor in (0.5, 0.95, 1.05, 2))


def test_the_calibration_error_counted_by_hand() -> None:
    probabilities = np.full((4, 7), 0.0)
    probabilities[:, 0] = [0.9, 0.9, 0.5, 0.5]
    probabilities[:, 1] = 1 - probabilities[:, 0]
    labels = np.array([0, 1, 0, 0])  # at 0.9 half are right, at 0.5 all
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.5 * 0.4 + 0.5 * 0.5)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    probabilities = np.array([[0.6, 0.4, 0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0, 0, 0]])
    bins = reliability(probabilities, np.array([0, 1]))
    assert [index for index, one in enumerate(bins) if one.count] == [8, 14]  # (8/15, 9/15] and (14/15, 1]
    assert bins[8].accuracy == 1
    assert bins[14].accuracy == 0
    assert bins[0].confidence is None


def test_honest_logits_have_a_small_error_and_boastful_ones_a_large_one_that_the_temperature_removes() -> None:
    logits, labels = honest(5000, seed=4)
    boastful = (logits * 4).astype(np.float32)
    found = calibration(boastful, labels, 4.0, draw(5000, 100), bins=True)
    assert expected_calibration_error(softmax(logits), labels) < 0.03
    assert found.ece_before.value > 0.2
    assert found.ece_after.value == pytest.approx(expected_calibration_error(softmax(logits), labels), abs=1e-4)
    assert found.ece_before.low > found.ece_after.high
    assert found.nll_after.value < found.nll_before.value
    assert sum(one.count for one in found.after) == 5000


def test_without_bins_no_bins_are_given() -> None:
    logits, labels = honest(100)
    assert calibration(logits, labels, 1.0, draw(100, 10), bins=False).before == ()
