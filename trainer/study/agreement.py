"""How far models answer alike on the same faces: by pairs (Cohen 1960) and all together (Fleiss 1971)."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from sklearn.metrics import cohen_kappa_score

from shared.study import Agreement
from trainer.study.bootstrap import Floats, Weights, estimate, mean_estimate, means
from trainer.study.confusion import CLASSES, Labels


def agreement(predicted: Mapping[str, Labels], labels: Labels, weights: Weights, *, setting: str) -> Agreement:
    """Return the agreement of at least two models.

    Args:
        predicted: model to its answers (N,), 0 to 6.
        labels: the truth (N,).
        weights: float32 (B, N), see `trainer.study.bootstrap.draw`.
        setting: what the models saw: a view's name, or `own`.
    """
    answers = list(predicted.values())
    table = np.stack([(np.stack(answers) == index).sum(axis=0) for index in range(CLASSES)], axis=1)
    right = np.stack([one == labels for one in answers])
    return Agreement(
        setting=setting,
        models=tuple(predicted),
        share=tuple(tuple(float((one == other).mean()) for other in answers) for one in answers),
        kappa=tuple(tuple(cohens_kappa(one, other) for other in answers) for one in answers),
        fleiss_kappa=estimate(fleiss_kappa(table), _fleiss_of_resamples(table, weights)),
        all_alike=mean_estimate(table.max(axis=1) == len(answers), weights),
        all_right=mean_estimate(right.sum(axis=0) == len(answers), weights),
        none_right=mean_estimate(right.sum(axis=0) == 0, weights),
    )


def cohens_kappa(first: Labels, second: Labels) -> float:
    """Return Cohen's kappa of two readers' answers (N,): agreement beyond chance, 1 if they are equal."""
    if np.array_equal(first, second):
        return 1.0
    return float(cohen_kappa_score(first, second, labels=list(range(CLASSES))))


def fleiss_kappa(table: npt.NDArray[np.int64]) -> float:
    """Return Fleiss' kappa of (N, C): how many readers gave each of C answers to each of N images.

    Every image has the same number of readers, two or more. 1 if all readers gave one answer to all images.
    """
    return float(_kappa(_alike(table).mean(), (table / table.sum(axis=1, keepdims=True)).mean(axis=0)))


def _fleiss_of_resamples(table: npt.NDArray[np.int64], weights: Weights) -> Floats:
    """Return Fleiss' kappa in each resample, (B,)."""
    shares = means(table / table.sum(axis=1, keepdims=True), weights)
    return np.asarray(_kappa(means(_alike(table), weights), shares))


def _alike(table: npt.NDArray[np.int64]) -> Floats:
    """Return (N,): the share of an image's pairs of readers that answered alike."""
    readers = table.sum(axis=1)
    return np.asarray((table * (table - 1)).sum(axis=1) / (readers * (readers - 1)))


def _kappa(alike: Floats, shares: Floats) -> Floats:
    """Return (observed - expected) / (1 - expected); `shares` (..., C) is how often each answer was given."""
    expected = (shares**2).sum(axis=-1)
    certain = 1 - expected < 1e-12
    return np.where(certain, 1.0, (alike - expected) / np.where(certain, 1.0, 1 - expected))
