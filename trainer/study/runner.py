"""Runs the study: asks every released model everything, and puts the answers together. No training here."""

import platform
import statistics
import time
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.labels import LABELS
from shared.masking import STUDY_VIEWS, View
from shared.run_folder import utc_now
from shared.shapley import coalition_outputs
from shared.study import Latency, Protocol, StudyModel, StudyResult
from trainer.augmentation import view_mix
from trainer.data import Dataset
from trainer.evaluation import Forward, Logits
from trainer.export import onnx_forward
from trainer.network import build_network
from trainer.registration import PROTOCOL, code_revision
from trainer.study.answers import Answers, Reader
from trainer.study.bootstrap import RESAMPLES, Floats
from trainer.study.calibration import fit_temperature
from trainer.study.corruptions import CORRUPTIONS, corrupt, view_after
from trainer.study.inputs import Damage, StudyInputs
from trainer.study.report_files import Evaluation
from trainer.study.result import assemble

TRAINING: Final = (
    "The model full is trained on whole faces, from random weights. Every other model starts from it and learns from "
    "the labels and from what full reads on the same face, whole, while its own part is hidden (distillation). Each "
    "card has its settings and the command that makes it again."
)
BOOTSTRAP_SEED: Final = 0
TIMED_RUNS: Final = 50


def run_study(readers: Sequence[Reader], data: Dataset, answers: Answers) -> StudyResult:
    """Return the study of these models.

    Args:
        readers: one for each slot.
        data: its test part is read, and its validation part for the temperatures.
        answers: keeps what is computed.

    Raises:
        StudyError: a slot has no model.
    """
    inputs = StudyInputs(
        labels=data.test.labels,
        names=data.test.names,
        clean=data.clean,
        logits=read_views(readers, data, answers),
        validation={
            reader.slot: (validation_logits(reader, data, answers), data.validation.labels) for reader in readers
        },
        damaged=_damaged(readers, data, answers),
        coalitions=_coalitions(readers, data, answers),
    )
    return assemble(inputs, _protocol(readers, data), [_described(reader) for reader in readers])


def read_views(readers: Sequence[Reader], data: Dataset, answers: Answers) -> dict[tuple[str, View], Logits]:
    """Return what each model answers to the test images under each of the study's views."""
    return {
        (reader.slot, view): answers.logits(reader, data.test.faces, view) for reader in readers for view in STUDY_VIEWS
    }


def validation_logits(reader: Reader, data: Dataset, answers: Answers) -> Logits:
    """Return what a model answers to the validation images, seen as it was trained to see them."""
    hidden = view_mix(reader.card.view).fixed(len(data.validation))
    return answers.logits(reader, data.validation.faces, hidden)


def evaluation_of(reader: Reader, data: Dataset, views: Sequence[View], answers: Answers) -> Evaluation:
    """Return what a version answers to the test images under these views, with its temperature."""
    return Evaluation(
        model=reader.card.id,
        trained_on=reader.card.view,
        data=data.name,
        names=data.test.names,
        labels=data.test.labels,
        logits={view: answers.logits(reader, data.test.faces, view) for view in views},
        temperature=fit_temperature(validation_logits(reader, data, answers), data.validation.labels),
    )


def _damaged(readers: Sequence[Reader], data: Dataset, answers: Answers) -> dict[Damage, Logits]:
    found = {}
    for corruption in CORRUPTIONS:
        for severity in corruption.severities:
            faces = corrupt(data.test.faces, corruption.name, severity)
            for reader in readers:
                own = View(reader.slot) if reader.slot in list(View) else View.FULL
                view = view_after(corruption.name, own)
                found[reader.slot, corruption.name, float(severity)] = answers.logits(reader, faces, view)
    return found


def _coalitions(readers: Sequence[Reader], data: Dataset, answers: Answers) -> Floats | None:
    reader = next((reader for reader in readers if reader.slot == "any"), None)
    if reader is None:
        return None
    shares = np.bincount(data.train.labels, minlength=len(LABELS)) / len(data.train)
    return coalition_outputs(answers.coalitions(reader, data.test.faces), shares)


def _protocol(readers: Sequence[Reader], data: Dataset) -> Protocol:
    seeds = {reader.card.training.get("request", {}).get("settings", {}).get("seed", 0) for reader in readers}
    return Protocol(
        data=data.name,
        fingerprint=data.fingerprint,
        train=len(data.train),
        validation=len(data.validation),
        subsets={},
        leaks=data.leaks,
        training=TRAINING,
        selection=(
            "Settings and epochs were chosen on the validation part alone. Test images were read once by each released "
            "file; nothing was chosen on them."
        ),
        evaluation=PROTOCOL,
        seeds=tuple(sorted(seeds)),
        resamples=RESAMPLES,
        bootstrap_seed=BOOTSTRAP_SEED,
        created=utc_now(),
        revision=code_revision() or "",
    )


def _described(reader: Reader) -> StudyModel:
    network = build_network(reader.card.architecture)
    return StudyModel(
        slot=reader.slot,
        version=reader.card.id,
        architecture=reader.card.architecture,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        size_bytes=reader.path.stat().st_size,
        temperature=1.0,
        latency=_latency(reader),
    )


def _latency(reader: Reader) -> Latency:
    """Return the median of some runs on one thread, of one face and of 32."""
    spec, forward = reader.card.input, onnx_forward(reader.path, threads=1)
    medians = []
    for count in (1, 32):
        batch = np.zeros((count, spec.channels, spec.size, spec.size), np.float32)
        forward(batch)
        medians.append(statistics.median(_milliseconds(forward, batch) for _ in range(TIMED_RUNS)))
    return Latency(one_face_ms=medians[0], batch_32_ms=medians[1], threads=1, machine=platform.machine())


def _milliseconds(forward: Forward, batch: npt.NDArray[np.float32]) -> float:
    began = time.perf_counter()
    forward(batch)
    return (time.perf_counter() - began) * 1000
