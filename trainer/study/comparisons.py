"""Compares two readings, over all images or those of one emotion, and writes down what the test says."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.labels import LABEL_INDEX
from shared.masking import View
from shared.study import Estimate, PairedTest, Reading, Subset
from trainer.study.bootstrap import Floats, Weights, estimate
from trainer.study.confusion import Labels, confusion_matrix, resampled_confusions, scores
from trainer.study.paired_tests import McNemar, Right, cohens_g, difference, holm, mcnemar, odds_ratio

Answered = tuple[str, View]
"""A model and the view that it was asked on."""

ALPHA: Final = 0.05
"""Below this a corrected p counts as a difference shown."""


@dataclass(frozen=True)
class Comparison:
    """Two readings to compare: (model, view) each; `label` None means images of all emotions."""

    name: str
    family: str
    first: Answered
    second: Answered
    label: str | None = None


@dataclass(frozen=True)
class Readings:
    """What each model answered on each view to the images of one part of the test set.

    answers: (model, view) to int64 (N,), classes. labels: int64 (N,). weights: float32 (B, N), see
    `trainer.study.bootstrap.draw`.
    """

    subset: Subset
    answers: Mapping[Answered, Labels]
    labels: Labels
    weights: Weights

    @cached_property
    def macro_f1(self) -> Mapping[Answered, tuple[float, Floats]]:
        """(model, view) to macro F1 on the images, and on each resample, (B,)."""
        return {reading: _macro_f1(answers, self.labels, self.weights) for reading, answers in self.answers.items()}


def compare(comparisons: Iterable[Comparison], readings: Readings) -> list[PairedTest]:
    """Return a test for each comparison, sorted by family, p corrected within its family.

    An emotion without images is left out. For one emotion the resamples are those of the whole part, of which the
    emotion's images are looked at, so their number varies.
    """
    present = [one for one in comparisons if _chosen(one, readings).any()]
    tests: list[PairedTest] = []
    for _, members in groupby(sorted(present, key=lambda one: one.family), key=lambda one: one.family):
        family = list(members)
        results = [mcnemar(*_right(one, readings)) for one in family]
        corrected = holm([result.p for result in results])
        tests += [_test(*row, readings) for row in zip(family, results, corrected, strict=True)]
    return tests


def reading_name(model: str, view: str) -> str:
    """Return what one reads in a sentence, for example `upper on upper-hidden faces`."""
    return f"{model} on {'whole' if view == View.FULL else f'{view}-hidden'} faces"


def p_words(p: float) -> str:
    """Return `p < 0.001` or p to three digits."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def gap_words(gap: Estimate) -> str:
    """Return a difference of shares with its interval, in points: `2.8 points (95 % 1.7 to 3.9)`."""
    return f"{_points(gap.value)} points (95 % {_points(gap.low)} to {_points(gap.high)})"


def _points(share: float | None) -> str:
    return "–" if share is None else f"{round(share * 100, 1) + 0.0:.1f}"  # no minus before 0


def _chosen(comparison: Comparison, readings: Readings) -> npt.NDArray[np.bool_]:
    """Return bool (N,): the images that are compared on."""
    if comparison.label is None:
        return np.ones(len(readings.labels), np.bool_)
    return np.asarray(readings.labels == LABEL_INDEX[comparison.label])


def _right(comparison: Comparison, readings: Readings) -> tuple[Right, Right]:
    chosen = _chosen(comparison, readings)
    first, second = (readings.answers[reading] == readings.labels for reading in (comparison.first, comparison.second))
    return first[chosen], second[chosen]


def _macro_f1(answers: Labels, labels: Labels, weights: Weights) -> tuple[float, Floats]:
    plain = scores(confusion_matrix(labels, answers)).macro_f1
    return float(plain), scores(resampled_confusions(labels, answers, weights)).macro_f1


def _macro_f1_difference(comparison: Comparison, readings: Readings) -> Estimate | None:
    """Return macro F1 of the first less that of the second, paired over the resamples; None for one emotion."""
    if comparison.label is not None:
        return None
    (first, of_first), (second, of_second) = (
        readings.macro_f1[reading] for reading in (comparison.first, comparison.second)
    )
    return estimate(first - second, of_first - of_second)


def _test(comparison: Comparison, result: McNemar, p_corrected: float, readings: Readings) -> PairedTest:
    chosen = _chosen(comparison, readings)
    gap = difference(*_right(comparison, readings), readings.weights[:, chosen])
    return PairedTest(
        id="-".join(filter(None, (comparison.name, readings.subset, comparison.label))),
        family=comparison.family,
        first=Reading(model=comparison.first[0], view=comparison.first[1]),
        second=Reading(model=comparison.second[0], view=comparison.second[1]),
        subset=readings.subset,
        label=comparison.label,
        n=int(chosen.sum()),
        only_first=result.only_first,
        only_second=result.only_second,
        method=result.method,
        statistic=result.statistic,
        p=result.p,
        p_corrected=p_corrected,
        difference=gap,
        macro_f1_difference=_macro_f1_difference(comparison, readings),
        odds_ratio=odds_ratio(result.only_first, result.only_second),
        cohens_g=cohens_g(result.only_first, result.only_second),
        sentence=_sentence(comparison, int(chosen.sum()), gap, p_corrected),
    )


def _sentence(comparison: Comparison, images: int, gap: Estimate, p_corrected: float) -> str:
    """Return the test in words."""
    who = f"{reading_name(*comparison.first)} against {reading_name(*comparison.second)}"
    what = f"{images:,} images{f' of {comparison.label}' if comparison.label else ''}"
    told = "a difference" if p_corrected < ALPHA else "no difference shown"
    return f"{who}, {what}: {gap_words(gap)}, corrected {p_words(p_corrected)}: {told}."
