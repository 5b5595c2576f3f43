"""What the page Study says: names, figures with their intervals, and sentences. Pure functions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.copies import knowing_copies
from shared.labels import LABELS
from shared.study import AREA_RESAMPLES, Estimate, Hypothesis, Leaks, PairedTest, StudyModel, StudyResult, Subset

NAMES: Final = {
    "full": "Whole face",
    "upper": "Upper hidden",
    "lower": "Lower hidden",
    "left": "Left hidden",
    "right": "Right hidden",
    "any": "Any hidden",
}
"""A model by what was hidden in its training, a view by what is hidden in the test; every name has two words."""

WHOLE_FACES: Final = ("full", "any")
"""The models whose own view, in which they see damaged faces, is the whole face."""

IDS: Final = {name: slot for slot, name in NAMES.items()}

SUBSETS: Final = {
    Subset.ALL: "All test images",
    Subset.PUBLIC: "PublicTest",
    Subset.PRIVATE: "PrivateTest",
    Subset.CLEAN: "Not in the training split",
}


@dataclass(frozen=True)
class Figure:
    """A figure of a cell: its name in a list and in a sentence, and whether more of it is better."""

    name: str
    said: str
    more_is_better: bool = True


FIGURES: Final = {
    "accuracy": Figure("Accuracy", "accuracy"),
    "macro_f1": Figure("Macro F1", "macro F1"),
    "micro_f1": Figure("Micro F1", "micro F1, which equals accuracy"),
    "weighted_f1": Figure("Weighted F1", "weighted F1"),
    "weighted_auc": Figure("Weighted AUC", "weighted AUC"),
    "macro_auc": Figure("Macro AUC", "macro AUC"),
    "micro_auc": Figure("Micro AUC", "micro AUC"),
    "macro_ap": Figure("Macro AP", "macro average precision"),
    "ece": Figure("Calibration error", "calibration error (ECE, after temperature scaling)", more_is_better=False),
}
"""What the heat map can show."""

CLASS_FIGURES: Final = {
    "accuracy": "Recall",
    "precision": "Precision",
    "f1": "F1",
    "auc": "AUC",
    "ap": "Average precision",
    "mean_probability": "Mean probability",
}
"""What the chart of the emotions can show."""

NO_STUDY: Final = """
The study measures six models on five views of FER2013's test images, and this page shows its figures. Put FER2013 into
`data/`, then make it of the models that serve now. Two cores need about an hour; stopped, it goes on where it was:

```sh
make study-report DATA=data/fer2013.zip                          # or, the same:
python -m trainer study-report --data data/fer2013.zip
```

To train the six models first: `python -m trainer study --data data/fer2013.zip`.
"""

LEFT_OUT: Final = {
    "equal_to_test": "equal to a test image",
    "nearly_test": "nearly equal to one",
    "repeated": "repeats",
}
"""Why a training image was not trained on."""

SMALLEST_P: Final = 0.001

Z_95: Final = 1.96

ALL: Final = "all emotions"
"""A row of a chart beside those of the single emotions."""


def hundredths(value: float) -> str:
    """Return a share of 1 in hundredths with one decimal place, with a true minus sign."""
    return f"{round(value * 100, 1) + 0.0:.1f}".replace("-", "−")


def signed(value: float) -> str:
    """Return a difference of shares in points, signed."""
    text = f"{value * 100:+.1f}".replace("-", "−")
    return "±0.0" if text in ("+0.0", "−0.0") else text


def interval(estimate: Estimate) -> str:
    """Return the 95 % interval of a share in hundredths, or a dash where there is none."""
    if estimate.low is None or estimate.high is None:
        return "–"
    return f"{hundredths(estimate.low)} to {hundredths(estimate.high)}"


def with_interval(estimate: Estimate | None) -> str:
    """Return a share in hundredths and its interval; a dash for none."""
    return "–" if estimate is None else f"{hundredths(estimate.value)} ({interval(estimate)})"


def p_words(p: float) -> str:
    """Return "p = 0.012" or "p < 0.001"."""
    return f"p < {SMALLEST_P}" if p < SMALLEST_P else f"p = {p:.3f}"


def finding(hypothesis: Hypothesis, tests: Sequence[PairedTest]) -> tuple[str, str]:
    """Return the answer to a question as a sentence, and its figure: the difference, interval and corrected p.

    The test that decides is the first of the hypothesis. Where it shows none, the figure says which half less which.
    """
    test = next(test for test in tests if test.id == hypothesis.tests[0])
    halves = (hypothesis.first, hypothesis.second)
    if hypothesis.verdict == "undecided":
        sentence = f"No difference is shown between the {halves[0]} and the {halves[1]} of the face."
        who, sign = f"{minus_words(hypothesis)}: ", 1.0
    else:
        more, less = halves if hypothesis.verdict == "first" else halves[::-1]
        sentence = f"To these networks the {more} of the face is worth more than the {less}."
        who, sign = "By ", 1.0 if hypothesis.verdict == "first" else -1.0
    gap = _turned(test.difference, sign)
    amount = hundredths(gap.value) if who == "By " else signed(gap.value)
    return sentence, (f"{who}{amount} points (95 % interval {interval(gap)}; corrected {p_words(test.p_corrected)})")


def carriers(hypothesis: Hypothesis, tests: Sequence[PairedTest]) -> str:
    """Return how much of a shown difference comes from the one or two emotions with most of it, and what is left.

    The others' interval is that of a difference of paired shares (normal). Empty where no difference is shown.
    """
    by_emotion = tests_by_emotion(hypothesis, tests)
    whole = by_emotion.pop(ALL)
    if hypothesis.verdict == "undecided" or len(by_emotion) < len(LABELS):
        return ""
    sign = 1 if whole.only_first > whole.only_second else -1
    net = {name: sign * (test.only_first - test.only_second) for name, test in by_emotion.items()}
    most = [name for name in sorted(net, key=net.__getitem__, reverse=True)[:2] if net[name] > 0]
    others = [test for name, test in by_emotion.items() if name not in most]
    images = sum(test.n for test in others)
    first, second = sum(test.only_first for test in others), sum(test.only_second for test in others)
    gap = abs(first - second) / images
    reach = Z_95 * math.sqrt(max(first + second - (first - second) ** 2 / images, 0)) / images
    rest = interval(Estimate(value=gap, low=gap - reach, high=gap + reach))
    who = hypothesis.first if first > second else hypothesis.second
    parts = " and ".join(f"{net[name]:,} {'' if index else 'are '}{name}" for index, name in enumerate(most))
    return (
        f"Of the net {abs(whole.only_first - whole.only_second):,} images that make it, {parts}. On the other "
        f"{len(others)} emotions together the {who} is ahead by {hundredths(gap)} points (95 % {rest}); which to leave "
        "out was seen from the figures."
    )


def minus_words(hypothesis: Hypothesis) -> str:
    """Return what its differences are: "Upper half minus lower half"."""
    return f"{hypothesis.first[:1].upper()}{hypothesis.first[1:]} minus {hypothesis.second}"


def tests_by_emotion(hypothesis: Hypothesis, tests: Sequence[PairedTest]) -> dict[str, PairedTest]:
    """Return the test that decides, as `ALL`, then the same of each emotion; both readings are the specialists'."""
    named = {test.id: test for test in tests}
    decisive = named[hypothesis.tests[0]]
    same = [named[name] for name in hypothesis.emotion_tests]
    same = [test for test in same if (test.first, test.second) == (decisive.first, decisive.second)]
    return {ALL: decisive, **{str(test.label): test for test in same}}


def _turned(estimate: Estimate, sign: float) -> Estimate:
    """Return the difference seen from the other side if `sign` is −1."""
    if sign > 0 or estimate.low is None or estimate.high is None:
        return estimate.model_copy(update={"value": sign * estimate.value})
    return Estimate(value=-estimate.value, low=-estimate.high, high=-estimate.low)


def paired_test_row(test: PairedTest) -> dict[str, str | int | float]:
    """Return a test's line in the table of tests; the figures that most want sorting by are numbers."""
    return {
        "Test": test.id,
        "Family": test.family,
        "First": _reading(test.first.model, test.first.view),
        "Second": _reading(test.second.model, test.second.view),
        "Part": SUBSETS[test.subset],
        "Emotion": test.label or "all",
        "Images": test.n,
        "Only first right": test.only_first,
        "Only second right": test.only_second,
        "Difference, points": round(test.difference.value * 100, 1),
        "95 % interval": interval(test.difference),
        "Macro F1, points": with_interval(test.macro_f1_difference),
        "Odds ratio": round(test.odds_ratio.value, 2),
        "Cohen's g": round(test.cohens_g, 3),
        "Method": test.method,
        "p": test.p,
        "p corrected": test.p_corrected,
    }


def _reading(model: str, view: str) -> str:
    return f"{model} on {view}"


def model_row(model: StudyModel, study: StudyResult) -> dict[str, str]:
    """Return a model's line in the table of speed and size, with its accuracy on its own view (`any`: whole faces)."""
    cell = study.cell(model.slot, "full" if model.slot == "any" else model.slot)
    latency = model.latency
    return {
        "Trained with": NAMES[model.slot],
        "Version": model.version,
        "Network": f"{model.architecture}, {model.parameters / 1e6:.1f} M",
        "Accuracy, %": with_interval(cell.metrics.accuracy) if cell else "–",
        "File, MB": f"{model.size_bytes / 1e6:.1f}",
        "One face, ms": f"{latency.one_face_ms:.1f}" if latency else "–",
        "32 faces, ms": f"{latency.batch_32_ms:.0f}" if latency else "–",
        "Temperature": f"{model.temperature:.2f}",
    }


def floor_words(study: StudyResult) -> str:
    """Return what always answering the most frequent emotion would give on the test images; nothing without cells."""
    cell = study.cell("full", "full")
    if cell is None:
        return ""
    most = max(cell.classes, key=lambda one: one.count)
    return (
        f"Always answering {most.label} would be right on {hundredths(most.count / cell.count)} % of the test images."
    )


def machines(models: Sequence[StudyModel]) -> str:
    """Return where the times were measured, in a sentence; nothing where none was."""
    places = sorted({(model.latency.machine, model.latency.threads) for model in models if model.latency})
    told = [f"{machine}, {threads} thread{'s' if threads > 1 else ''}" for machine, threads in places]
    return (
        f"Median times, measured on {' and '.join(told)}; those of another machine cannot be compared." if told else ""
    )


def undivided_words(study: StudyResult) -> str:
    """Return what to say of probabilities in a study from before they were divided by temperatures; or nothing."""
    told = "Probabilities are those before temperature scaling, more modest than those that are served. "
    return "" if study.protocol.divided else told


def leaks_words(leaks: Leaks) -> str:
    """Return how many test images stand in the training split, and how many copies there are, in sentences."""
    text = (
        f"{leaks.equal:,} test images stand in the training split pixel for pixel, {leaks.near:,} more nearly so "
        f"(thumbnails correlate at {leaks.similarity:g} or more); "
    )
    text += (
        "none of those training images was trained on."
        if leaks.left_out_by_all
        else "which of those training images a version left out is in its card."
    )
    if leaks.train_repeats is not None:
        text += (
            f" {leaks.train_repeats:,} training images and {leaks.test_repeats or 0:,} test images repeat another one; "
            f"{leaks.conflicting or 0:,} different images stand there under several labels."
        )
    if leaks.left_out:
        parts = ", ".join(f"{count:,} {LEFT_OUT.get(why, why)}" for why, count in leaks.left_out.items())
        text += f" Left out {'of training' if leaks.left_out_by_all else 'where a version left copies out'}: {parts}."
    return text


def copies_words(study: StudyResult) -> str:
    """Return what knowing the copies by heart would give, on each specialist's own view, in sentences; or nothing."""
    known = {slot: knowing_copies(study, slot, slot) for slot in NAMES if slot != "any"}
    parts = [f"{NAMES[slot].lower()} {hundredths(it.accuracy)} %" for slot, it in known.items() if it is not None]
    leaks = study.protocol.leaks
    if not parts or not (leaks.equal or leaks.near):
        return ""
    ours = "Ours left the copies out; a network trained on the whole split did not. " if leaks.left_out_by_all else ""
    return (
        "A network that reads the other test images as ours do, and knows by heart those of which the training split "
        f"holds a copy, would reach {', '.join(parts)}. {ours}This is a bound: "
        "training on the copies gives less than knowing them all (docs/study.md)."
    )


def protocol_rows(study: StudyResult) -> dict[str, str]:
    """Return the protocol as heading to text."""
    protocol = study.protocol
    parts = ", ".join(f"{SUBSETS[subset]} {count:,}" for subset, count in protocol.subsets.items())
    return {
        "Data": f"{protocol.data}: {protocol.train:,} images trained on, {protocol.validation:,} for validation.",
        "Test images": f"{parts}.",
        "Leaks": f"{leaks_words(protocol.leaks)} {copies_words(study)}".strip(),
        "Training": protocol.training,
        "Selection": protocol.selection,
        "Evaluation": protocol.evaluation,
        "Intervals": (
            f"95 %, {protocol.resamples:,} bootstrap resamples of the test images, seed {protocol.bootstrap_seed}; "
            f"of areas under curves (AUC, average precision) the first {min(AREA_RESAMPLES, protocol.resamples):,}. "
            "They say how far a figure could move with other test images of the kind, not with another training. "
            "Those of calibration errors hold the true value less often than 95 times of 100 (docs/study.md)."
        ),
        "Seeds": ", ".join(map(str, protocol.seeds)) or "not noted",
        "Made": f"{protocol.created}{f', revision {protocol.revision}' if protocol.revision else ''}",
        "Fingerprint of the data": f"`{protocol.fingerprint}`",
    }
