"""Shapley values of the quadrants over the whole test set, per emotion, with intervals over images."""

import numpy as np

from shared.labels import LABELS
from shared.masking import View
from shared.shapley import COALITIONS, half_values, shapley_values
from shared.study import Shapley, ShapleyRow
from trainer.study.bootstrap import Floats, Weights, mean_estimate
from trainer.study.confusion import Labels


def shapley_table(outputs: Floats, labels: Labels, weights: Weights, *, model: str) -> Shapley:
    """Return what each quadrant and half adds to the probability of the true emotion, over all and by emotion.

    Args:
        outputs: (N, 16, 7), the probabilities of each face by coalition (see `shared.shapley`).
        labels: int64 (N,).
        weights: float32 (B, N), see `trainer.study.bootstrap.draw`.
        model: `<name>/<version>` of the network that was asked.
    """
    of_truth = np.take_along_axis(outputs, labels[:, None, None], axis=2)
    rows = [_row(None, of_truth, weights)]
    for index, label in enumerate(LABELS):
        chosen = labels == index
        if chosen.any():
            rows.append(_row(label, of_truth[chosen], weights[:, chosen]))
    return Shapley(model=model, rows=tuple(rows))


def _row(label: str | None, outputs: Floats, weights: Weights) -> ShapleyRow:
    """Return one row; `outputs` (N, 16, 1) are the probabilities of the true emotion."""
    values = shapley_values(outputs)
    halves = {half: worth[:, 0] for half, worth in half_values(values).items()}
    upper, lower, left, right = (halves[view] for view in (View.UPPER, View.LOWER, View.LEFT, View.RIGHT))
    return ShapleyRow(
        label=label,
        count=len(outputs),
        prior=float(outputs[:, 0].mean()),
        whole=float(outputs[:, COALITIONS - 1].mean()),
        quadrants=tuple(mean_estimate(values[:, index, 0], weights) for index in range(4)),
        upper=mean_estimate(upper, weights),
        lower=mean_estimate(lower, weights),
        left=mean_estimate(left, weights),
        right=mean_estimate(right, weights),
        upper_less_lower=mean_estimate(upper - lower, weights),
        left_less_right=mean_estimate(left - right, weights),
    )
