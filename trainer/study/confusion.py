"""Figures that follow from the confusion matrix: accuracy, F1, recall and precision, for many matrices at once."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.labels import LABELS
from trainer.study.bootstrap import Floats, Weights

CLASSES = len(LABELS)
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Figures of confusion matrices of shape (..., C, C), C classes.

    accuracy, macro_f1, weighted_f1 have the shape (...); recall, precision, f1 (..., C). Recall of a class
    without images and precision of one never answered are NaN. F1 is 0 where there is neither, as scikit-learn's
    `zero_division=0` has it. With one label for each image micro F1 equals accuracy.
    """

    accuracy: Floats
    macro_f1: Floats
    weighted_f1: Floats
    recall: Floats
    precision: Floats
    f1: Floats


def confusion_matrix(labels: Labels, predicted: Labels) -> npt.NDArray[np.int64]:
    """Return int64 (7, 7): images by true class (rows) and answer (columns)."""
    pairs = np.bincount(labels * CLASSES + predicted, minlength=CLASSES**2)
    return pairs.reshape(CLASSES, CLASSES).astype(np.int64)


def resampled_confusions(labels: Labels, predicted: Labels, weights: Weights) -> Floats:
    """Return float64 (B, 7, 7): the confusion matrix of each resample, `weights` (B, N)."""
    pairs = np.zeros((len(labels), CLASSES**2), np.float32)
    pairs[np.arange(len(labels)), labels * CLASSES + predicted] = 1
    return np.asarray(weights @ pairs, np.float64).reshape(-1, CLASSES, CLASSES)


def scores(confusion: npt.NDArray[np.generic]) -> Scores:
    """Return the figures of confusion matrices (..., C, C), rows the truth; none may be empty."""
    counts = confusion.astype(np.float64)
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    true, answered = counts.sum(axis=-1), counts.sum(axis=-2)
    images = true.sum(axis=-1)
    accuracy = right.sum(axis=-1) / images
    f1 = _divide(2 * right, true + answered, 0.0)
    return Scores(
        accuracy=accuracy,
        macro_f1=f1.mean(axis=-1),
        weighted_f1=(f1 * true).sum(axis=-1) / images,
        recall=_divide(right, true, np.nan),
        precision=_divide(right, answered, np.nan),
        f1=f1,
    )


def _divide(upper: Floats, lower: Floats, otherwise: float) -> Floats:
    """Return upper / lower, and `otherwise` where lower is 0."""
    return np.divide(upper, lower, out=np.full_like(upper, otherwise), where=lower > 0)
