"""One cell of the study: every figure of one model on one view of one part of the test set, from logits and labels."""

import numpy as np

from shared.labels import LABELS
from shared.masking import View
from shared.probabilities import Logits, softmax
from shared.study import AREA_RESAMPLES, Cell, ClassFigures, Estimate, Metrics, Subset
from trainer.study.bootstrap import Floats, Weights, estimate
from trainer.study.calibration import calibration
from trainer.study.confusion import Labels, Scores, confusion_matrix, resampled_confusions, scores
from trainer.study.curves import precision_recall_curves, roc_curves
from trainer.study.ranking import AllAreas, all_areas


def measure_cell(
    logits: Logits,
    labels: Labels,
    *,
    trained_on: str,
    evaluated_on: View,
    subset: Subset,
    temperature: float,
    weights: Weights,
) -> Cell:
    """Return the figures of one cell.

    Args:
        logits: float32 (N, 7), not divided by the temperature.
        labels: int64 (N,).
        trained_on: the model's slot.
        evaluated_on: what was hidden of the images.
        subset: which images these are; curves and reliability bins are given for `all` alone.
        temperature: the card's. Areas and curves are of the divided logits.
        weights: float32 (B, N), see `trainer.study.bootstrap.draw`. Areas use the first 500 rows.
    """
    probabilities = softmax(logits, temperature)
    confusion = confusion_matrix(labels, logits.argmax(axis=1))
    plain, resampled = scores(confusion), scores(resampled_confusions(labels, logits.argmax(axis=1), weights))
    area = all_areas(probabilities, labels, np.ones((1, len(labels)), np.float32))
    resampled_area = all_areas(probabilities, labels, weights[:AREA_RESAMPLES])
    whole = subset == Subset.ALL
    return Cell(
        trained_on=trained_on,
        evaluated_on=evaluated_on,
        subset=subset,
        count=len(labels),
        metrics=_metrics(plain, resampled, area, resampled_area),
        classes=tuple(
            _class_figures(index, labels, plain, resampled, area, resampled_area, float(share))
            for index, share in enumerate(probabilities.mean(axis=0))
        ),
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        calibration=calibration(logits, labels, temperature, weights, bins=whole),
        roc=roc_curves(probabilities, labels) if whole else (),
        precision_recall=precision_recall_curves(probabilities, labels) if whole else (),
    )


def _metrics(plain: Scores, resampled: Scores, area: AllAreas, resampled_area: AllAreas) -> Metrics:
    accuracy = estimate(float(plain.accuracy), resampled.accuracy)
    return Metrics(
        accuracy=accuracy,
        macro_f1=estimate(float(plain.macro_f1), resampled.macro_f1),
        micro_f1=accuracy,
        weighted_f1=estimate(float(plain.weighted_f1), resampled.weighted_f1),
        macro_auc=_defined(area.macro.auc, resampled_area.macro.auc),
        micro_auc=_defined(area.micro.auc, resampled_area.micro.auc),
        weighted_auc=_defined(area.weighted.auc, resampled_area.weighted.auc),
        macro_ap=_defined(area.macro.ap, resampled_area.macro.ap),
        micro_ap=_defined(area.micro.ap, resampled_area.micro.ap),
    )


def _class_figures(
    index: int,
    labels: Labels,
    plain: Scores,
    resampled: Scores,
    area: AllAreas,
    resampled_area: AllAreas,
    mean_probability: float,
) -> ClassFigures:
    count = int((labels == index).sum())
    return ClassFigures(
        label=LABELS[index],
        count=count,
        accuracy=_defined(plain.recall[[index]], resampled.recall[:, index]),
        precision=_defined(plain.precision[[index]], resampled.precision[:, index]),
        f1=_defined(plain.f1[[index]], resampled.f1[:, index]) if count else None,
        auc=_defined(area.classes.auc[:, index], resampled_area.classes.auc[:, index]),
        ap=_defined(area.classes.ap[:, index], resampled_area.classes.ap[:, index]),
        mean_probability=mean_probability,
    )


def _defined(value: Floats, resampled: Floats) -> Estimate | None:
    """Return the estimate of a figure of shape (1,), or None where it is undefined (NaN)."""
    return None if np.isnan(value[0]) else estimate(float(value[0]), resampled)
