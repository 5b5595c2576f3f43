"""A small valid study for tests of whatever shows it. To look at it: python -m tests.study_example FILE"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.schemas.wire import SLOTS
from shared.study import (
    Agreement,
    Calibration,
    Cell,
    ClassFigures,
    Corruption,
    Curve,
    Estimate,
    Hypothesis,
    Latency,
    Leaks,
    Metrics,
    PairedTest,
    Protocol,
    Published,
    PublishedCell,
    Reading,
    Recovery,
    ReliabilityBin,
    Robustness,
    RobustnessPoint,
    Shapley,
    ShapleyRow,
    StudyModel,
    StudyResult,
    Subset,
    write_study,
)

QUADRANTS = (0.12, 0.08, 0.05, 0.1)
"""What each adds in the example: top right, top left, bottom left, bottom right."""


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.02, high=value + 0.02)


def some(rng: np.random.Generator, low: float = 0.4, high: float = 0.7) -> Estimate:
    return estimate(rng.uniform(low, high))


def curve(name: str) -> Curve:
    x = np.linspace(0, 1, 12)
    return Curve(name=name, x=tuple(x), y=tuple(x**0.3))


def bins() -> tuple[ReliabilityBin, ...]:
    edges = np.linspace(0, 1, 16)
    return tuple(
        ReliabilityBin(
            low=low,
            high=high,
            count=index * 10,
            confidence=(low + high) / 2 if index else None,
            accuracy=low * 0.9 if index else None,
        )
        for index, (low, high) in enumerate(pairwise(edges))
    )


def cell(rng: np.random.Generator, slot: str, view: str, subset: Subset) -> Cell:
    whole = subset == Subset.ALL
    confusion = rng.integers(0, 30, (7, 7)) + 60 * np.eye(7, dtype=int)
    return Cell(
        trained_on=slot,
        evaluated_on=view,
        subset=subset,
        count=int(confusion.sum()),
        metrics=Metrics(**{name: some(rng) for name in Metrics.model_fields}),
        classes=tuple(
            ClassFigures(
                label=label,
                count=int(confusion[index].sum()),
                accuracy=some(rng),
                precision=some(rng),
                f1=some(rng),
                auc=some(rng, 0.7, 0.9),
                ap=some(rng),
                mean_probability=0.05 + 0.03 * index,
            )
            for index, label in enumerate(LABELS)
        ),
        confusion=confusion.tolist(),
        calibration=Calibration(
            temperature=1.3,
            ece_before=some(rng, 0.05, 0.1),
            ece_after=some(rng, 0.01, 0.03),
            nll_before=some(rng, 1.2, 1.4),
            nll_after=some(rng, 1.0, 1.2),
            before=bins() if whole else (),
            after=bins() if whole else (),
        ),
        roc=tuple(curve(name) for name in (*LABELS, "macro", "micro", "weighted")) if whole else (),
        precision_recall=tuple(curve(name) for name in (*LABELS, "micro")) if whole else (),
    )


def paired_test(hypothesis: str, name: str, model: tuple[str, str], label: str | None) -> PairedTest:
    views = ("lower", "upper") if hypothesis == "H1" else ("right", "left")
    return PairedTest(
        id="-".join(filter(None, (hypothesis, name, "all", label))),
        family="per emotion" if label else "primary",
        first=Reading(model=model[0], view=views[0]),
        second=Reading(model=model[1], view=views[1]),
        subset=Subset.ALL,
        label=label,
        n=7178,
        only_first=700,
        only_second=900,
        method="chi-squared",
        statistic=24.75,
        p=6.5e-7,
        p_corrected=3.9e-6,
        difference=Estimate(value=-0.0279, low=-0.0385, high=-0.017),
        macro_f1_difference=None if label else Estimate(value=-0.0412, low=-0.06, high=-0.02),
        odds_ratio=Estimate(value=0.7778, low=0.7, high=0.86),
        cohens_g=-0.0625,
        sentence="The second half is worth more by 2.8 points (95 % 1.7 to 3.9, corrected p < 0.001).",
    )


def hypothesis(name: str, tests: list[PairedTest], first: str, second: str) -> Hypothesis:
    mine = [test for test in tests if test.id.startswith(name)]
    return Hypothesis(
        id=name,
        question=f"Is the {first} of the face worth more than the {second}?",
        verdict="second",
        first=first,
        second=second,
        answer=f"No: the {second} is worth more by 2.8 points (95 % 1.7 to 3.9, corrected p < 0.001).",
        tests=tuple(test.id for test in mine if not test.label),
        emotion_tests=tuple(test.id for test in mine if test.label),
        limits=("One training a model: another seed may move a figure by a point.",),
    )


def example_study() -> StudyResult:
    """Return a study with every table filled, its numbers made up and the same every time."""
    rng = np.random.default_rng(0)
    top_right, top_left, bottom_left, bottom_right = QUADRANTS
    tests = [
        paired_test(question, name, model, label)
        for question, own in (("H1", ("lower", "upper")), ("Q1", ("right", "left")))
        for name, model in (("specialists", own), ("any", ("any", "any")), ("full", ("full", "full")))
        for label in (None, *LABELS)
    ]
    square = tuple(tuple(1.0 if row == column else 0.6 for column in range(5)) for row in range(5))
    corruptions = (
        Corruption(name="rectangle", title="Random rectangle", unit="share of the area", severities=(0.1, 0.3, 0.5)),
        Corruption(name="sunglasses", title="Sunglasses", unit="", severities=(1,)),
    )
    return StudyResult(
        protocol=Protocol(
            data="fer2013.zip",
            fingerprint="0" * 64,
            train=25_000,
            validation=2_700,
            subsets={Subset.ALL: 7178, Subset.PUBLIC: 3589, Subset.PRIVATE: 3589, Subset.CLEAN: 6400},
            leaks=Leaks(equal=568, near=210, similarity=0.96),
            training="Each model was trained from the same first weights.",
            selection="The epoch was chosen on the validation images.",
            evaluation="Each test image was seen once.",
            seeds=(1,),
            divided=True,
            resamples=2000,
            bootstrap_seed=0,
            created="2026-01-01T00:00:00Z",
        ),
        models=tuple(
            StudyModel(
                slot=slot,
                version=f"{slot}/1",
                architecture="resnet18",
                parameters=11_000_000,
                size_bytes=11_300_000,
                temperature=1.3,
                latency=Latency(one_face_ms=3.0, batch_32_ms=60.0, threads=1, machine="a CPU"),
            )
            for slot in SLOTS
        ),
        cells=tuple(cell(rng, slot, view, subset) for slot in SLOTS for view in STUDY_VIEWS for subset in Subset),
        published=Published(
            source="The original study",
            test_images=7178,
            cells=tuple(
                PublishedCell(
                    trained_on=trained_on,
                    evaluated_on=view,
                    accuracy=0.5,
                    macro_f1=0.45,
                    weighted_f1=0.49,
                    weighted_auc=0.8,
                    macro_auc=0.8,
                    micro_auc=0.82,
                    class_accuracy=dict.fromkeys(LABELS, 0.5),
                )
                for trained_on in STUDY_VIEWS
                for view in STUDY_VIEWS
            ),
        ),
        tests=tuple(tests),
        hypotheses=(
            hypothesis("H1", tests, "upper half", "lower half"),
            hypothesis("Q1", tests, "left half", "right half"),
        ),
        recovery=tuple(
            Recovery(
                view=view,
                model=model,
                full_on_full=0.66,
                full_on_view=0.42,
                model_on_view=0.6,
                loss=estimate(0.24),
                recovered=estimate(0.75),
            )
            for view in STUDY_VIEWS[1:]
            for model in (view.value, "any")
        ),
        agreement=tuple(
            Agreement(
                setting=setting,
                models=SLOTS[:5],
                share=square,
                kappa=square,
                fleiss_kappa=some(rng),
                all_alike=some(rng),
                all_right=some(rng, 0.2, 0.3),
                none_right=some(rng, 0.1, 0.2),
            )
            for setting in ("own", *STUDY_VIEWS)
        ),
        robustness=Robustness(
            corruptions=corruptions,
            points=tuple(
                RobustnessPoint(
                    model=slot,
                    corruption=name,
                    severity=severity,
                    accuracy=some(rng),
                    macro_f1=some(rng),
                    change=None if name == "none" else estimate(-0.015),
                )
                for slot in SLOTS
                for name, severities in (("none", (0,)), *((c.name, c.severities) for c in corruptions))
                for severity in severities
            ),
        ),
        shapley=Shapley(
            model="any/1",
            rows=tuple(
                ShapleyRow(
                    label=label,
                    count=1000,
                    prior=0.15,
                    whole=0.55,
                    quadrants=tuple(map(estimate, QUADRANTS)),
                    upper=estimate(top_left + top_right),
                    lower=estimate(bottom_left + bottom_right),
                    left=estimate(top_left + bottom_left),
                    right=estimate(top_right + bottom_right),
                    upper_less_lower=estimate(top_left + top_right - bottom_left - bottom_right),
                    left_less_right=estimate(top_left + bottom_left - top_right - bottom_right),
                )
                for label in (None, *LABELS)
            ),
        ),
    )


if __name__ == "__main__":
    write_study(example_study(), Path(sys.argv[1]))
