"""What a model would reach that knows by heart the test images of which the training split holds a copy."""

from typing import NamedTuple

from shared.study import StudyResult, Subset

Confusion = list[list[int]]


class Known(NamedTuple):
    """Figures on all test images, 0 to 1: what knowing the copies by heart would give, the others read no better."""

    accuracy: float
    macro_f1: float


def knowing_copies(study: StudyResult, trained_on: str, evaluated_on: str) -> Known | None:
    """Return the figures of a network that reads the clean test images as this one does, and the copied ones rightly.

    None if it was not measured.
    """
    whole, clean = (study.cell(trained_on, evaluated_on, part) for part in (Subset.ALL, Subset.CLEAN))
    if whole is None or clean is None:
        return None
    known = [list(row) for row in clean.confusion]
    for label, (images, clean_images) in enumerate(zip(whole.confusion, clean.confusion, strict=True)):
        known[label][label] += sum(images) - sum(clean_images)
    right = sum(row[label] for label, row in enumerate(known))
    return Known(right / sum(map(sum, known)), sum(_f1(known, label) for label in range(len(known))) / len(known))


def _f1(confusion: Confusion, label: int) -> float:
    """Return the F1 of a class, 0 if there is neither an image nor an answer of it."""
    images, answers = sum(confusion[label]), sum(row[label] for row in confusion)
    return 2 * confusion[label][label] / max(1, images + answers)
