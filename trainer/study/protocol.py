"""What the study says of itself: how the models came about, as their cards tell it, and how large and fast they are."""

import platform
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.model_folder import Card
from shared.run_folder import utc_now
from shared.study import Latency, Protocol, StudyModel
from trainer.data import Dataset
from trainer.evaluation import Forward
from trainer.export import onnx_forward
from trainer.network import build_network
from trainer.registration import PROTOCOL, code_revision
from trainer.study.answers import Reader
from trainer.study.bootstrap import RESAMPLES

BOOTSTRAP_SEED: Final = 0
TIMED_RUNS: Final = 50
CPU_INFO: Final = Path("/proc/cpuinfo")

SELECTION: Final = (
    "Settings and epochs were chosen on the validation part alone. Test images were read once by each released file; "
    "nothing was chosen on them."
)
SEEN: Final = {
    "full": "whole faces",
    "five": "the five views in turn",
    "any": "faces with any set of quadrants hidden",
}


def protocol_of(readers: Sequence[Reader], data: Dataset) -> Protocol:
    """Return the protocol; its `subsets` are counted where the study is assembled."""
    cards = list({reader.card.id: reader.card for reader in readers}.values())
    return Protocol(
        data=data.name,
        fingerprint=data.fingerprint,
        train=len(data.train),
        validation=len(data.validation),
        subsets={},
        leaks=data.leaks,
        training=" ".join([*map(training_words, cards), "The cards hold all settings."]),
        selection=SELECTION,
        evaluation=PROTOCOL,
        seeds=tuple(sorted({_settings(card).get("seed", 0) for card in cards})),
        resamples=RESAMPLES,
        bootstrap_seed=BOOTSTRAP_SEED,
        created=utc_now(),
        revision=code_revision() or "",
    )


def training_words(card: Card) -> str:
    """Return how a version was trained, in a sentence, as far as its card tells it."""
    request = card.training.get("request", {})
    seen = SEEN.get(card.view, f"{card.view}-hidden faces")
    start = {None: "random weights", "imagenet": "ImageNet weights"}.get(request.get("base_model"))
    words = f"{card.id}: {card.architecture}, from {start or request['base_model']}"
    if epochs := _settings(card).get("epochs"):
        words += f", {epochs} epochs"
    counts = card.data.get("counts", {}).get("train", {})
    words += f" of {sum(counts.values()):,} images" if counts else ""
    words += f" on {seen}"
    if teacher := request.get("teacher"):
        words += f", taught by {teacher}, which saw the same face whole"
    return f"{words}."


def _settings(card: Card) -> dict[str, int]:
    found: dict[str, int] = card.training.get("request", {}).get("settings", {})
    return found


def describe(reader: Reader) -> StudyModel:
    """Return what a released version is: size, speed; its temperature is fitted where the study is assembled."""
    network = build_network(reader.card.architecture)
    return StudyModel(
        slot=reader.slot,
        version=reader.card.id,
        architecture=reader.card.architecture,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        size_bytes=reader.path.stat().st_size,
        temperature=1.0,
        latency=latency(reader),
    )


def latency(reader: Reader) -> Latency:
    """Return the median of some runs on one thread, of one face and of 32."""
    spec, forward = reader.card.input, onnx_forward(reader.path, threads=1)
    medians = []
    for count in (1, 32):
        batch = np.zeros((count, spec.channels, spec.size, spec.size), np.float32)
        forward(batch)
        medians.append(statistics.median(_milliseconds(forward, batch) for _ in range(TIMED_RUNS)))
    return Latency(one_face_ms=medians[0], batch_32_ms=medians[1], threads=1, machine=machine())


def machine() -> str:
    """Return what kind of CPU this is: its own name where the system tells it (Linux), else its architecture."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({platform.machine()})" if names else platform.machine()


def _milliseconds(forward: Forward, batch: npt.NDArray[np.float32]) -> float:
    began = time.perf_counter()
    forward(batch)
    return (time.perf_counter() - began) * 1000
