"""What each kind of job does, from a resolved request to the version that it made or measured."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from torch import nn

from shared.errors import ModelFolderError
from shared.exports import (
    ENSEMBLE_WITH,
    MIRROR_AVERAGE,
    PRIOR_CORRECTION,
    SIZE_AVERAGE,
    why_not_exported,
    why_not_together,
)
from shared.masking import STUDY_VIEWS
from shared.model_folder import Card, model_path, read_card
from shared.preprocessing import InputSpec
from shared.run_folder import CHECKPOINTS, CHECKPOINTS_DIR, REPORT_DIR, START_FILE, RunFolder
from shared.schemas.jobs import JobKind, JobRequest
from shared.schemas.training import IMAGENET, SPLIT
from shared.schemas.wire import SLOTS
from shared.study_answers import STUDY_ANSWERS_FILE, write_answers
from trainer.checkpoints import save_weights
from trainer.data import Dataset
from trainer.descriptions import command_of
from trainer.errors import BaseModelError
from trainer.export import ExportSettings
from trainer.network import load_base, load_version, network_of, shape_of
from trainer.registration import Origin, describe_training
from trainer.study.answers import open_reader, split_of
from trainer.study.image_answers import image_answers
from trainer.study.report_files import write_report
from trainer.study.runner import evaluation_of, faces_to_read, run_study
from trainer.study.study_report import write_study_report
from trainer.teaching import teacher_of
from trainer.training import Plan, train
from trainer.work import Work


def train_network(work: Work) -> str:
    """Train from random weights or another model's, with or without a teacher, and register the version.

    Of several processes the leader registers; the others return nothing.
    """
    request = work.request
    data = work.dataset(request.settings.size)
    if request.base_model not in (None, IMAGENET) and not _has_begun(work.run):
        _require_fit(work, data)  # one that has begun, perhaps with older code, goes on
    torch.manual_seed(request.settings.seed)
    network = network_of(request.settings)
    if request.base_model:
        _fill_from(request.base_model, network, work)
    teacher = teacher_of(work, data)
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


def _has_begun(run: RunFolder) -> bool:
    """Return whether the run goes on from a checkpoint."""
    return any((run.path / CHECKPOINTS_DIR).glob(CHECKPOINTS))


def _fill_from(base_model: str, network: nn.Module, work: Work) -> None:
    """Fill the network with the weights that it starts from, unless a checkpoint is to replace them all.

    They are kept where a `start_share` of them is wanted to the end: what a run goes on from lies in its own folder,
    and the base may be gone by then.
    """
    settings, kept = work.request.settings, work.run.path / START_FILE
    if settings.start_share and kept.exists():
        network.load_state_dict(load_file(kept))
    elif settings.start_share or not _has_begun(work.run):
        with work.stoppable("fetching the weights to start from"):
            load_base(network, settings.architecture, base_model, work.settings.models_dir)
        if settings.start_share and work.group.leads:
            save_weights(kept, network)


def _require_fit(work: Work, data: Dataset) -> None:
    """Raise BaseModelError if the version to start from has another max-pool, which no weight shows, or has learnt what
    is to be held out, or left out, now."""
    request, base = work.request, work.request.base_model or ""
    try:
        card = read_card(model_path(work.settings.models_dir, base), verify=False)
    except ModelFolderError:
        return  # told where its weights are loaded
    if (has := card.fixed_by_weights["max_pool"]) != request.settings.max_pool:
        raise BaseModelError(
            f"{base} was trained {'with' if has else 'without'} the stem's max-pool; choose that (max_pool) to start "
            "from it."
        )
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
    """Export a version once more, as one of its own: its weights in the precision that is asked for, or else its file.

    Together with the network in another version's file, if asked for, or if the version is such an ensemble already.
    """
    request, models_dir = work.request, work.settings.models_dir
    card = _card_of(models_dir, request.model or "")
    if reason := why_not_exported(card, request):
        raise BaseModelError(reason)
    network = load_version(models_dir, card.id) if card.has_weights else card
    training = {**card.training, "exported_from": card.id, "export_command": command_of(request)}
    for option in (MIRROR_AVERAGE, SIZE_AVERAGE, PRIOR_CORRECTION):
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
    if training.get(PRIOR_CORRECTION) and data.fingerprint != card.data.get("fingerprint"):
        raise BaseModelError(
            f"{data.name} holds other images than {card.id} learnt from, and so other class weights; give the data set "
            "that it was trained on, or --no-prior-correction."
        )
    return work.register(origin, data, network, settings, beside)


def _card_of(models_dir: Path, model_id: str) -> Card:
    try:
        return read_card(model_path(models_dir, model_id))
    except ModelFolderError as error:
        raise BaseModelError(f"{model_id} cannot be exported: {error}") from error


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
    if reason := why_not_together(card, found, request):
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
    answers = work.answers(len(views) * len(data.test))
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
