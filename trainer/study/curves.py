"""ROC and precision-recall curves, thinned for drawing; the areas are taken from all points, not from these."""

import numpy as np
import numpy.typing as npt
from sklearn.metrics import precision_recall_curve, roc_curve

from shared.labels import LABELS
from shared.study import CURVE_POINTS, Curve
from trainer.study.bootstrap import Floats
from trainer.study.confusion import CLASSES, Labels


def roc_curves(probabilities: Floats, labels: Labels) -> tuple[Curve, ...]:
    """Return the ROC curve of each class that has images, then macro, micro and weighted if all have.

    Macro and weighted curves average the classes' true positive rates at each false positive rate (Fawcett 2006,
    vertical averaging), so the area under them is the macro and the weighted area.

    Args:
        probabilities: (N, 7).
        labels: (N,).
    """
    is_class = labels[:, None] == np.arange(CLASSES)
    present = [index for index in range(CLASSES) if 0 < is_class[:, index].sum() < len(labels)]
    each = {index: roc_curve(is_class[:, index], probabilities[:, index])[:2] for index in present}
    curves = [_thin(LABELS[index], *each[index]) for index in present]
    if len(present) < CLASSES:
        return tuple(curves)
    return (
        *curves,
        _thin("macro", *_vertical_mean(each, np.full(CLASSES, 1 / CLASSES))),
        _thin("micro", *roc_curve(is_class.ravel(), probabilities.ravel())[:2]),
        _thin("weighted", *_vertical_mean(each, is_class.mean(axis=0))),
    )


def precision_recall_curves(probabilities: Floats, labels: Labels) -> tuple[Curve, ...]:
    """Return the precision-recall curve of each class that has images, then micro; shapes as in `roc_curves`."""
    is_class = labels[:, None] == np.arange(CLASSES)
    curves = []
    for index, label in enumerate(LABELS):
        if is_class[:, index].any():
            precision, recall, _ = precision_recall_curve(is_class[:, index], probabilities[:, index])
            curves.append(_thin(label, recall[::-1], precision[::-1]))
    precision, recall, _ = precision_recall_curve(is_class.ravel(), probabilities.ravel())
    return (*curves, _thin("micro", recall[::-1], precision[::-1]))


def _vertical_mean(each: dict[int, tuple[Floats, Floats]], shares: Floats) -> tuple[Floats, Floats]:
    """Return (x, y): the mean over y of the classes' curves, weighted by `shares`, foot and top of every step."""
    x = np.unique(np.concatenate([rates for rates, _ in each.values()]))
    foot, top = np.zeros_like(x), np.zeros_like(x)
    for index, (rates, values) in each.items():
        first, last = np.searchsorted(rates, x, "left"), np.searchsorted(rates, x, "right") - 1
        between = np.interp(x, rates, values)
        is_point = rates[first] == x
        foot += shares[index] * np.where(is_point, values[first], between)
        top += shares[index] * np.where(is_point, values[last], between)
    return np.repeat(x, 2), np.stack([foot, top], axis=1).ravel()


def _thin(name: str, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> Curve:
    """Return at most `CURVE_POINTS` of the points, both ends among them, evenly along the curve's length."""
    if len(x) > CURVE_POINTS:
        way = np.r_[0, np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))]
        chosen = np.searchsorted(way, np.linspace(0, way[-1], CURVE_POINTS))
        chosen = np.unique(np.clip(np.r_[0, chosen[1:-1], len(x) - 1], 0, len(x) - 1))
        x, y = x[chosen], y[chosen]
    return Curve(name=name, x=tuple(x.tolist()), y=tuple(y.tolist()))
