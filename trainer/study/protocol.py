"""What the study says of itself: how the models came about, as their cards tell it, and how large and fast they are."""

import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.exports import ENSEMBLE_WITH, PRIOR_CORRECTION
from shared.model_folder import Card
from shared.probabilities import Forward
from shared.run_folder import utc_now
from shared.schemas.training import IMAGENET
from shared.study import Latency, Protocol, StudyModel
from trainer.data import Dataset
from trainer.descriptions import NO_AVERAGE, average_words, code_revision, nearly_words
from trainer.network import build_network, shape_of
from trainer.onnx_forward import onnx_forward
from trainer.study.answers import Reader, split_of
from trainer.study.bootstrap import RESAMPLES

BOOTSTRAP_SEED: Final = 0
TIMED_RUNS: Final = 50
CPU_INFO: Final = Path("/proc/cpuinfo")

SELECTION: Final = (
    "Epochs and temperatures were chosen on validation images only. Each version is measured on the test images when "
    "it is registered and again for the study, so figures of earlier versions may have been known when later ones were "
    "trained, and when it was decided which serve; what was decided with them for the versions that Halfface ships is "
    "told in docs/study.md, Protocol."
)
EVALUATION: Final = (
    "All images of the test split under each view, read by the exported file; the validation part is fixed by a hash "
    "of the pixels; training images that stand in the test split too{}, were left out"
)
SEEN: Final = {
    "full": "whole faces",
    "five": "faces under one of the five views, drawn at random",
    "any": "faces with any set of quadrants hidden",
}


def protocol_of(readers: Sequence[Reader], data: Dataset) -> Protocol:
    """Return the protocol; its `subsets` are counted where the study is assembled."""
    cards = {reader.card.id: reader.card for reader in readers}
    return Protocol(
        data=data.name,
        fingerprint=data.fingerprint,
        train=len(data.train),
        validation=len(data.validation),
        subsets={},
        leaks=data.leaks.model_copy(
            update={"left_out_by_all": len({split_of([card])["duplicate_similarity"] for card in cards.values()}) == 1}
        ),
        training=" ".join([*(training_words(card, cards) for card in cards.values()), "The cards hold all settings."]),
        selection=SELECTION,
        evaluation=evaluation_words(cards.values()),
        seeds=tuple(sorted({card.settings.get("seed", 0) for card in cards.values()})),
        divided=True,
        resamples=RESAMPLES,
        bootstrap_seed=BOOTSTRAP_SEED,
        created=utc_now(),
        revision=code_revision() or "",
    )


def evaluation_words(cards: Collection[Card]) -> str:
    """Return how a test image is seen and read; what the files do at test time as the cards tell it."""
    averaging = defaultdict(list)
    for card in cards:
        if over := average_words(card.training):
            averaging[over].append(card.id)
    left_out = {nearly_words(card.training) for card in cards}
    evaluation = EVALUATION.format(left_out.pop() if len(left_out) == 1 else ", or for some of the versions nearly so")
    if corrected := [card.id for card in cards if card.training.get(PRIOR_CORRECTION)]:
        whose = "each file's answers" if len(corrected) == len(cards) else f"the answers of {', '.join(corrected)}"
        evaluation += f"; the class weights of the training are taken out of {whose}"
    if not averaging:
        return f"{evaluation}; {NO_AVERAGE}."
    if list(map(len, averaging.values())) == [len(cards)]:
        words = f"each file averages {next(iter(averaging))}"
    else:
        words = "; ".join(f"the files of {', '.join(ids)} average {over}" for over, ids in averaging.items())
    return f"{evaluation}; {words}; nothing else is done at test time."


def training_words(card: Card, studied: Collection[str]) -> str:
    """Return how a version was trained, in a sentence, as far as its card tells it.

    Args:
        card: of the version.
        studied: the study's versions; one that others start from and that is not among them is said not to be.
    """
    request = card.training.get("request", {})
    words = f"{card.id}: {card.architecture}, from {_start(request.get('base_model'), studied)}"
    words += f"{_length(card)} on {_seen(card)}"
    if teacher := request.get("teacher"):
        second = request.get("second_teacher")
        words += f", taught by {teacher}{f' and {second}' if second else ''}, which saw the same face whole"
        words += ", once and unchanged, by the file that ships" if card.settings.get("fixed_teacher") else ""
    return f"{words}."


def _start(base: str | None, studied: Collection[str]) -> str:
    if base is None or base == IMAGENET:
        return "ImageNet weights" if base else "random weights"
    return base if base in studied else f"{base}, which is not part of the study"


def _length(card: Card) -> str:
    """Return the epochs and the images of each; nothing of what the card does not tell."""
    settings = card.settings
    epochs, images = settings.get("epochs"), sum(card.data.get("counts", {}).get("train", {}).values())
    words = f", {epochs} epoch{'s' if epochs > 1 else ''}" if epochs else ""
    if not images:
        return words
    part = settings.get("epoch_faces")
    return f"{words} of {f'{part:,} of ' if part and part < images else ''}{images:,} images"


def _seen(card: Card) -> str:
    """Return what the faces looked like in training, those that were not hidden as usual included."""
    settings = card.settings
    hidden, other = settings.get("hide_share", 1.0), settings.get("other_share", 0.0)
    words = SEEN.get(card.view, f"{card.view}-hidden faces")
    if settings.get("mirror_average") and card.view in ("left", "right"):
        words = "left-hidden and right-hidden faces alike"
    if hidden < 1 and card.view != "full":
        words += f", {(1 - hidden) * 100:.0f} % of them shown whole"
    if other:
        words += f", {other * 100:.0f} % of them with any set of quadrants hidden instead"
    return words


def describe(reader: Reader) -> StudyModel:
    """Return what a released version is: its size, its speed, and the temperature that its card gives."""
    other = reader.card.training.get(ENSEMBLE_WITH)
    networks = [build_network(reader.card.architecture, **shape_of(reader.card))]
    if other:
        networks.append(build_network(other["architecture"], **other.get("shape", {})))
    return StudyModel(
        slot=reader.slot,
        version=reader.card.id,
        architecture=reader.card.architecture,
        parameters=sum(weights.numel() for network in networks for weights in network.parameters()),
        size_bytes=reader.path.stat().st_size,
        temperature=reader.card.temperature,
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
