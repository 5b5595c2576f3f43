"""What a version's card says of its training: the epoch that was kept, and how the machine computed."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from shared.labels import LABELS
from shared.masking import View
from shared.preprocessing import InputSpec, prepare
from shared.probabilities import Forward
from shared.run_folder import ORIGIN_FILE, RunFolder
from shared.schemas.jobs import JobRequest, MetricRow
from shared.schemas.training import TrainSettings
from tests.unit.gateway.folders import write_small_model
from trainer.__main__ import _export_request, _parser, _request
from trainer.data import Dataset
from trainer.descriptions import command_of
from trainer.errors import Stopped
from trainer.evaluation import logits_of
from trainer.export import ExportSettings
from trainer.network import build_network
from trainer.registration import (
    ExportedFile,
    Origin,
    describe_training,
    note_origin,
    register,
)
from trainer.study import temperature
from trainer.study.answers import Answers
from trainer.study.calibration import fit_temperature
from trainer.training import Hooks

FIGURES = [(1.5, 0.50), (1.2, 0.61), (1.1, 0.60), (1.3, 0.61)]
"""Loss and accuracy of four epochs."""


def finished_run(runs_dir: Path, settings: TrainSettings) -> RunFolder:
    """Return a run with the metrics of four epochs."""
    run = RunFolder.create(runs_dir, JobRequest(dataset="faces.zip", settings=settings))
    rows = [
        MetricRow(
            epoch=epoch,
            step=epoch,
            seconds=epoch,
            train_loss=1.0,
            validation_loss=loss,
            validation_accuracy=accuracy,
            learning_rate=0.1,
            size=48,
        )
        for epoch, (loss, accuracy) in enumerate(FIGURES, start=1)
    ]
    (run.path / "metrics.jsonl").write_text("".join(f"{row.model_dump_json()}\n" for row in rows))
    return run


@pytest.mark.parametrize(("select", "epoch"), [("accuracy", 2), ("loss", 3)])
def test_the_card_names_the_epoch_that_was_kept_by_what_was_selected(
    select: Literal["accuracy", "loss"], epoch: int, tmp_path: Path
) -> None:
    run = finished_run(tmp_path, TrainSettings(select=select))
    note_origin(run, torch.device("cpu"), processes=2)
    described = describe_training(run, run.request().request)
    assert described["best_epoch"] == epoch
    assert described["validation_accuracy"] == FIGURES[epoch - 1][1]
    assert described["request"]["settings"]["select"] == select


def test_the_card_says_on_what_and_in_which_precision_was_trained(tmp_path: Path) -> None:
    run = finished_run(tmp_path, TrainSettings(precision="bf16"))
    note_origin(run, torch.device("cpu"), processes=2)
    described = describe_training(run, run.request().request)
    assert (described["device"], described["precision"], described["layout"]) == ("cpu", "bfloat16", "channels_last")
    assert described["processes"] == run.processes() == 2


def test_what_a_run_began_with_is_not_written_over_where_it_goes_on_elsewhere(tmp_path: Path) -> None:
    run = finished_run(tmp_path, TrainSettings())
    (run.path / ORIGIN_FILE).write_text('{"device": "cuda"}')
    note_origin(run, torch.device("cpu"), processes=2)
    assert json.loads((run.path / ORIGIN_FILE).read_text()) == {"device": "cuda"}


@pytest.mark.parametrize("told", [{}, {"distill_weight": 0.0}, {"distill_weight": 0.3}])
def test_the_cards_command_asks_for_the_same_training_again(told: dict[str, float], tmp_path: Path) -> None:
    settings = TrainSettings(epochs=3, learning_rate=2e-4, flip=False, class_weights=True, grow_from=32, **told)
    named = {"base_model": "full/1", "teacher": "full/1", "second_teacher": "any/1"}
    asked = JobRequest(dataset="faces.zip", view="upper", name="mine", **named, settings=settings)
    command = command_of(asked).split()
    assert command[:4] == ["python", "-m", "trainer", "train"]
    assert _request(_parser().parse_args(command[3:]), tmp_path) == asked


@pytest.mark.parametrize("width", [0.5, 1.0])
def test_the_command_of_a_fine_tuning_tells_a_width_that_is_usual_and_not_that_of_its_start(
    width: float, tmp_path: Path
) -> None:
    write_small_model(tmp_path / "models", training={"request": {"settings": {"width": 0.5, "small_stem": True}}})
    settings = TrainSettings(width=width, small_stem=True)
    asked = JobRequest(dataset="faces.zip", base_model="first/1", settings=settings)
    command = command_of(asked).split()
    assert _request(_parser().parse_args(command[3:]), tmp_path / "models") == asked


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"ensemble_with": "any/7", "name": "both", "prior_correction": True},
        {"precision": "float32", "mirror_average": False, "size_average": True, "prior_correction": False},
    ],
)
def test_the_command_of_an_export_asks_for_the_same_one_again(asked: dict[str, Any]) -> None:
    request = JobRequest.model_validate({"kind": "export", "dataset": "faces.zip", "model": "full/4", **asked})
    command = command_of(request).split()
    assert command[:5] == ["python", "-m", "trainer", "export", "full/4"]
    assert _export_request(_parser().parse_args(command[3:])) == request


def nearest_mean(data: Dataset, spec: InputSpec) -> Forward:
    """Return what answers by how far a face is from the mean face of each emotion."""
    train = data.train
    means = np.stack(
        [prepare(train.faces[train.labels == label], View.FULL, spec).mean(axis=0) for label in range(len(LABELS))]
    )
    return lambda batch: -((batch[:, None] - means) ** 2).mean(axis=(2, 3, 4))


def test_a_temperature_is_fitted_on_validation_faces_as_they_were_trained_on(
    drawn_data: Dataset, spec: InputSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temperature, "FEWEST", 1)
    part, asked = drawn_data.validation, ExportedFile(nearest_mean(drawn_data, spec), spec, "a digest")
    fitted = {
        view: fit_temperature(logits_of(asked.forward, part.faces, view, spec), part.labels)
        for view in (View.FULL, View.LOWER, View.LEFT)
    }
    assert len({round(each, 1) for each in fitted.values()}) == 3
    for view, expected in fitted.items():
        found = temperature.temperature_of(asked, view.value, drawn_data, Answers(tmp_path))
        assert found == pytest.approx(expected, abs=6e-5)


def test_what_a_killed_attempt_left_of_a_version_is_removed_and_nothing_else(
    drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    run = RunFolder.create(tmp_path / "runs", JobRequest(dataset="drawn"))
    models = tmp_path / "models"
    for name in (f".{run.id}.x1y2z3", f".{run.id}-2.x1y2z3", "other"):
        (models / "full" / name).mkdir(parents=True)
        (models / "full" / name / "model.onnx").touch()
    origin = Origin(name="full", view="full", architecture="resnet18", input=spec, training={})
    with pytest.raises(Stopped):
        register(
            run, origin, drawn_data, build_network("resnet18"), models, ExportSettings(), Hooks(stop_asked=lambda: True)
        )
    assert {path.name for path in (models / "full").iterdir()} == {f".{run.id}-2.x1y2z3", "other"}
