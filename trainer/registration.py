"""From a trained network to a version in the models folder: exported, measured, described in its card."""

import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, Literal

import torch
from torch import nn

from shared.exports import MIRROR_AVERAGE, PRIOR_CORRECTION, SIZE_AVERAGE
from shared.files import write_atomically
from shared.masking import STUDY_VIEWS
from shared.model_comparison import against_serving
from shared.model_folder import MODEL_FILE, WEIGHTS_FILE, Card, model_path, read_card, sha256_of, write_model
from shared.preprocessing import InputSpec
from shared.probabilities import Forward
from shared.run_folder import ANSWERS_DIR, EXPORT_DIR, ORIGIN_FILE, RunFolder, utc_now
from shared.schemas.jobs import JobProgress, JobRequest, MetricRow
from shared.self_test import known_logits
from trainer.checkpoints import save_weights
from trainer.data import Dataset
from trainer.descriptions import NO_AVERAGE, average_words, code_revision, command_of, nearly_words
from trainer.devices import choose_arithmetic
from trainer.evaluation import measure
from trainer.export import ExportSettings, export_file, export_model
from trainer.network import as_served
from trainer.onnx_forward import onnx_forward
from trainer.pace import Pace
from trainer.prior_correction import correct_logits, log_weights
from trainer.stopping import stoppable
from trainer.study.answers import Answers
from trainer.study.temperature import faces_to_read, temperature_of
from trainer.training import Hooks

PROTOCOL: Final = (
    "All images of the test split, each read once by the exported file after the training; the epoch was chosen "
    "on a validation part of the training split, fixed by a hash of the pixels; training images that stand in the test "
    "split too{}, were left out (data.left_out); "
)
INTENDED_USE: Final = (
    "Research on how much of an emotion can be read from part of a face. A label says with which emotion's keywords a "
    "picture was found on the web and checked by people, not what a person feels. Not for decisions about people: "
    "hiring, policing, schools, insurance, medicine."
)


@dataclass(frozen=True)
class Origin:
    """What a version's card says of where its network comes from."""

    name: str
    view: str
    architecture: str
    input: InputSpec
    training: dict[str, Any]


@dataclass(frozen=True)
class ExportedFile:
    """A file that is no version yet, to be asked (see `trainer.study.answers.Asked`)."""

    forward: Forward
    input: InputSpec
    file_digest: str


def register(
    run: RunFolder,
    origin: Origin,
    data: Dataset,
    network: nn.Module | Card,
    models_dir: Path,
    export: ExportSettings,
    hooks: Hooks,
    other: Path | None = None,
) -> Card:
    """Export a network, measure the exported file on the test split and add it to the models folder.

    Args:
        run: its id becomes the version; a version that a stopped attempt has written already is returned as it is.
        origin: what the network is.
        data: its training part calibrates, its validation part checks, its test part measures.
        network: float32, on the CPU; or the card of a version whose weights are not at hand, but its ONNX file is.
        models_dir: the folder `models`.
        export: the file's arithmetic and the threads to measure with.
        hooks: progress out, and the wish to leave off before the version is added in.
        other: the ONNX file of the version that answers together with it, if `origin` says that one does.

    Raises:
        Stopped: asked to stop; nothing is added.
        ExportError: the exported file does not answer as the network does.
        ModelFolderError: the version cannot be written.
    """
    folder = models_dir / origin.name / run.id
    for cut_off in folder.parent.glob(f".{run.id}.*"):  # of an attempt that was killed: who is here has the run's lock
        shutil.rmtree(cut_off, ignore_errors=True)
    if folder.exists():
        return read_card(folder)
    last = run.progress()
    last = last.model_copy(
        update={"step": last.steps, "eta_s": None}
    )  # it is told once a second: the end may be untold
    with stoppable(hooks.stop_asked, "exporting and measuring the network"):
        files, card = _exported(run, last, origin, data, network, models_dir, export, hooks, other)
    result = write_model(models_dir, files, card)
    hooks.progress(last.model_copy(update={"phase": "done", "eta_s": 0.0}))
    return result


def _exported(
    run: RunFolder,
    last: JobProgress,
    origin: Origin,
    data: Dataset,
    network: nn.Module | Card,
    models_dir: Path,
    export: ExportSettings,
    hooks: Hooks,
    other: Path | None,
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Return the version's files by name, in the run's folder, and its card."""
    hooks.progress(last.model_copy(update={"phase": "exporting"}))
    path = run.path / EXPORT_DIR / MODEL_FILE
    shutil.rmtree(path.parent, ignore_errors=True)  # what an attempt that was killed left
    files = [path]
    if isinstance(network, Card):
        file = model_path(models_dir, network.id) / network.file
        exported = export_file(file, other, origin.input, data, origin.view, path, export.threads)
        exported["shipped"] = network.metrics.get("export", {}).get("shipped")
    else:
        served = as_served(network, mirror_average=bool(origin.training.get(MIRROR_AVERAGE)))
        settings = replace(export, size_average=bool(origin.training.get(SIZE_AVERAGE)))
        exported = export_model(served, origin.input, data, origin.view, path, settings, other)
        files.append(path.with_name(WEIGHTS_FILE))
        save_weights(files[-1], network, half=True)
    corrects = bool(origin.training.get(PRIOR_CORRECTION))
    pace = Pace(len(STUDY_VIEWS) * len(data.test) + (1 + corrects) * faces_to_read(data), hooks.clock)

    def tell(next_faces: int) -> None:
        pace.begin(next_faces)
        reading = {name: getattr(pace.progress(), name) for name in ("phase", "images_per_s", "eta_s")}
        hooks.progress(last.model_copy(update=reading))

    answers, described = Answers(run.path / ANSWERS_DIR, tell), data.describe()
    exported_file = _asked(path, origin, export.threads)
    if corrects:
        added = -log_weights(data.train.counts())
        correct_logits(path, added * (temperature_of(exported_file, origin.view, data, answers, added) or 1.0))
        exported_file = _asked(path, origin, export.threads)
    temperature = temperature_of(exported_file, origin.view, data, answers) or 1.0
    metrics = {
        "protocol": f"{PROTOCOL.format(nearly_words(origin.training))}{_test_time(origin.training)}.",
        "export": exported,
        "test": _measure_views(exported_file, data, answers, temperature),
    }
    against = against_serving(models_dir, metrics, described["fingerprint"])
    card = {
        **{each.name: getattr(origin, each.name) for each in fields(origin)},
        "version": run.id,
        "data": described,
        "metrics": {**metrics, "against": {view: each.model_dump() for view, each in against.items()}},
        "self_test": known_logits(exported_file.forward, origin.input),
        "temperature": temperature,
        "created": utc_now(),
        "intended_use": INTENDED_USE,
    }
    return {file.name: file for file in files}, card


def _asked(path: Path, origin: Origin, threads: int) -> ExportedFile:
    return ExportedFile(onnx_forward(path, threads), origin.input, sha256_of(path))


def _measure_views(asked: ExportedFile, data: Dataset, answers: Answers, temperature: float) -> dict[str, Any]:
    """Return the study's views to their figures on the test part (see `trainer.evaluation.measure`)."""
    part = data.test
    return {
        view.value: measure(answers.logits(asked, part.faces, view), part.labels, temperature) for view in STUDY_VIEWS
    }


def describe_training(run: RunFolder, request: JobRequest) -> dict[str, Any]:
    """Return the config, the seed, the code's revision and how the run went, for the card."""
    rows = run.metrics()
    best = best_epoch(rows, request.settings.select)
    return {
        "command": command_of(request),
        "request": request.model_dump(mode="json"),
        MIRROR_AVERAGE: request.settings.mirror_average,
        SIZE_AVERAGE: request.settings.size_average,
        PRIOR_CORRECTION: request.settings.prior_correction,
        "run": run.id,
        **json.loads((run.path / ORIGIN_FILE).read_text()),
        "seconds": rows[-1].seconds if rows else None,
        "best_epoch": best.epoch if best else None,
        "validation_accuracy": best.validation_accuracy if best else None,
    }


def _test_time(training: Mapping[str, Any]) -> str:
    words = average_words(training)
    said = f"the file averages {words}, and does nothing else at test time" if words else NO_AVERAGE
    corrected = "the class weights of the training are taken out of the answers, at a temperature fitted on that part; "
    return corrected + said if training.get(PRIOR_CORRECTION) else said


def best_epoch(rows: list[MetricRow], select: Literal["accuracy", "loss"]) -> MetricRow | None:
    """Return the row of the epoch that was kept, None if there is none; of equals the first."""
    if select == "loss":
        return min(rows, key=lambda row: row.validation_loss, default=None)
    return max(rows, key=lambda row: row.validation_accuracy, default=None)


def note_origin(run: RunFolder, device: torch.device, processes: int) -> None:
    """Write down, at a run's first start, which code, kind of machine, arithmetic and processes it began with."""
    path = run.path / ORIGIN_FILE
    if not path.exists():
        origin = {
            "revision": code_revision(),
            "torch": torch.__version__,
            **choose_arithmetic(run.request().request.settings.precision, device).describe(),
            "machine": platform.machine(),
            "cores": os.cpu_count(),
            "processes": processes,
        }
        write_atomically(path, json.dumps(origin, indent=1) + "\n")
