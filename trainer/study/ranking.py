"""Areas under the ROC and the precision-recall curve, for every resample at once, ties included.

The area under the ROC curve is the chance that an image of the class gets a higher score than one of another class, a
tie counting half (Hanley and McNeil 1982). Average precision is the mean of the precision at each step of recall
(as scikit-learn's `average_precision_score`).
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from trainer.study.bootstrap import Floats, Weights
from trainer.study.confusion import CLASSES, Labels

NUMBERS_AT_ONCE: Final = 2_000_000


class Areas(NamedTuple):
    """Area under the ROC curve and average precision, each (B,); NaN where one of the two kinds has no weight."""

    auc: Floats
    ap: Floats


class AllAreas(NamedTuple):
    """Both areas of each class, (B, 7), and over all classes, (B,).

    macro is the mean of the classes, weighted their mean by the number of images, micro the area over all pairs of an
    image and a class. All but `classes` are NaN where a class has no weight.
    """

    classes: Areas
    macro: Areas
    micro: Areas
    weighted: Areas


def areas(scores: Floats, positive: npt.NDArray[np.bool_], weights: Weights) -> Areas:
    """Return the areas of one ranking, for each row of weights.

    Args:
        scores: (N,), higher for what is more likely positive.
        positive: bool (N,).
        weights: float32 (B, N), whole numbers: how often each resample holds each element.
    """
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    starts = np.flatnonzero(np.r_[True, sorted_scores[1:] != sorted_scores[:-1]])
    rows = max(1, NUMBERS_AT_ONCE // len(scores))
    parts = [
        _areas_of_sorted(weights[start : start + rows, order], positive[order], starts)
        for start in range(0, len(weights), rows)
    ]
    return Areas(np.concatenate([part.auc for part in parts]), np.concatenate([part.ap for part in parts]))


def all_areas(probabilities: Floats, labels: Labels, weights: Weights) -> AllAreas:
    """Return the areas of each class against the rest and over all classes.

    Args:
        probabilities: (N, 7).
        labels: (N,).
        weights: float32 (B, N); one row of ones for the figures themselves.
    """
    each = [areas(probabilities[:, index], labels == index, weights) for index in range(CLASSES)]
    classes = Areas(np.stack([one.auc for one in each], axis=1), np.stack([one.ap for one in each], axis=1))
    is_class = labels[:, None] == np.arange(CLASSES)
    shares = weights @ is_class.astype(np.float32) / weights.sum(axis=1, keepdims=True)
    pairs = np.repeat(weights, CLASSES, axis=1)
    micro = areas(probabilities.ravel(), is_class.ravel(), pairs)
    missing = np.isnan(classes.auc).any(axis=1)
    return AllAreas(
        classes=classes,
        macro=Areas(classes.auc.mean(axis=1), classes.ap.mean(axis=1)),
        micro=Areas(np.where(missing, np.nan, micro.auc), np.where(missing, np.nan, micro.ap)),
        weighted=Areas((classes.auc * shares).sum(axis=1), (classes.ap * shares).sum(axis=1)),
    )


def _areas_of_sorted(weights: Weights, positive: npt.NDArray[np.bool_], starts: npt.NDArray[np.int64]) -> Areas:
    """Return the areas, elements sorted by falling score; `starts` are the first elements of equal scores."""
    gained = np.add.reduceat(weights * positive, starts, axis=1)
    lost = np.add.reduceat(weights * ~positive, starts, axis=1)
    true, false = np.cumsum(gained, axis=1), np.cumsum(lost, axis=1)
    positives, negatives = true[:, -1].astype(np.float64), false[:, -1].astype(np.float64)
    below = negatives[:, None] - false + lost / 2
    precision = np.divide(true, true + false, out=np.zeros_like(true), where=true > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        auc = (gained * below).sum(axis=1, dtype=np.float64) / (positives * negatives)
        ap = (gained * precision).sum(axis=1, dtype=np.float64) / positives
    undefined = (positives == 0) | (negatives == 0)
    return Areas(np.where(undefined, np.nan, auc), np.where(undefined, np.nan, ap))
