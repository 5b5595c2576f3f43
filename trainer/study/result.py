"""Puts the study together: from the networks' answers to `StudyResult`. The runner only has to make the answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from shared.masking import STUDY_VIEWS, View
from shared.probabilities import Logits
from shared.schemas.wire import SLOTS
from shared.study import (
    UNDAMAGED,
    Agreement,
    Cell,
    Estimate,
    PairedTest,
    Protocol,
    Published,
    Recovery,
    Robustness,
    RobustnessPoint,
    Shapley,
    StudyModel,
    StudyResult,
    Subset,
)
from trainer.study.agreement import agreement
from trainer.study.bootstrap import Weights, draw, estimate
from trainer.study.comparisons import Readings, compare
from trainer.study.confusion import Labels, confusion_matrix, resampled_confusions, scores
from trainer.study.corruptions import CORRUPTIONS, view_after
from trainer.study.hypotheses import QUESTIONS, answer, declared_comparisons
from trainer.study.inputs import Chosen, StudyInputs
from trainer.study.metrics import measure_cell
from trainer.study.paired_tests import Right, difference
from trainer.study.recovery import recovery
from trainer.study.shapley_tables import shapley_table

PUBLISHED_FILE: Final = Path(__file__).with_name("original_results.json")


def published_results() -> Published:
    """Return the original study's figures, all of FER2013's test images."""
    return Published.model_validate_json(PUBLISHED_FILE.read_bytes())


def assemble(inputs: StudyInputs, protocol: Protocol, models: Sequence[StudyModel]) -> StudyResult:
    """Return the whole study.

    Args:
        inputs: the networks' answers.
        protocol: as it shall stand; its `resamples` and `bootstrap_seed` are used, its `subsets` are counted here.
        models: one for each slot in `inputs.logits`.
    """
    subsets = inputs.subsets()
    temperatures: dict[str, float] = {model.slot: model.temperature for model in models}
    cells: list[Cell] = []
    tests: list[PairedTest] = []
    for subset, chosen in subsets.items():
        weights = draw(int(chosen.sum()), protocol.resamples, protocol.bootstrap_seed)
        cells += _cells(inputs, subset, chosen, temperatures, weights)
        tests += _tests(inputs, subset, chosen, weights)
    weights = draw(len(inputs.labels), protocol.resamples, protocol.bootstrap_seed)
    return StudyResult(
        protocol=protocol.model_copy(update={"subsets": {name: int(part.sum()) for name, part in subsets.items()}}),
        models=tuple(models),
        cells=tuple(cells),
        published=_comparable(len(inputs.labels)),
        tests=tuple(tests),
        hypotheses=tuple(answer(question, tests, mirrored=inputs.mirrored) for question in QUESTIONS),
        recovery=_recovery(inputs, weights),
        agreement=_agreement(inputs, weights),
        robustness=_robustness(inputs, protocol),
        shapley=_shapley(inputs, weights, models),
    )


def _comparable(test_images: int) -> Published | None:
    """Return the original's figures, unless they cannot be of these test images."""
    published = published_results()
    return published if published.test_images == test_images else None


def _cells(
    inputs: StudyInputs, subset: Subset, chosen: Chosen, temperatures: Mapping[str, float], weights: Weights
) -> list[Cell]:
    """Return every reading's figures on one part of the test set, by model and view."""
    views = list(View)
    readings = sorted(inputs.logits, key=lambda reading: (SLOTS.index(reading[0]), views.index(reading[1])))
    return [
        measure_cell(
            inputs.logits[slot, view][chosen],
            inputs.labels[chosen],
            trained_on=slot,
            evaluated_on=view,
            subset=subset,
            temperature=temperatures[slot],
            weights=weights,
        )
        for slot, view in readings
    ]


def _tests(inputs: StudyInputs, subset: Subset, chosen: Chosen, weights: Weights) -> list[PairedTest]:
    """Return the declared tests on one part of the test set; those by emotion on the whole alone."""
    answers = {reading: logits[chosen].argmax(axis=1) for reading, logits in inputs.logits.items()}
    readings = Readings(subset, answers, inputs.labels[chosen], weights)
    return compare(declared_comparisons(per_emotion=subset == Subset.ALL), readings)


def _right(inputs: StudyInputs, model: str, view: View) -> Right:
    return np.asarray(inputs.logits[model, view].argmax(axis=1) == inputs.labels)


def _recovery(inputs: StudyInputs, weights: Weights) -> tuple[Recovery, ...]:
    """Return what each specialist, and `any`, wins back on each view that hides something."""
    whole = _right(inputs, "full", View.FULL)
    return tuple(
        recovery(whole, _right(inputs, "full", view), _right(inputs, model, view), weights, view=view, model=model)
        for view in STUDY_VIEWS[1:]
        for model in (view.value, "any")
    )


def _agreement(inputs: StudyInputs, weights: Weights) -> tuple[Agreement, ...]:
    """Return how far the five specialists agree: each on its own view, and all on each view."""
    specialists = [view.value for view in STUDY_VIEWS]
    settings = {"own": {view.value: view for view in STUDY_VIEWS}}
    settings |= {view.value: dict.fromkeys(specialists, view) for view in STUDY_VIEWS}
    return tuple(
        agreement(
            {model: inputs.logits[model, view].argmax(axis=1) for model, view in seen.items()},
            inputs.labels,
            weights,
            setting=setting,
        )
        for setting, seen in settings.items()
    )


def _robustness(inputs: StudyInputs, protocol: Protocol) -> Robustness:
    """Return every measured damage, and each model on the same faces undamaged, in its own view (`any`: whole)."""
    if not inputs.damaged:
        return Robustness()
    places = inputs.damaged_places()
    labels, weights = inputs.labels[places], draw(len(places), protocol.resamples, protocol.bootstrap_seed)
    measured = {model for model, _, _ in inputs.damaged}
    own = {slot: View(slot) if slot != "any" else View.FULL for slot in SLOTS if slot in measured}
    undamaged = {(slot, UNDAMAGED, 0.0): inputs.logits[slot, view][places] for slot, view in own.items()}
    points = []
    for (model, name, severity), logits in (undamaged | dict(inputs.damaged)).items():
        accuracy, macro_f1 = _accuracy_and_f1(logits, labels, weights)
        point = RobustnessPoint(model=model, corruption=name, severity=severity, accuracy=accuracy, macro_f1=macro_f1)
        if name != UNDAMAGED and view_after(name, own[model]) == own[model]:
            damaged, whole = (each.argmax(axis=1) == labels for each in (logits, undamaged[model, UNDAMAGED, 0.0]))
            point = point.model_copy(update={"change": difference(damaged, whole, weights)})
        points.append(point)
    names = {name for _, name, _ in inputs.damaged}
    corruptions = tuple(one for one in CORRUPTIONS if one.name in names)
    return Robustness(images=len(places), corruptions=corruptions, points=tuple(points))


def _accuracy_and_f1(logits: Logits, labels: Labels, weights: Weights) -> tuple[Estimate, Estimate]:
    predicted = logits.argmax(axis=1)
    plain = scores(confusion_matrix(labels, predicted))
    resampled = scores(resampled_confusions(labels, predicted, weights))
    return estimate(float(plain.accuracy), resampled.accuracy), estimate(float(plain.macro_f1), resampled.macro_f1)


def _shapley(inputs: StudyInputs, weights: Weights, models: Sequence[StudyModel]) -> Shapley | None:
    if inputs.coalitions is None:
        return None
    version = next(model.version for model in models if model.slot == "any")
    return shapley_table(inputs.coalitions, inputs.labels, weights, model=version)
