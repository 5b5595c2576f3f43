"""Tests of two readings of the same images: McNemar, Holm's correction, effect sizes.

Sources: McNemar 1947; Edwards 1948 for the continuity correction; exact (binomial) below 25 images on which the two
differ, the usual rule. The plain chi-squared is too easily significant and the exact test a little too seldom; the
correction errs to the careful side (Fagerland, Lydersen and Laake 2013 compare them). Holm 1979 corrects for many
comparisons. Cohen 1988, chapter 5, for g.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, chi2

from shared.study import Estimate
from trainer.study.bootstrap import LEVEL, Weights, mean_estimate

EXACT_BELOW: Final = 25

Right = npt.NDArray[np.bool_]


class McNemar(NamedTuple):
    """Whether two readings of the same images are right equally often."""

    only_first: int
    only_second: int
    method: Literal["exact", "chi-squared"]
    statistic: float
    p: float


def mcnemar(first: Right, second: Right) -> McNemar:
    """Return McNemar's two-sided test of `first` and `second`, bool (N,): which images each read correctly."""
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    differing = only_first + only_second
    if differing < EXACT_BELOW:
        fewer = min(only_first, only_second)
        p = float(binomtest(fewer, differing).pvalue) if differing else 1.0
        return McNemar(only_first, only_second, "exact", float(fewer), p)
    statistic = max(0, abs(only_first - only_second) - 1) ** 2 / differing
    return McNemar(only_first, only_second, "chi-squared", statistic, float(chi2.sf(statistic, df=1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values of one family corrected by Holm's step-down method, in their order, at most 1."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected


def difference(first: Right, second: Right, weights: Weights) -> Estimate:
    """Return the accuracy of `first` less that of `second`, (N,) each, paired over the resamples (B, N)."""
    return mean_estimate(first.astype(np.int8) - second.astype(np.int8), weights)


def odds_ratio(only_first: int, only_second: int) -> Estimate:
    """Return only_first / only_second with its exact interval (Clopper and Pearson's, of the share of only_first).

    Half an image is added to both where one is 0 (Haldane 1956); the interval is then open above or ends at 0.
    """
    extra = 0.5 if 0 in (only_first, only_second) else 0.0
    value = (only_first + extra) / (only_second + extra)
    if only_first + only_second == 0:
        return Estimate(value=value)
    share = binomtest(only_first, only_first + only_second).proportion_ci(LEVEL, method="exact")
    return Estimate(
        value=value,
        low=float(share.low / (1 - share.low)),
        high=float(share.high / (1 - share.high)) if share.high < 1 else None,
    )


def cohens_g(only_first: int, only_second: int) -> float:
    """Return the share of only_first among the images that only one read correctly, less a half: -0.5 to 0.5."""
    differing = only_first + only_second
    return only_first / differing - 0.5 if differing else 0.0
