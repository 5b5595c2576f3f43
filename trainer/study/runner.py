"""Runs the study: asks every released model everything, and puts the answers together. No training here."""

from collections.abc import Iterator, Sequence

import numpy as np

from shared.labels import LABELS
from shared.masking import STUDY_VIEWS, View, hidden_quadrants
from shared.probabilities import Logits
from shared.shapley import COALITIONS, coalition_outputs, hidden_of
from shared.study import StudyResult
from trainer.data import Dataset
from trainer.study.answers import Answers, Reader
from trainer.study.bootstrap import Floats
from trainer.study.corruptions import CORRUPTIONS, corrupt, view_after
from trainer.study.inputs import Damage, Sample, StudyInputs
from trainer.study.protocol import describe, protocol_of
from trainer.study.report_files import Evaluation
from trainer.study.result import assemble
from trainer.study.sample import ROBUSTNESS_IMAGES, sample_of


def run_study(
    readers: Sequence[Reader], data: Dataset, answers: Answers, robustness_images: int = ROBUSTNESS_IMAGES
) -> StudyResult:
    """Return the study of these models.

    Args:
        readers: one for each slot.
        data: its test part is read.
        answers: keeps what is computed.
        robustness_images: how many test images are damaged; 0 for all.

    Raises:
        StudyError: a slot has no model.
    """
    sample = robustness_sample(data, robustness_images)
    inputs = StudyInputs(
        labels=data.test.labels,
        names=data.test.names,
        clean=data.clean,
        logits=read_views(readers, data, answers),
        damaged=_damaged(readers, data, answers, sample),
        sample=sample,
        coalitions=_coalitions(readers, data, answers),
        mirrored=all(
            reader.card.settings.get("flip", True) for reader in readers if reader.slot in (View.LEFT, View.RIGHT)
        ),
    )
    return assemble(inputs, protocol_of(readers, data), [describe(reader) for reader in readers])


def faces_to_read(readers: Sequence[Reader], data: Dataset, robustness_images: int = ROBUSTNESS_IMAGES) -> int:
    """Return how many faces the networks read for `run_study`, none twice, if no answer is kept yet."""
    sample = len(robustness_sample(data, robustness_images))
    whole = {(reader.file_digest, hidden_quadrants(view)) for reader in readers for view in STUDY_VIEWS}
    for reader in readers:
        if reader.slot == "any":
            whole |= {(reader.file_digest, frozenset(hidden_of(coalition))) for coalition in range(1, COALITIONS)}
    damaged = {
        (reader.file_digest, *damage, _seen_as(reader, damage[0])) for reader in readers for damage in _damages()
    }
    return len(whole) * len(data.test) + len(damaged) * sample


def robustness_sample(data: Dataset, images: int) -> Sample:
    """Return the places of the test images that are damaged; of all of them if `images` is 0."""
    return sample_of(data.test_digests, images or len(data.test))


def read_views(readers: Sequence[Reader], data: Dataset, answers: Answers) -> dict[tuple[str, View], Logits]:
    """Return what each model answers to the test images under each of the study's views."""
    return {
        (reader.slot, view): answers.logits(reader, data.test.faces, view) for reader in readers for view in STUDY_VIEWS
    }


def evaluation_of(reader: Reader, data: Dataset, views: Sequence[View], answers: Answers) -> Evaluation:
    """Return what a version answers to the test images under these views, with its temperature."""
    return Evaluation(
        model=reader.card.id,
        trained_on=reader.card.view,
        data=data.name,
        names=data.test.names,
        labels=data.test.labels,
        logits={view: answers.logits(reader, data.test.faces, view) for view in views},
        temperature=reader.card.temperature,
    )


def _damages() -> Iterator[tuple[str, float]]:
    """Yield the name of each damage and its severity."""
    for corruption in CORRUPTIONS:
        for severity in corruption.severities:
            yield corruption.name, float(severity)


def _seen_as(reader: Reader, damage: str) -> View:
    """Return the view in which a model sees damaged faces."""
    return view_after(damage, View(reader.slot) if reader.slot in list(View) else View.FULL)


def _damaged(readers: Sequence[Reader], data: Dataset, answers: Answers, sample: Sample) -> dict[Damage, Logits]:
    """Return what each model answers to the damaged images of the sample, in the sample's order."""
    found = {}
    for name, severity in _damages():
        faces = corrupt(data.test.faces[sample], name, severity)
        for reader in readers:
            found[reader.slot, name, severity] = answers.logits(reader, faces, _seen_as(reader, name))
    return found


def _coalitions(readers: Sequence[Reader], data: Dataset, answers: Answers) -> Floats | None:
    """Return the probabilities of `any` by coalition (see `shared.shapley`), as it answers people; None without it."""
    reader = next((reader for reader in readers if reader.slot == "any"), None)
    if reader is None:
        return None
    shares = np.bincount(data.train.labels, minlength=len(LABELS)) / len(data.train)
    return coalition_outputs(answers.coalitions(reader, data.test.faces), shares, reader.card.temperature)
