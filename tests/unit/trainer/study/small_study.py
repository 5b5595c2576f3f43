"""Answers of made-up models, good on what they were trained on, from which a whole study can be computed."""

from typing import Any

import numpy as np
import numpy.typing as npt

from shared.labels import LABELS
from shared.masking import STUDY_VIEWS, View
from shared.schemas.wire import SLOTS
from shared.shapley import COALITIONS, coalition_outputs
from shared.study import Leaks, Protocol, StudyModel
from trainer.study.inputs import StudyInputs

PRIOR = np.full(7, 1 / 7)


def labels_of(images: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Return labels in which every class occurs."""
    return np.random.default_rng(seed).permutation(np.arange(images) % len(LABELS)).astype(np.int64)


def answers(labels: npt.NDArray[np.int64], skill: float, seed: int) -> npt.NDArray[np.float32]:
    """Return logits that are right the more often the greater the skill."""
    noise = np.random.default_rng(seed).normal(size=(len(labels), len(LABELS)))
    return (noise + skill * np.eye(len(LABELS))[labels]).astype(np.float32)


def small_inputs(images: int = 210, damage: tuple[tuple[str, float], ...] = (("rectangle", 0.3),)) -> StudyInputs:
    """Return the answers of six models; the upper half is worth more than the lower, left and right are alike."""
    labels = labels_of(images)
    skill = {View.FULL: 2.5, View.UPPER: 1.0, View.LOWER: 2.2, View.LEFT: 1.8, View.RIGHT: 1.8}
    logits = {
        (slot, view): answers(labels, skill[view] * (1 if slot in (view, "any") else 0.5), seed)
        for seed, (slot, view) in enumerate((slot, view) for slot in SLOTS for view in STUDY_VIEWS)
    }
    return StudyInputs(
        labels=labels,
        names=[f"test/{'PublicTest' if index < images // 2 else 'PrivateTest'}_{index}.jpg" for index in range(images)],
        clean=np.arange(images) % 10 != 0,
        logits=logits,
        damaged={(slot, *kind): answers(labels, 1.0, 100) for slot in SLOTS for kind in damage},
        coalitions=coalition_outputs(answers(np.repeat(labels, COALITIONS - 1), 1.5, 101), PRIOR),
    )


def small_protocol(resamples: int = 100) -> Protocol:
    """Return a protocol with few resamples."""
    return Protocol(
        data="made-up.zip",
        fingerprint="0" * 64,
        train=1000,
        validation=100,
        subsets={},
        leaks=Leaks(equal=20, near=1, similarity=0.96),
        training="None.",
        selection="None.",
        evaluation="None.",
        seeds=(1,),
        resamples=resamples,
        bootstrap_seed=0,
        created="2026-01-01T00:00:00Z",
    )


def small_models(**changes: Any) -> list[StudyModel]:
    """Return what is known of the six models."""
    known = {"architecture": "none", "parameters": 1, "size_bytes": 1, "temperature": 1.0} | changes
    return [StudyModel(slot=slot, version=f"{slot}/1", **known) for slot in SLOTS]
