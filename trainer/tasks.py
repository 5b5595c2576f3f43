"""What each kind of job does, from a resolved request to the version that it made or measured."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from shared.ensembles import ENSEMBLE_WITH, MIRROR_AVERAGE, SIZE_AVERAGE, why_not_together
from shared.errors import ModelFolderError
from shared.masking import STUDY_VIEWS
from shared.model_folder import Card, model_path, read_card
from shared.preprocessing import InputSpec
from shared.run_folder import ANSWERS_DIR, REPORT_DIR, RunFolder
from shared.schemas.jobs import JobKind, JobProgress, JobRequest, Phase
from shared.schemas.training import IMAGENET, SPLIT
from shared.schemas.wire import SLOTS
from shared.study_answers import STUDY_ANSWERS_FILE, write_answers
from trainer.data import Dataset, load_dataset
from trainer.descriptions import command_of
from trainer.distributed import ALONE, Group
from trainer.errors import BaseModelError, Stopped
from trainer.evaluation import Logits
from trainer.export import ExportSettings
from trainer.network import MeanOf, load_base, load_version, network_of, shape_of
from trainer.registration import Origin, describe_training, register
from trainer.settings import Settings
from trainer.stopping import stoppable
from trainer.study.answers import BATCH_SIZE, Answers, open_reader, split_of
from trainer.study.image_answers import image_answers
from trainer.study.report_files import write_report
from trainer.study.runner import evaluation_of, faces_to_read, run_study
from trainer.study.study_report import write_study_report
from trainer.training import Hooks, Plan, train

log = logging.getLogger(__name__)

ASKED_AT_ONCE: Final = 2048
"""Training faces to which a fixed teacher's answers are kept together: so many are asked again after a death."""

SECONDS_BETWEEN_WORDS: Final = 1.0
"""How often a measurement tells how far it is."""


class Pace:
    """How far a measurement is, how fast the networks read, and how long the rest takes at that.

    Args:
        faces: how many there are to read.
        clock: seconds.
    """

    def __init__(self, faces: int, clock: Callable[[], float]) -> None:
        self._faces, self._clock = faces, clock
        self._began = clock()
        self._done = self._read = self._next = 0

    def begin(self, faces: int) -> None:
        """Count the batch before as done and note the next; more than a batch is what was kept, and takes no time."""
        self._done, self._read = self._done + self._next, self._read + self._next
        is_batch = faces <= BATCH_SIZE
        self._next = faces if is_batch else 0
        self._done += 0 if is_batch else faces

    def progress(self) -> JobProgress:
        """Return how far it is; speed and time left once a batch is done."""
        seconds = self._clock() - self._began
        rate = self._read / seconds if seconds > 0 else 0.0
        done = min(self._done, self._faces)
        return JobProgress(
            phase="evaluating",
            step=done,
            steps=self._faces,
            images_per_s=round(rate, 1) if rate else None,
            eta_s=round((self._faces - done) / rate, 1) if rate else None,
        )


@dataclass(frozen=True)
class Work:
    """One job under way: its folder, what is asked, and where things lie."""

    run: RunFolder
    request: JobRequest
    settings: Settings
    device: torch.device
    hooks: Hooks
    group: Group = ALONE

    def dataset(self, size: int, split: Mapping[str, float] | None = None) -> Dataset:
        """Read the data set, faces at `size` x `size` pixels; raises DatasetError, and Stopped when that is wished.

        Args:
            size: of the faces.
            split: how to divide the training split; as the request says, if None.
        """
        asked = self.request.settings
        as_asked = {"validation_share": asked.validation_share, "duplicate_similarity": asked.duplicate_similarity}
        with self.stoppable("reading the data set"):
            return load_dataset(
                self.settings.data_dir / self.request.dataset, size=size, **(as_asked if split is None else split)
            )

    def stoppable(self, doing: str) -> AbstractContextManager[None]:
        """Return what lets a wish to stop break off the block, unless other processes would then wait for this one."""
        return stoppable(self.hooks.stop_asked, doing) if self.group.size == 1 else nullcontext()

    def register(
        self,
        origin: Origin,
        data: Dataset,
        network: nn.Module,
        export: ExportSettings,
        other: Path | None = None,
    ) -> str:
        """Make a version of the network, and return it. Raises as `trainer.registration.register`."""
        models_dir = self.settings.models_dir
        return register(self.run, origin, data, network, models_dir, export, self.hooks.stop_asked, other).id

    def answers(self, faces: int) -> Answers:
        """Return the models' answers, kept in the run's folder or by other runs. Raises Stopped when that is wished.

        Args:
            faces: how many will be read, to tell how far the job is.
        """
        pace, told = Pace(faces, self.hooks.clock), time.monotonic()

        def tell(next_faces: int) -> None:
            nonlocal told
            if self.hooks.stop_asked():
                raise Stopped("Stopped between two measurements; what was measured is kept.")
            pace.begin(next_faces)
            if time.monotonic() - told >= SECONDS_BETWEEN_WORDS:
                told = time.monotonic()
                self.run.set_progress(pace.progress())

        return Answers(self.run.path / ANSWERS_DIR, tell, self.settings.runs_dir)

    def tell(self, phase: Phase) -> None:
        """Tell what the job does."""
        self.run.set_progress(JobProgress(phase=phase))


def train_network(work: Work) -> str:
    """Train from random weights or another model's, with or without a teacher, and register the version.

    Of several processes the leader registers; the others return nothing.
    """
    request, models_dir = work.request, work.settings.models_dir
    data = work.dataset(request.settings.size)
    if request.base_model not in (None, IMAGENET) and not any((work.run.path / "checkpoints").glob("step-*")):
        _require_held_out(request, data, models_dir)  # one that has begun, perhaps with older code, goes on
    torch.manual_seed(request.settings.seed)
    network = network_of(request.settings)
    with work.stoppable("fetching the weights to start from"):
        if request.base_model:
            load_base(network, request.settings.architecture, request.base_model, models_dir)
    teacher = _teacher(work, data)
    plan = Plan(request.settings, request.view, len(data.train))
    trained = train(plan, data, network, work.device, work.run.path, work.hooks, teacher, work.group)
    if not work.group.leads:
        return ""
    origin = Origin(
        name=request.name or request.view,
        view=request.view,
        architecture=request.settings.architecture,
        input=InputSpec(size=request.settings.size),
        training=describe_training(work.run, request),
    )
    return work.register(origin, data, trained, ExportSettings(threads=work.settings.threads))


def _teacher(work: Work, data: Dataset) -> nn.Module | Logits | None:
    """Return what teaches, as `train` takes it: several teachers' mean; None if nobody does."""
    request, models_dir = work.request, work.settings.models_dir
    names = [name for name in (request.teacher, request.second_teacher) if name]
    if not names:
        return None
    if not request.settings.fixed_teacher:
        with work.stoppable("fetching the teacher's weights"):
            return MeanOf([_teaching(models_dir, name, request.settings.size) for name in names])
    if not work.group.leads:
        work.group.wait()  # the leader asks, and the others read what it has kept
    answers = _fixed_answers(work, data, names)
    if work.group.leads:
        work.group.wait()
    return answers


def _teaching(models_dir: Path, name: str, size: int) -> nn.Module:
    """Return the network of a version that is to see faces as the student does. Raises BaseModelError."""
    network = load_version(models_dir, name)
    own = read_card(model_path(models_dir, name), verify=False).input.size
    if own != size:
        raise BaseModelError(
            f"{name} reads faces of {own} pixels, and would teach nonsense on {size}: choose a size of {own}, or a "
            "fixed teacher, which is asked at its own size."
        )
    return network


def _fixed_answers(work: Work, data: Dataset, names: Sequence[str]) -> Logits:
    """Return what versions answer to each training face, whole and at their own size: the mean of their logits."""
    log.info("asking %s for each training face", " and ".join(names))
    readers = [open_reader(work.settings.models_dir, "full", name, work.settings.threads) for name in names]
    begun, pace = work.run.progress(), Pace(len(readers) * len(data.train), work.hooks.clock)

    def tell(next_faces: int) -> None:
        if work.hooks.stop_asked():
            raise Stopped("Stopped while the teacher was asked; it is asked for the rest when the run is resumed.")
        pace.begin(next_faces)
        asking = {"phase": "asking", "images_per_s": pace.progress().images_per_s, "eta_s": None}
        work.hooks.progress(begun.model_copy(update=asking))

    answers, logits = Answers(work.run.path / ANSWERS_DIR, tell), []
    for reader in readers:
        size = reader.card.input.size
        faces = (data if size == work.request.settings.size else work.dataset(size)).train.faces
        parts = [faces[start : start + ASKED_AT_ONCE] for start in range(0, len(faces), ASKED_AT_ONCE)]
        logits.append(np.concatenate([answers.logits(reader, part, frozenset()) for part in parts]))
    mean: Logits = np.mean(logits, axis=0, dtype=np.float32)
    return mean


def _require_held_out(request: JobRequest, data: Dataset, models_dir: Path) -> None:
    """Raise BaseModelError if the version to start from has learnt what is to be held out, or left out, now."""
    base = request.base_model or ""
    try:
        card = read_card(model_path(models_dir, base), verify=False)
    except ModelFolderError:
        return  # told where its weights are loaded
    if card.data.get("fingerprint") != data.fingerprint:
        return
    share, similarity = (card.split[name] for name in SPLIT)
    if request.settings.validation_share > share:
        raise BaseModelError(
            f"{base} held out {share:g} of the training images and has learnt the others; choose a validation_share of "
            "that or less to start from it."
        )
    if request.settings.duplicate_similarity != similarity:
        raise BaseModelError(
            f"{base} was trained with a duplicate_similarity of {similarity:g}; choose that to start from it, since "
            "what is held out depends on it."
        )


def export_version(work: Work) -> str:
    """Export a version's weights once more, in the precision that is asked for, as a version of its own.

    Together with the network in another version's file, if asked for, or if the version is such an ensemble already.
    """
    request, models_dir = work.request, work.settings.models_dir
    source = request.model or ""
    network = load_version(models_dir, source)
    card = read_card(model_path(models_dir, source), verify=False)
    training = {**card.training, "exported_from": card.id, "export_command": command_of(request)}
    for option in (MIRROR_AVERAGE, SIZE_AVERAGE):
        if (asked := getattr(request, option)) is not None:
            training[option] = asked
    other = _ensemble_with(request, card, models_dir)
    training.pop(ENSEMBLE_WITH, None)
    if other is not None:
        training |= {SIZE_AVERAGE: True, ENSEMBLE_WITH: _described(other)}
    origin = Origin(
        name=request.name or card.name,
        view=card.view,
        architecture=card.architecture,
        input=card.input,
        training=training,
    )
    settings = ExportSettings(request.precision, work.settings.threads)
    beside = model_path(models_dir, other.id) / other.file if other else None
    data = work.dataset(card.input.size, split_of([card, other] if other else [card]))  # what neither was trained on
    return work.register(origin, data, network, settings, beside)


def _ensemble_with(request: JobRequest, card: Card, models_dir: Path) -> Card | None:
    """Return the card of the version that is to answer together with `card`'s, if there is to be one.

    Raises:
        BaseModelError: there is no such version, its file is not the card's, or the two cannot answer together.
    """
    before = None if request.size_average is False else card.training.get(ENSEMBLE_WITH, {}).get("id")
    other = request.ensemble_with or before
    if other is None:
        return None
    try:
        found = read_card(model_path(models_dir, other))
    except ModelFolderError as error:
        raise BaseModelError(f"{card.id} cannot answer together with {other}: {error}") from error
    if reason := why_not_together(card, found, request.mirror_average):
        raise BaseModelError(reason)
    return found


def _described(other: Card) -> dict[str, Any]:
    """Return what the card of an ensemble tells of the other network."""
    kept = ("command", "run", "revision", "seconds", "best_epoch", "validation_accuracy")
    return {
        "id": other.id,
        "architecture": other.architecture,
        "shape": shape_of(other),
        **{key: other.training[key] for key in kept if key in other.training},
    }


def evaluate_version(work: Work) -> str:
    """Measure a version on the test split and write the report; return the version."""
    request = work.request
    reader = open_reader(work.settings.models_dir, "any", request.model or "", work.settings.threads)
    data = work.dataset(reader.card.input.size, split_of([reader.card]))
    views = request.views or list(STUDY_VIEWS)
    answers = work.answers(len(views) * len(data.test) + len(data.validation))
    with work.stoppable("measuring"):
        write_report(evaluation_of(reader, data, views, answers), work.run.path / REPORT_DIR)
    work.tell("done")
    return reader.card.id


def report_study(work: Work) -> str:
    """Measure the models that a study's trainings made; write study.json and return the whole-face version."""
    versions = {part.request().step: part.state().model or "" for part in work.run.parts()}
    if missing := [slot for slot in SLOTS if not versions.get(slot)]:
        raise BaseModelError(
            f"The study's parts {', '.join(missing)} have not finished, or were deleted. python -m trainer study with "
            "the same settings goes on, or begins anew where a part is gone."
        )
    models_dir, threads = work.settings.models_dir, work.settings.threads
    readers = [open_reader(models_dir, slot, versions[slot], threads) for slot in SLOTS]
    data = work.dataset(work.request.settings.size)
    if other := [reader.card.id for reader in readers if reader.card.data.get("fingerprint") != data.fingerprint]:
        raise BaseModelError(
            f"{data.name} holds other images than {', '.join(other)} learnt from: it was changed while the study went "
            "on. Put the former data back, or begin anew with python -m trainer study --anew."
        )
    answers = work.answers(faces_to_read(readers, data))
    with work.stoppable("measuring"):
        write_study_report(run_study(readers, data, answers), work.run.path / REPORT_DIR)
    write_answers(image_answers(readers, data, answers), work.run.path / REPORT_DIR / STUDY_ANSWERS_FILE)
    work.tell("done")
    return readers[0].card.id


TASKS: Final[Mapping[JobKind, Callable[[Work], str]]] = {
    "train": train_network,
    "fine-tune": train_network,
    "evaluate": evaluate_version,
    "export": export_version,
    "study": report_study,
}
