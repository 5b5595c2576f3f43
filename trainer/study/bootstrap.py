"""Percentile bootstrap over images: each resample draws as many images as there are, with replacement.

A resample is a row of weights: how often each image was drawn. Models are compared on the same resamples, so a
difference of two models is paired. Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from shared.study import Estimate

RESAMPLES: Final = 2000

LEVEL: Final = 0.95

Weights = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


def draw(images: int, resamples: int = RESAMPLES, seed: int = 0) -> Weights:
    """Return float32 (resamples, images): how often each resample drew each image; every row adds up to `images`."""
    rng = np.random.default_rng(seed)
    weights = np.empty((resamples, images), np.float32)
    for row in weights:
        row[:] = np.bincount(rng.integers(0, images, images), minlength=images)
    return weights


def means(values: npt.NDArray[np.generic], weights: Weights) -> Floats:
    """Return the mean of `values` (N,) or (N, K) in each resample: float64 (B,) or (B, K); NaN of an empty resample.

    `weights` may be some columns of what `draw` returned: the same resamples, seen through a part of the images.
    """
    sums = np.asarray(weights @ values.astype(np.float32), np.float64)
    images = weights.sum(axis=1, dtype=np.float64).reshape(-1, *[1] * (sums.ndim - 1))
    return np.asarray(np.divide(sums, images, out=np.full_like(sums, np.nan), where=images > 0))


def estimate(value: float, resampled: Floats) -> Estimate:
    """Return `value` with the percentiles 2.5 and 97.5 of `resampled` (B,), of which NaN (undefined) are left out.

    The interval is left open where no resample is defined, and where all are the same: none of nine recognised in the
    sample is none in every resample, which says nothing of the next nine.
    """
    low, high = _percentiles(resampled)
    return Estimate(value=value, low=low, high=high)


def basic_estimate(value: float, resampled: Floats) -> Estimate:
    """Return `value` with the basic interval: its percentiles mirrored at `value`, not below 0, `value` always in it.

    For figures that chance can only raise, such as a calibration error: resampling raises them once more, so that
    plain percentiles would lie too high (Davison and Hinkley, Bootstrap Methods and their Application, 1997, 5.2).
    Of a figure near 0 nearly all resamples lie above it, and the mirrored end would lie below the figure itself.
    """
    low, high = _percentiles(resampled)
    if low is None or high is None:
        return Estimate(value=value)
    return Estimate(value=value, low=min(value, max(0.0, 2 * value - high)), high=max(value, 2 * value - low))


def _percentiles(resampled: Floats) -> tuple[float, float] | tuple[None, None]:
    defined = resampled[~np.isnan(resampled)]
    if len(defined) == 0 or defined.min() == defined.max():
        return None, None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def mean_estimate(values: npt.NDArray[np.generic], weights: Weights) -> Estimate:
    """Return the mean of `values` (N,) with its interval over the resamples `weights` (B, N)."""
    return estimate(float(values.astype(np.float64).mean()), means(values, weights))
