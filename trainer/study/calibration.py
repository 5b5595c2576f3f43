"""Whether a model's confidence is what it is worth: temperature scaling and the expected calibration error.

Both as in Guo et al., On Calibration of Modern Neural Networks, ICML 2017: one temperature divides all logits, chosen
by the negative log-likelihood of validation images; the error is that of Naeini et al. (AAAI 2015) with 15 bins of
equal width.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from shared.probabilities import Logits, softmax
from shared.study import Calibration, Estimate, ReliabilityBin
from trainer.evaluation import losses
from trainer.study.bootstrap import Floats, Weights, basic_estimate, mean_estimate
from trainer.study.confusion import Labels

BINS: Final = 15
TEMPERATURES: Final = (0.05, 20.0)
"""Between these a temperature is looked for; no sound network needs one outside."""


def fit_temperature(logits: Logits, labels: Labels, added: Floats | float = 0.0) -> float:
    """Return the temperature that minimises the mean negative log-likelihood of `labels` (N,) under logits (N, 7).

    Args:
        logits: divided by the temperature.
        labels: of the same images.
        added: (7,) to what was divided, before it becomes probabilities.
    """
    low, high = np.log(TEMPERATURES)
    exact = logits.astype(np.float64)
    found = minimize_scalar(
        lambda log: losses(softmax(exact / np.exp(log) + added), labels).mean(),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return float(np.exp(found.x))


def expected_calibration_error(probabilities: Floats, labels: Labels) -> float:
    """Return the expected calibration error, 0 to 1: |accuracy - confidence| of each bin, weighted by its images.

    Args:
        probabilities: (N, 7); the highest is the confidence. Bins are (k/15, (k+1)/15].
        labels: (N,).
    """
    return float(_error(_gaps(probabilities, labels).sum(axis=0), len(labels)))


def calibration(logits: Logits, labels: Labels, temperature: float, weights: Weights, *, bins: bool) -> Calibration:
    """Return the figures of one model on one view, with intervals over the resamples `weights` (B, N).

    Args:
        logits: (N, 7), not yet divided by the temperature.
        labels: (N,).
        temperature: fitted on other images than these.
        weights: see `trainer.study.bootstrap.draw`.
        bins: also give the reliability bins.
    """
    before, after = softmax(logits), softmax(logits, temperature)
    return Calibration(
        temperature=temperature,
        ece_before=_error_estimate(before, labels, weights),
        ece_after=_error_estimate(after, labels, weights),
        nll_before=mean_estimate(losses(before, labels), weights),
        nll_after=mean_estimate(losses(after, labels), weights),
        before=reliability(before, labels) if bins else (),
        after=reliability(after, labels) if bins else (),
    )


def reliability(probabilities: Floats, labels: Labels) -> tuple[ReliabilityBin, ...]:
    """Return the 15 bins of a reliability diagram; shapes as in `expected_calibration_error`."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = _bins(confidence)
    out = []
    for index in range(BINS):
        inside = bins == index
        out.append(
            ReliabilityBin(
                low=index / BINS,
                high=(index + 1) / BINS,
                count=int(inside.sum()),
                confidence=float(confidence[inside].mean()) if inside.any() else None,
                accuracy=float(right[inside].mean()) if inside.any() else None,
            )
        )
    return tuple(out)


def _bins(confidence: Floats) -> npt.NDArray[np.int64]:
    """Return the number of each confidence's bin, 0 to 14."""
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)


def _gaps(probabilities: Floats, labels: Labels) -> Floats:
    """Return (N, 15): each image's right (1 or 0) less its confidence, in the column of its bin."""
    confidence = probabilities.max(axis=1)
    gaps = np.zeros((len(labels), BINS))
    gaps[np.arange(len(labels)), _bins(confidence)] = (probabilities.argmax(axis=1) == labels) - confidence
    return gaps


def _error(sums: Floats, images: int) -> Floats:
    return np.asarray(np.abs(sums).sum(axis=-1) / images)


def _error_estimate(probabilities: Floats, labels: Labels, weights: Weights) -> Estimate:
    gaps = _gaps(probabilities, labels)
    resampled = _error(np.asarray(weights @ gaps.astype(np.float32), np.float64), len(labels))
    return basic_estimate(expected_calibration_error(probabilities, labels), resampled)
