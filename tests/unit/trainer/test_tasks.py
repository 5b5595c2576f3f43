"""A job is left within seconds in any phase, goes on from what it had, and tells how far it is."""

import json
import shutil
import time
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shared.masking import STUDY_VIEWS, View
from shared.model_folder import CARD_FILE, WEIGHTS_FILE, Card, list_models, model_path, read_card
from shared.probabilities import Logits
from shared.run_folder import START_FILE, RunFolder
from shared.schemas.jobs import JobProgress, JobRequest, JobState, StateChange
from shared.schemas.training import TrainSettings
from trainer import export, runs, tasks, teaching
from trainer.data import Dataset, load_dataset
from trainer.evaluation import BATCH_SIZE, logits_of
from trainer.network import MeanOf
from trainer.onnx_forward import onnx_forward
from trainer.pace import Pace
from trainer.prior_correction import log_weights
from trainer.registration import Origin
from trainer.runs import execute
from trainer.settings import Settings
from trainer.study import temperature
from trainer.study.answers import open_reader
from trainer.study.calibration import fit_temperature
from trainer.study.protocol import describe
from trainer.training import train
from trainer.work import Work


def settings_in(folder: Path, data: Path) -> Settings:
    """Return where runs and models lie, and one thread."""
    return Settings(
        data_dir=data.parent, runs_dir=folder / "runs", models_dir=folder / "models", device="cpu", threads=1
    )


def without_weights(version: Path) -> None:
    """Take a version's weights away, as from one that was released without them."""
    (version / WEIGHTS_FILE).unlink()
    card = json.loads((version / CARD_FILE).read_text())
    del card["sha256"][WEIGHTS_FILE]
    (version / CARD_FILE).write_text(json.dumps(card))


@pytest.mark.parametrize("phase", ["loading", "exporting"])
def test_a_job_that_is_cancelled_before_or_after_its_training_is_left_and_can_be_resumed(
    phase: str, drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path, drawn_folder)
    asked = JobRequest(dataset=drawn_folder.name, settings=quick_settings.model_copy(update={"epochs": 1}))
    run = RunFolder.create(settings.runs_dir, asked)

    def cancel_in_phase() -> bool:
        if run.progress().phase == phase:
            run.ask_to_cancel()
        return False

    end = execute(run, settings, cancel_in_phase)
    assert end.state == JobState.CANCELLED
    assert (end.message or "").startswith("Stopped ")
    assert list(list_models(settings.models_dir)) == []

    run.withdraw_cancel()
    run.set_state(end.model_copy(update={"state": JobState.QUEUED}))
    assert execute(run, settings).state == JobState.FINISHED
    assert len(list(list_models(settings.models_dir))) == 1


def test_a_job_is_left_while_weights_are_fetched_from_a_server_that_sends_nothing(
    drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*words: object) -> None:
        run.ask_to_cancel()
        time.sleep(60)

    monkeypatch.setattr(tasks, "load_base", fetch)
    settings = Settings(data_dir=drawn_folder.parent, runs_dir=tmp_path / "runs", models_dir=tmp_path, device="cpu")
    asked = JobRequest(dataset=drawn_folder.name, base_model="imagenet", settings=quick_settings)
    run = RunFolder.create(settings.runs_dir, asked)
    end = execute(run, settings)
    assert end.state == JobState.CANCELLED
    assert "Stopped while fetching the weights" in (end.message or "")


@pytest.mark.parametrize("start_share", [0.0, 0.5])
def test_a_fine_tuning_that_has_begun_goes_on_without_what_it_started_from(
    start_share: float, models_dir: Path, drawn_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has learnt is looked at in place of the file that it would export."""
    monkeypatch.setattr(runs, "STOP_POLL_SECONDS", 0)
    made: list[dict[str, Tensor]] = []

    def look(work: Work, origin: Origin, data: Dataset, network: nn.Module, *more: Any) -> str:
        made.append(network.state_dict())
        return "five/1"

    monkeypatch.setattr(Work, "register", look)
    settings = settings_in(tmp_path, drawn_dataset)
    shutil.copytree(models_dir, settings.models_dir)
    ((base, card),) = list_models(models_dir)
    asked = {"epochs": 2, "start_share": start_share, **card.fixed_by_weights, **card.split}  # type: ignore[union-attr]
    request = JobRequest(
        kind="fine-tune",
        dataset=drawn_dataset.name,
        base_model=base,
        settings=TrainSettings(size=32, batch_size=16, precision="fp32", **asked),
    )
    undisturbed, begun, old = (RunFolder.create(settings.runs_dir, request) for _ in range(3))
    assert execute(undisturbed, settings).state == JobState.FINISHED
    for run in (begun, old):
        stopped = execute(run, settings, lambda run=run: run.progress().phase == "training")
        assert stopped.state == JobState.INTERRUPTED
    (old.path / START_FILE).unlink(missing_ok=True)  # before it was kept, the base was there to the end
    assert execute(old, settings).state == JobState.FINISHED
    shutil.rmtree(settings.models_dir)
    end = execute(begun, settings)
    assert end.state == JobState.FINISHED, end.message
    for other in made[1:]:
        assert all(torch.equal(value, other[key]) for key, value in made[0].items())
    assert len(made) == 3


def test_a_version_may_average_over_mirror_images_and_sizes_and_be_exported_again_without(
    drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "MIN_AGREEMENT", 0.8)  # of so few faces one that flips would be too many
    monkeypatch.setattr(export, "MAX_ACCURACY_LOSS", 1.0)
    settings = settings_in(tmp_path, drawn_folder)
    told = {"epochs": 2, "mirror_average": True, "validation_share": 0.3, "duplicate_similarity": 1.01}
    averaging = quick_settings.model_copy(update=told)  # drawn faces are alike: few would be left to compare on

    def done(**asked: Any) -> Card:
        run = RunFolder.create(settings.runs_dir, JobRequest(dataset=drawn_folder.name, **asked))
        end = execute(run, settings)
        assert end.state == JobState.FINISHED, end.message
        return read_card(model_path(settings.models_dir, end.model or ""))

    def is_mirrored(card: Card) -> bool:
        """Return whether a face and its mirror image are answered alike."""
        forward = onnx_forward(model_path(settings.models_dir, card.id) / card.file, threads=1)
        faces = np.random.default_rng(0).normal(size=(5, 3, card.input.size, card.input.size)).astype(np.float32)
        assert forward(faces[:1]).shape == (1, 7)
        answered, mirrored = forward(faces), forward(faces[..., ::-1].copy())
        return bool(np.abs(answered - mirrored).max() < 6.5e-3 * np.abs(answered).max())  # int8 rounds in steps

    made = done(view="left", settings=averaging)
    assert is_mirrored(made)
    assert "averages over a face and its mirror image" in made.metrics["protocol"]
    again = done(kind="export", model=made.id, name="again")
    assert is_mirrored(again)
    assert again.data["counts"] == made.data["counts"]  # the parity of both is measured on what was held out
    sizes = done(kind="export", model=made.id, name="sizes", size_average=True)
    assert is_mirrored(sizes)
    assert "averages over a face and its mirror image, each at two sizes" in sizes.metrics["protocol"]
    assert sizes.metrics["export"]["shipped"].startswith("int8")
    plain = done(kind="export", model=sizes.id, name="plain", mirror_average=False, size_average=False)
    assert not is_mirrored(plain)
    assert "no test-time augmentation" in plain.metrics["protocol"]


@dataclass(frozen=True)
class Jobs:
    """Jobs on one data set, done at once, and what the files that they make answer."""

    settings: Settings
    dataset: str

    def execution(self, **asked: Any) -> StateChange:
        request = JobRequest.model_validate({"dataset": self.dataset, **asked})
        return execute(RunFolder.create(self.settings.runs_dir, request), self.settings)

    def made(self, **asked: Any) -> Card:
        end = self.execution(**asked)
        assert end.state == JobState.FINISHED, end.message
        return read_card(model_path(self.settings.models_dir, end.model or ""))

    def answers(self, card: Card) -> Logits:
        faces = np.random.default_rng(0).normal(size=(5, 3, card.input.size, card.input.size)).astype(np.float32)
        return onnx_forward(model_path(self.settings.models_dir, card.id) / card.file, threads=1)(faces)


def test_two_versions_may_answer_together_and_be_parted_again(
    drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path
) -> None:
    jobs = Jobs(settings_in(tmp_path, drawn_folder), drawn_folder.name)

    def distance(first: Card, second: Card) -> float:
        return float(np.abs(jobs.answers(first) - jobs.answers(second)).mean())

    one_epoch = quick_settings.model_copy(update={"epochs": 1})
    one = jobs.made(settings=one_epoch)
    shape = {"width": 0.25, "small_stem": True}
    other = jobs.made(settings=one_epoch.model_copy(update={"seed": 1, **shape}), name="other")
    without_weights(model_path(jobs.settings.models_dir, other.id))
    both = jobs.made(kind="export", model=one.id, ensemble_with=other.id, name="both")
    assert both.training["ensemble_with"]["id"] == other.id
    assert both.training["ensemble_with"]["command"] == other.training["command"]
    words = f"over two sizes of a face, the smaller of which the network of {other.id} reads"
    assert words in both.metrics["protocol"]
    counted = [
        describe(open_reader(jobs.settings.models_dir, "any", card.id, 1)).parameters for card in (one, other, both)
    ]
    assert counted[2] == counted[0] + counted[1] > 10 * counted[1]
    again = jobs.made(kind="export", model=both.id, name="again", precision="float32")
    assert again.training["ensemble_with"] == both.training["ensemble_with"]
    assert distance(again, both) < distance(one, both) / 2
    alone = jobs.made(kind="export", model=both.id, name="alone", size_average=False)
    assert "ensemble_with" not in alone.training
    assert distance(alone, one) < distance(both, one) / 2
    small = jobs.made(settings=one_epoch.model_copy(update={"size": 16}), name="small")
    for named, asked, why in (
        (small.id, {}, "prepared in another way"),
        (both.id, {}, f"the smaller size, {other.id}, or"),
        (other.id, {"mirror_average": True}, "one of them averages over mirror images"),
        ("other/gone", {}, "cannot answer together with other/gone"),
    ):
        end = jobs.execution(kind="export", model=one.id, ensemble_with=named, **asked)
        assert end.state == JobState.FAILED
        assert why in (end.message or "")


def test_class_weights_are_taken_out_of_the_answers_and_a_version_without_weights_is_exported_from_its_file(
    drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temperature, "FEWEST", 1)
    jobs = Jobs(settings_in(tmp_path, drawn_folder), drawn_folder.name)

    def added(card: Card, before: Card) -> Logits:
        """Return what the file adds to each answer (7,), which must be the same for all faces."""
        difference = jobs.answers(card) - jobs.answers(before)
        assert np.allclose(difference, difference[0], atol=1e-3)
        return difference[0] - difference[0].mean()

    weighed = quick_settings.model_copy(update={"epochs": 1, "class_weights": True})
    plain = jobs.made(settings=weighed)
    corrected = jobs.made(settings=weighed.model_copy(update={"prior_correction": True}), name="corrected")
    assert "class weights of the training are taken out of the answers" in corrected.metrics["protocol"]
    again = jobs.made(kind="export", model=corrected.id, name="again")
    back = jobs.made(kind="export", model=corrected.id, prior_correction=False, name="back")
    logs = log_weights(plain.data["counts"]["train"])
    by_weights = added(again, back)
    factor = float(np.abs(by_weights).max() / np.abs(logs - logs.mean()).max())
    assert np.allclose(by_weights, -factor * (logs - logs.mean()), atol=1e-3)
    assert factor > 0.01

    without_weights(model_path(jobs.settings.models_dir, plain.id))
    by_file = jobs.made(kind="export", model=plain.id, prior_correction=True, name="file")
    assert not by_file.has_weights
    assert np.allclose(added(by_file, plain), by_weights, atol=0.02)  # whose weights are those in half precision
    assert by_file.metrics["export"]["shipped"] == plain.metrics["export"]["shipped"]
    other = jobs.made(settings=weighed.model_copy(update={"seed": 1}), name="other")
    both = jobs.made(kind="export", model=by_file.id, ensemble_with=other.id, name="both")
    assert (both.training["ensemble_with"]["id"], both.training["prior_correction"]) == (other.id, True)
    apart = jobs.made(kind="export", model=plain.id, ensemble_with=other.id, name="apart")
    assert np.abs(added(both, apart)).max() > 0.01
    unweighed = jobs.made(settings=quick_settings.model_copy(update={"epochs": 1}), name="unweighed")
    for model, asked, why in (
        (plain.id, {}, "ships no weights: its file can answer together"),
        (plain.id, {"precision": "float32", "prior_correction": True}, "its arithmetic and its averages"),
        (plain.id, {"mirror_average": True, "prior_correction": True}, "its arithmetic and its averages"),
        (by_file.id, {"prior_correction": True}, "corrected once for class weights"),
        (unweighed.id, {"prior_correction": True}, "was trained without class weights"),
        (by_file.id, {"ensemble_with": unweighed.id}, f"since {unweighed.id} was trained without them"),
        ("other/gone", {}, "other/gone cannot be exported: "),
    ):
        end = jobs.execution(kind="export", model=model, **asked)
        assert end.state == JobState.FAILED
        assert why in (end.message or "")
    fewer = tmp_path / "fewer"
    shutil.copytree(drawn_folder, fewer)
    next(fewer.rglob("train/*/*.png")).unlink()
    settings = jobs.settings.model_copy(update={"data_dir": tmp_path})
    end = Jobs(settings, fewer.name).execution(kind="export", model=plain.id, prior_correction=True)
    assert end.state == JobState.FAILED
    assert "and so other class weights" in (end.message or "")


def test_two_versions_teach_a_third_and_what_they_answer_is_averaged(
    drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path, drawn_folder)
    averaged: list[list[Tensor]] = []

    class Watched(MeanOf):
        def forward(self, faces: Tensor) -> Tensor:
            together = super().forward(faces)
            averaged.append([together, *(network(faces) for network in self.networks)])
            return together

    monkeypatch.setattr(teaching, "MeanOf", Watched)

    def execution(**asked: Any) -> StateChange:
        request = {"dataset": drawn_folder.name, **asked}
        return execute(RunFolder.create(settings.runs_dir, JobRequest.model_validate(request)), settings)

    one_epoch = quick_settings.model_copy(update={"epochs": 1})
    for seed in (0, 1):
        assert execution(settings=one_epoch.model_copy(update={"seed": seed})).state == JobState.FINISHED
    taught = one_epoch.model_copy(update={"distill_weight": 0.5})
    first, second = (model for model, _ in list_models(settings.models_dir))
    end = execution(teacher=first, second_teacher=second, settings=taught)
    assert end.state == JobState.FINISHED, end.message
    for together, one, other in averaged:
        assert not torch.allclose(one, other)
        assert torch.allclose(together, (one + other) / 2, atol=1e-2)
    assert averaged
    missing = execution(teacher=first, second_teacher="full/gone", settings=taught)
    assert missing.state == JobState.FAILED
    assert (missing.message or "").startswith("Cannot start from full/gone: ")
    larger = execution(teacher=first, settings=taught.model_copy(update={"size": one_epoch.size + 8}))
    assert larger.state == JobState.FAILED
    assert f"{first} reads faces of {one_epoch.size} pixels" in (larger.message or "")


def test_a_version_gets_the_temperature_of_its_validation_images_unless_these_are_too_few(
    drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path, drawn_folder)

    def version() -> Card:
        asked = JobRequest(dataset=drawn_folder.name, settings=quick_settings.model_copy(update={"epochs": 1}))
        end = execute(RunFolder.create(settings.runs_dir, asked), settings)
        return read_card(model_path(settings.models_dir, end.model or ""))

    assert version().temperature == 1
    monkeypatch.setattr(temperature, "FEWEST", 1)
    card = version()
    part = load_dataset(drawn_folder, size=card.input.size, validation_share=quick_settings.validation_share).validation
    reader = open_reader(settings.models_dir, "full", card.id, 1)
    logits = logits_of(reader.forward, part.faces, frozenset(), card.input)
    assert card.temperature == pytest.approx(fit_temperature(logits, part.labels), rel=1e-3)
    assert card.temperature != 1


def test_a_teacher_that_is_asked_once_answers_by_the_file_that_ships_and_needs_no_weights(
    drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_in(tmp_path, drawn_folder)
    taught_by: list[Any] = []

    def watched(*arguments: Any) -> nn.Module:
        taught_by.append(arguments[6])
        return train(*arguments)

    monkeypatch.setattr(tasks, "train", watched)

    def execution(**asked: Any) -> tuple[RunFolder, StateChange]:
        request = {"dataset": drawn_folder.name, **asked}
        run = RunFolder.create(settings.runs_dir, JobRequest.model_validate(request))
        return run, execute(run, settings)

    one_epoch = quick_settings.model_copy(update={"epochs": 1})
    for seed in (0, 1):
        end = execution(settings=one_epoch.model_copy(update={"seed": seed, "mirror_average": True}))[1]
        assert end.state == JobState.FINISHED
    first, second = (model for model, _ in list_models(settings.models_dir))
    for model in (first, second):
        without_weights(model_path(settings.models_dir, model))
    taught = one_epoch.model_copy(update={"distill_weight": 0.5, "fixed_teacher": True})
    run, end = execution(teacher=first, second_teacher=second, settings=taught)
    assert end.state == JobState.FINISHED, end.message
    data = load_dataset(drawn_folder, size=one_epoch.size, validation_share=one_epoch.validation_share)
    readers = [open_reader(settings.models_dir, "full", model, 1) for model in (first, second)]
    one, other = (logits_of(reader.forward, data.train.faces, frozenset(), reader.card.input) for reader in readers)
    assert np.abs(one - other).max() > 0.1
    assert taught_by[:2] == [None, None]
    assert taught_by[2] == pytest.approx((one + other) / 2, abs=1e-4)
    assert len(list((run.path / "answers").glob("*.npy"))) == 2 + len(STUDY_VIEWS)  # the teachers, and its own test
    _, missing = execution(teacher=first, second_teacher="full/gone", settings=taught)
    assert missing.state == JobState.FAILED
    assert "full/gone" in (missing.message or "")


def test_a_fine_tuning_may_not_be_validated_on_what_its_start_has_learnt(
    drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path, drawn_folder)

    def end(**changed: Any) -> StateChange:
        asked = quick_settings.model_copy(update={"epochs": 1, "validation_share": 0.2, **changed})
        base = next((model for model, _ in list_models(settings.models_dir)), None)
        request = {"dataset": drawn_folder.name, "base_model": base, "settings": asked}
        return execute(RunFolder.create(settings.runs_dir, JobRequest.model_validate(request)), settings)

    assert end().state == JobState.FINISHED
    for changed, why in (
        ({"validation_share": 0.25}, "held out 0.2 of the training images and has learnt the others"),
        ({"duplicate_similarity": 0.9}, "with a duplicate_similarity of 0.96; choose that"),
    ):
        refused = end(**changed)
        assert refused.state == JobState.FAILED
        assert why in (refused.message or "")
    assert end(validation_share=0.1).state == JobState.FINISHED
    base, _ = next(iter(list_models(settings.models_dir)))
    asked = quick_settings.model_copy(update={"epochs": 1, "validation_share": 0.25})
    request = JobRequest(kind="fine-tune", dataset=drawn_folder.name, base_model=base, settings=asked)
    begun = RunFolder.create(settings.runs_dir, request)
    (begun.path / "checkpoints").mkdir()
    (begun.path / "checkpoints" / "step-000000001.safetensors").touch()  # by a version that did not ask
    assert "checkpoints can be read" in (execute(begun, settings).message or "")


def test_what_a_job_does_is_told_and_shown_in_each_phase(
    drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path, drawn_folder)

    def phases(asked: JobRequest) -> tuple[list[str], str | None]:
        run, shown = RunFolder.create(settings.runs_dir, asked), list[JobProgress]()
        end = execute(run, settings, show=shown.append)
        assert end.state == JobState.FINISHED, end.message
        assert run.progress().phase == "done"
        return [phase for phase, _ in groupby(shown, key=lambda progress: progress.phase)], end.model

    one_epoch = quick_settings.model_copy(update={"epochs": 1})
    told, model = phases(JobRequest(dataset=drawn_folder.name, settings=one_epoch))
    assert told == ["loading", "training", "exporting", "evaluating", "done"]
    told, _ = phases(JobRequest(kind="evaluate", dataset=drawn_folder.name, model=model, views=[View.DIAGONAL]))
    assert told == ["loading", "evaluating", "done"]


def test_an_evaluation_takes_over_what_a_version_answered_when_it_was_registered(
    drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path
) -> None:
    settings = settings_in(tmp_path, drawn_folder)
    asked = JobRequest(dataset=drawn_folder.name, settings=quick_settings.model_copy(update={"epochs": 1}))
    made = execute(RunFolder.create(settings.runs_dir, asked), settings)
    run = RunFolder.create(
        settings.runs_dir,
        JobRequest(kind="evaluate", dataset=drawn_folder.name, model=made.model, views=[View.FULL, View.DIAGONAL]),
    )
    end = execute(run, settings)
    assert end.state == JobState.FINISHED, end.message
    kept = list((run.path / "answers").glob("*.npy"))
    assert len(kept) == 1  # the diagonal, which registration does not ask
    cell = json.loads((run.path / "report" / "metrics.json").read_text())["cells"][0]
    card = read_card(model_path(settings.models_dir, made.model or ""))
    assert cell["metrics"]["accuracy"]["value"] == pytest.approx(card.metrics["test"]["full"]["accuracy"], abs=5e-5)


def test_an_evaluation_is_a_job_that_goes_on_after_a_stop_and_leaves_a_report(
    models_dir: Path, drawn_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "STOP_POLL_SECONDS", 0)
    settings = Settings(
        data_dir=drawn_dataset.parent, runs_dir=tmp_path, models_dir=models_dir, device="cpu", threads=1
    )
    version, _ = next(iter(list_models(models_dir)))
    run = RunFolder.create(tmp_path, JobRequest(kind="evaluate", dataset=drawn_dataset.name, model=version))
    answers = run.path / "answers"
    stopped = execute(run, settings, lambda: len(list(answers.glob("*.npy"))) == 2)
    assert stopped.state == JobState.INTERRUPTED
    kept = {file: file.stat().st_mtime_ns for file in answers.glob("*.npy")}
    assert len(kept) == 2

    end = execute(run, settings)

    assert (end.state, end.model) == (JobState.FINISHED, version)
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    report = run.path / "report"
    assert {file.name for file in report.iterdir()} == {
        "report.html",
        "metrics.json",
        "confusion.csv",
        "predictions.csv",
    }
    cells = json.loads((report / "metrics.json").read_text())["cells"]
    assert [cell["evaluated_on"] for cell in cells] == ["full", "upper", "lower", "left", "right"]
    assert len((report / "predictions.csv").read_text().splitlines()) == 1 + 5 * 21
    assert run.job().has_report


def test_a_measurement_tells_its_speed_and_the_time_left_without_counting_what_was_kept() -> None:
    now = [0.0]
    pace = Pace(10 * BATCH_SIZE, lambda: now[0])
    pace.begin(4 * BATCH_SIZE)
    pace.begin(BATCH_SIZE)
    told = pace.progress()
    assert (told.step, told.steps, told.images_per_s, told.eta_s) == (4 * BATCH_SIZE, 10 * BATCH_SIZE, None, None)
    now[0] = 2.0
    pace.begin(BATCH_SIZE)
    told = pace.progress()
    assert (told.phase, told.step) == ("evaluating", 5 * BATCH_SIZE)
    assert (told.images_per_s, told.eta_s) == (BATCH_SIZE / 2, 10.0)


def test_a_measurement_of_more_than_was_foreseen_ends_at_what_was() -> None:
    pace = Pace(100, lambda: 0.0)
    for _ in range(3):
        pace.begin(BATCH_SIZE)
    assert pace.progress().step == 100
