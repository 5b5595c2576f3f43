"""The training loop learns, stops when asked, and goes on exactly where it stopped."""

import errno
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from shared.masking import QUADRANTS, View
from shared.preprocessing import InputSpec
from shared.run_folder import RunFolder
from shared.schemas.jobs import JobProgress
from shared.schemas.training import TrainSettings
from tests.unit.trainer.dataset_files import pictures, write_zip
from tests.unit.trainer.full_disk import no_file_larger_than
from trainer import training
from trainer.augmentation import step_rng
from trainer.checkpoints import Position
from trainer.data import Dataset, load_dataset
from trainer.distributed import Group
from trainer.errors import CheckpointError, DivergedError, Stopped
from trainer.evaluation import logits_of, torch_forward
from trainer.network import build_network
from trainer.optimisation import distillation
from trainer.training import Hooks, Plan, Run, train

CPU = torch.device("cpu")
EPOCHS, STEPS_AN_EPOCH = 3, 4


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return 56 training faces of random pixels, where only how the loop runs counts."""
    path = tmp_path_factory.mktemp("noise") / "noise.zip"
    return load_dataset(write_zip(path, pictures(per_class=10, tests_per_class=1)), size=16, validation_share=0.2)


@pytest.fixture(scope="module")
def settings() -> TrainSettings:
    """Return settings of 3 epochs of 4 steps, with all that is random."""
    return TrainSettings(
        epochs=EPOCHS, batch_size=14, size=16, warmup_steps=2, ema_decay=0.5, validation_share=0.2, precision="fp32"
    )


@pytest.fixture(scope="module")
def reference(
    noise: Dataset, settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, nn.Module]:
    """Return folder and network of a run that nobody stopped."""
    folder = tmp_path_factory.mktemp("reference")
    return folder, run_once(noise, settings, folder)


def small_network(seed: int = 0) -> nn.Sequential:
    """Return a network that is quick to train: convolution, normalisation, linear layer."""
    torch.manual_seed(seed)
    block = (nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(*block, nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8 * 25, 7))


def run_once(
    data: Dataset,
    settings: TrainSettings,
    folder: Path,
    hooks: Hooks | None = None,
    network: nn.Module | None = None,
    train_on: str = "any",
) -> nn.Module:
    """Begin the run in `folder` or go on with it."""
    plan = Plan(settings, train_on, len(data.train))
    return train(plan, data, network or small_network(), CPU, folder, hooks)


def stop_after(steps: int) -> Callable[[], bool]:
    """Return a wish to stop that comes after so many steps."""
    counter = itertools.count(1)

    def asked() -> bool:
        is_step = threading.current_thread() is threading.main_thread()  # else it is asked within a validation
        return is_step and next(counter) >= steps

    return asked


def assert_same_weights(first: nn.Module, second: nn.Module) -> None:
    """Compare bit for bit."""
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


def rows_without_time(folder: Path) -> list[dict[str, object]]:
    """Return what is written of each epoch, but the time it took."""
    return [row.model_dump(exclude={"seconds", "validation_seconds"}) for row in RunFolder(folder).metrics()]


# --- learning --------------------------------------------------------------------------------------------------------


def test_a_resnet18_learns_the_drawn_faces_far_above_chance(learnt: tuple[Path, nn.Module]) -> None:
    rows = RunFolder(learnt[0]).metrics()
    assert max(row.validation_accuracy for row in rows) > 0.5
    assert rows[-1].train_loss < rows[0].train_loss
    assert not learnt[1].training


def test_the_same_seed_gives_the_same_weights_bit_for_bit(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    assert_same_weights(run_once(noise, settings, tmp_path), reference[1])
    assert rows_without_time(tmp_path) == rows_without_time(reference[0])


def test_another_seed_gives_other_weights(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    other = run_once(noise, settings.model_copy(update={"seed": 1}), tmp_path)
    assert not torch.equal(other.state_dict()["0.weight"], reference[1].state_dict()["0.weight"])


def test_the_weights_of_the_epoch_that_validated_best_are_returned(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    network = small_network()

    def note(progress: JobProgress) -> None:
        if progress.step % STEPS_AN_EPOCH == 0:
            seen.append({key: value.clone() for key, value in network.state_dict().items()})

    best = run_once(noise, settings.model_copy(update={"ema_decay": 0.0}), tmp_path, Hooks(progress=note), network)
    accuracies = [row.validation_accuracy for row in RunFolder(tmp_path).metrics()]
    expected = seen[accuracies.index(max(accuracies))]
    assert all(torch.equal(value, expected[key]) for key, value in best.state_dict().items())


@pytest.mark.parametrize(("select", "figure"), [("accuracy", "validation_accuracy"), ("loss", "validation_loss")])
def test_the_epoch_is_kept_that_validates_best_by_what_is_selected_also_after_a_stop(
    select: str, figure: str, noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"select": select, "ema_decay": 0.0, "epochs": 6, "learning_rate": 0.05})
    ends: list[dict[str, torch.Tensor]] = []

    def note(network: nn.Module) -> Hooks:
        def progress(progress: JobProgress) -> None:
            if progress.step % STEPS_AN_EPOCH == 0:
                ends.append({key: value.clone() for key, value in network.state_dict().items()})

        stop = stop_after(4 * STEPS_AN_EPOCH + 1) if not ends else (lambda: False)
        return Hooks(progress, stop)

    first, second = small_network(), small_network(seed=99)
    with pytest.raises(Stopped):
        run_once(noise, settings, tmp_path, note(first), first)
    best = run_once(noise, settings, tmp_path, note(second), second)
    figures = [getattr(row, figure) for row in RunFolder(tmp_path).metrics()]
    assert len(ends) == len(figures) == 6
    wanted = ends[figures.index(max(figures) if select == "accuracy" else min(figures))]
    assert all(torch.equal(value, wanted[key]) for key, value in best.state_dict().items())


def test_every_step_and_epoch_is_taken_and_written_once(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module]
) -> None:
    rows = RunFolder(reference[0]).metrics()
    assert [row.epoch for row in rows] == [1, 2, 3]
    assert [row.step for row in rows] == [4, 8, 12]
    assert {row.size for row in rows} == {16}
    assert rows[-1].learning_rate == pytest.approx(0, abs=1e-12)
    assert len(noise.train) == STEPS_AN_EPOCH * settings.batch_size


# --- stopping and going on -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("steps", [1, 6, 8, 12])
def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(
    steps: int, optimizer: str, noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"optimizer": optimizer})
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    whole = run_once(noise, settings, tmp_path / "whole")
    with pytest.raises(Stopped, match=f"step {steps}; a checkpoint is written"):
        run_once(noise, settings, tmp_path / "stopped", Hooks(stop_asked=stop_after(steps)))
    resumed = run_once(noise, settings, tmp_path / "stopped", network=small_network(seed=99))
    assert_same_weights(resumed, whole)
    assert rows_without_time(tmp_path / "stopped") == rows_without_time(tmp_path / "whole")


class Waits(nn.Module):
    """Passes on what it is given, but waits for ever in a validation while it is told to."""

    told = False

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        while self.told and not self.training:
            time.sleep(0.01)
        return given


def test_a_run_stopped_within_a_validation_validates_again_and_ends_with_the_same_weights(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    Waits.told = True
    hooks = Hooks(stop_asked=lambda: threading.current_thread() is not threading.main_thread())
    with pytest.raises(Stopped, match="Stopped while validating"):
        run_once(noise, settings, tmp_path, hooks, nn.Sequential(*small_network(), Waits()))
    assert RunFolder(tmp_path).metrics() == []
    Waits.told = False
    resumed = run_once(noise, settings, tmp_path, network=nn.Sequential(*small_network(seed=99), Waits()))
    assert_same_weights(resumed, reference[1])
    assert rows_without_time(tmp_path) == rows_without_time(reference[0])


class Dies(nn.Module):
    """Passes on what it is given, but ends the process, as it were, in a validation while it is told to."""

    told = False

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        if self.told and not self.training:
            raise KeyboardInterrupt
        return given


@pytest.mark.parametrize(("checkpoint_seconds", "steps_again"), [(10.0, 0), (300.0, STEPS_AN_EPOCH)])
def test_a_run_killed_within_a_validation_takes_no_step_again_if_they_took_long(
    checkpoint_seconds: float,
    steps_again: int,
    noise: Dataset,
    settings: TrainSettings,
    reference: tuple[Path, nn.Module],
    tmp_path: Path,
) -> None:
    settings = settings.model_copy(update={"checkpoint_seconds": checkpoint_seconds})
    now = itertools.count()
    Dies.told = True
    with pytest.raises(KeyboardInterrupt):
        run_once(noise, settings, tmp_path, Hooks(clock=lambda: next(now) / 4), nn.Sequential(*small_network(), Dies()))
    Dies.told = False
    told: list[JobProgress] = []
    network = nn.Sequential(*small_network(seed=0 if steps_again else 99), Dies())
    resumed = run_once(noise, settings, tmp_path, Hooks(progress=told.append), network)
    assert sum(progress.step <= STEPS_AN_EPOCH for progress in told) == steps_again
    assert_same_weights(resumed, reference[1])
    assert rows_without_time(tmp_path) == rows_without_time(reference[0])


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No checkpoint can be written."""

    def refuse(*parts: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training, "save_checkpoint", refuse)


@pytest.mark.usefixtures("full_disk")
def test_a_run_that_cannot_save_says_so_while_it_goes_on_and_when_it_is_stopped(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    saved: list[bool] = []
    hooks = Hooks(stop_asked=stop_after(6), saved=saved.append)
    with pytest.raises(Stopped, match="Stopped at epoch 2, step 6; no checkpoint could be written"):
        run_once(noise, settings, tmp_path, hooks)
    assert saved == [False, False]


@pytest.mark.usefixtures("full_disk")
def test_a_run_stopped_within_a_validation_that_cannot_save_does_not_say_that_all_is_kept(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    Waits.told = True
    hooks = Hooks(stop_asked=lambda: threading.current_thread() is not threading.main_thread())
    with pytest.raises(Stopped, match="Stopped while validating; no checkpoint could be written"):
        run_once(noise, settings, tmp_path, hooks, nn.Sequential(*small_network(), Waits()))


def test_a_disk_that_is_full_for_a_while_costs_a_run_nothing(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    saved: list[bool] = []
    with ExitStack() as full:

        def progress(progress: JobProgress) -> None:
            if progress.step == 1:
                full.enter_context(no_file_larger_than(100))  # less than the row of an epoch
            elif progress.step == 2 * STEPS_AN_EPOCH + 1:
                full.close()

        made = run_once(noise, settings, tmp_path, Hooks(progress, saved=saved.append))
    assert saved == [False, False, True]
    assert_same_weights(made, reference[1])
    assert rows_without_time(tmp_path) == rows_without_time(reference[0])


def test_a_run_that_cannot_write_its_best_weights_to_the_end_fails_and_goes_on_once_there_is_room(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    with ExitStack() as full:

        def progress(progress: JobProgress) -> None:
            if progress.step == STEPS_AN_EPOCH + 1:
                full.enter_context(no_file_larger_than(100))

        with pytest.raises(OSError, match="File too large"):
            run_once(noise, settings, tmp_path, Hooks(progress))
    resumed = run_once(noise, settings, tmp_path, network=small_network(seed=99))
    assert_same_weights(resumed, reference[1])
    assert rows_without_time(tmp_path) == rows_without_time(reference[0])


def test_a_resnet18_stopped_within_an_epoch_ends_with_the_same_weights_too(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"epochs": 1})

    def network(seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return build_network("resnet18")

    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    whole = run_once(noise, settings, tmp_path / "whole", network=network())
    with pytest.raises(Stopped):
        run_once(noise, settings, tmp_path / "stopped", Hooks(stop_asked=stop_after(2)), network())
    assert_same_weights(run_once(noise, settings, tmp_path / "stopped", network=network(seed=99)), whole)


def test_a_run_may_be_stopped_again_and_again(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    for _ in range(EPOCHS * STEPS_AN_EPOCH // 3):
        with pytest.raises(Stopped):
            run_once(noise, settings, tmp_path, Hooks(stop_asked=stop_after(3)))
    assert_same_weights(run_once(noise, settings, tmp_path), reference[1])
    assert rows_without_time(tmp_path) == rows_without_time(reference[0])


def test_epochs_that_are_done_again_after_a_power_cut_are_written_once(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        run_once(noise, settings, tmp_path, Hooks(stop_asked=stop_after(10)))
    newest = max((tmp_path / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-9])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        row = RunFolder(reference[0]).metrics()[-1]
        file.write(row.model_dump_json() + '\n{"epoch": tw}\n[3]\n{"no": "epoch"}\n{"epoch": 3, "st')
    assert_same_weights(run_once(noise, settings, tmp_path), reference[1])
    assert rows_without_time(tmp_path) == rows_without_time(reference[0])


def test_a_run_without_a_checkpoint_yet_forgets_what_it_wrote(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    (tmp_path / "metrics.jsonl").write_bytes((reference[0] / "metrics.jsonl").read_bytes())
    run_once(noise, settings, tmp_path)
    assert rows_without_time(tmp_path) == rows_without_time(reference[0])


def test_a_finished_run_is_not_trained_again(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module]
) -> None:
    told: list[JobProgress] = []
    again = run_once(noise, settings, reference[0], Hooks(progress=told.append), small_network(seed=5))
    assert not told
    assert_same_weights(again, reference[1])


@pytest.mark.parametrize("change", [{"learning_rate": 0.1}, {"optimizer": "sgd"}, {"seed": 3}, {"epochs": 9}])
def test_changed_settings_do_not_go_on_with_an_old_checkpoint(
    change: dict[str, object], noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module]
) -> None:
    with pytest.raises(CheckpointError, match=r"settings or the data are not those .* start a new run"):
        run_once(noise, settings.model_copy(update=change), reference[0])


def test_a_checkpoint_from_before_a_setting_was_invented_goes_on(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        run_once(noise, settings, tmp_path, Hooks(stop_asked=stop_after(5)))
    (path,) = (path for path in (tmp_path / "checkpoints").iterdir() if path.stem.endswith("5"))
    tensors = load_file(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    position = json.loads(metadata["position"])
    train_on, known, fingerprint = json.loads(position["config"])
    position["config"] = json.dumps([train_on, {key: known[key] for key in known if key != "select"}, fingerprint])
    del position["best_loss"], position["scaler"]
    save_file(tensors, path, {**metadata, "position": json.dumps(position)})
    assert_same_weights(run_once(noise, settings, tmp_path), reference[1])


def test_the_same_images_in_another_order_do_not_go_on_with_an_old_checkpoint(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        run_once(noise, settings, tmp_path, Hooks(stop_asked=stop_after(5)))
    images = pictures(per_class=10, tests_per_class=1)
    renamed = [image._replace(name=f"{len(images) - number:03d}") for number, image in enumerate(images)]
    other = load_dataset(write_zip(tmp_path / "noise.zip", renamed), size=16, validation_share=0.2)
    assert other.fingerprint == noise.fingerprint
    with pytest.raises(CheckpointError, match="ordered, in another way"):
        run_once(other, settings, tmp_path)
    changed_position(tmp_path, division=None)  # as before it was kept
    assert_same_weights(run_once(noise, settings, tmp_path), reference[1])


def changed_position(folder: Path, **changes: object) -> None:
    """Change the position in a run's checkpoints."""
    for path in (folder / "checkpoints").iterdir():
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        position = json.loads(metadata["position"]) | changes
        kept = {key: value for key, value in position.items() if value is not None}
        save_file(load_file(path), path, {**metadata, "position": json.dumps(kept)})


def test_a_run_goes_on_with_as_many_processes_as_it_began_with_and_says_how(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        run_once(noise, settings, tmp_path, Hooks(stop_asked=stop_after(5)))
    plan = Plan(settings, "any", len(noise.train))
    with pytest.raises(CheckpointError, match=f"resume it with as many: python -m trainer resume {tmp_path.name}"):
        Run(plan, noise, small_network(), CPU, tmp_path, group=Group(0, 2))
    changed_position(tmp_path, processes=2)
    with pytest.raises(CheckpointError, match=r"is 2 for this run; .* torchrun --nproc-per-node 2 -m trainer resume"):
        run_once(noise, settings, tmp_path)
    changed_position(tmp_path, processes=None)  # as before it was kept
    assert_same_weights(run_once(noise, settings, tmp_path), reference[1])


def test_another_view_or_other_data_do_not_go_on_with_an_old_checkpoint(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="start a new run"):
        run_once(noise, settings, reference[0], train_on="five")
    zipped = write_zip(tmp_path / "noise.zip", pictures(per_class=10, tests_per_class=1, seed=5))
    with pytest.raises(CheckpointError, match="start a new run"):
        run_once(load_dataset(zipped, size=16, validation_share=0.2), settings, reference[0])


def test_another_architecture_does_not_go_on_with_an_old_checkpoint(
    noise: Dataset, settings: TrainSettings, reference: tuple[Path, nn.Module]
) -> None:
    with pytest.raises(CheckpointError, match="start a new run"):
        run_once(noise, settings, reference[0], network=build_network("resnet18"))


# --- progress, plan, precision ---------------------------------------------------------------------------------------


def test_progress_tells_phase_epoch_steps_and_time_left(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    told: list[JobProgress] = []
    run_once(noise, settings, tmp_path, Hooks(progress=told.append))
    assert [progress.step for progress in told] == list(range(1, 13))
    assert [progress.epoch for progress in told] == [1] * 4 + [2] * 4 + [3] * 4
    assert {(progress.phase, progress.epochs, progress.steps) for progress in told} == {("training", 3, 12)}
    assert told[0].accuracy is None
    assert told[-1].accuracy == pytest.approx(
        max(row.validation_accuracy for row in RunFolder(tmp_path).metrics()[:2]), abs=1e-4
    )
    for progress in told:
        assert progress.loss is not None
        assert progress.images_per_s is not None
        assert progress.images_per_s > 0
        assert progress.eta_s == pytest.approx((12 - progress.step) * 14 / progress.images_per_s, rel=0.01, abs=0.2)
    assert told[-1].eta_s == 0


def test_checkpoints_come_at_the_interval_of_the_clock_that_was_given(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    steps: list[list[int]] = []
    now = itertools.count()

    def progress(progress: JobProgress) -> None:
        steps.append(sorted(int(path.stem.split("-")[1]) for path in (tmp_path / "checkpoints").iterdir()))

    hooks = Hooks(progress, clock=lambda: next(now) / 4)
    run_once(noise, settings.model_copy(update={"epochs": 1, "checkpoint_seconds": 1.4}), tmp_path, hooks)
    assert steps == [[], [], [2], [2]]


def test_more_faces_asked_for_than_there_are_make_one_step_an_epoch(settings: TrainSettings) -> None:
    plan = Plan(settings.model_copy(update={"batch_size": 512}), "full", 56)
    assert (plan.steps_per_epoch, plan.steps) == (1, EPOCHS)


def test_a_short_epoch_takes_as_many_faces_as_asked_for_and_others_the_next_time(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    short = settings.model_copy(update={"epoch_faces": 2 * settings.batch_size, "epochs": 3})
    plan = Plan(short, "full", len(noise.train))
    assert (plan.steps_per_epoch, plan.steps) == (2, 6)
    run = Run(plan, noise, small_network(), CPU, tmp_path)
    first, second = (set(run.order(epoch)[: short.epoch_faces].tolist()) for epoch in (0, 1))
    assert first != second


def test_a_growing_run_begins_small_and_ends_at_its_size(settings: TrainSettings) -> None:
    plan = Plan(settings.model_copy(update={"epochs": 9, "grow_from": 32, "size": 48}), "full", 56)
    assert [plan.size_at(epoch) for epoch in range(9)] == [32] * 3 + [40] * 3 + [48] * 3


@pytest.mark.parametrize(("epochs", "sizes"), [(1, [48]), (2, [32, 48]), (3, [32, 40, 48])])
def test_a_short_growing_run_ends_at_its_size_too(settings: TrainSettings, epochs: int, sizes: list[int]) -> None:
    plan = Plan(settings.model_copy(update={"epochs": epochs, "grow_from": 32, "size": 48}), "full", 56)
    assert [plan.size_at(epoch) for epoch in range(epochs)] == sizes


def test_mixed_sizes_show_half_of_the_batches_smaller_once_the_run_is_at_its_size(settings: TrainSettings) -> None:
    grown = settings.model_copy(update={"epochs": 3, "grow_from": 32, "size": 48, "mixed_sizes": True})
    plan = Plan(grown, "full", 56)
    sizes = [[plan.size_of_step(epoch, step_rng(0, step)) for step in range(400)] for epoch in range(3)]
    assert (set(sizes[0]), set(sizes[1])) == ({32}, {40})
    assert 150 < sizes[2].count(40) < 250
    assert sizes[2].count(40) + sizes[2].count(48) == 400


class Watched(nn.Module):
    """Answers 0 to all, and remembers the sizes of what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(7))
        self.shown: list[int] = []

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        self.shown.append(faces.shape[-1])
        return faces.mean(dim=(1, 2, 3))[:, None] * self.weight


def test_a_teacher_sees_the_full_size_while_the_network_is_shown_it_smaller(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    grown = settings.model_copy(update={"epochs": 1, "grow_from": 16, "size": 32, "mixed_sizes": True})
    plan, network, teacher = Plan(grown, "any", len(noise.train)), Watched(), Watched()
    run = Run(plan, noise, network, CPU, tmp_path, teacher)
    for _ in range(8):
        run.step(torch.arange(14))
        run.position.step += 1
    assert set(network.shown) == {27, 32}
    assert teacher.shown == [32] * 8


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_answers_that_a_teacher_has_given_count_as_those_of_a_teacher_that_gives_them_now(
    noise: Dataset, settings: TrainSettings, tmp_path: Path, mixup: float
) -> None:
    """One face looks like another here, so that blending them changes neither what is asked nor what is answered."""
    alike = replace(noise, train=replace(noise.train, faces=np.full_like(noise.train.faces, 128)))
    taught = settings.model_copy(update={"distill_weight": 1.0, "mixup": mixup, "contrast": 0.0, "erase": 0.0})
    teacher = small_network(seed=1).eval()
    plan = Plan(taught, "full", len(alike.train))
    answers = logits_of(torch_forward(teacher, CPU), alike.train.faces, frozenset(), InputSpec(size=16))
    losses = [
        Run(plan, alike, small_network(), CPU, tmp_path / name, who).step(torch.arange(14))
        for name, who in (("live", teacher), ("fixed", answers), ("other", answers + np.arange(7, dtype=np.float32)))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=0.1)


def test_an_answer_belongs_to_its_face_and_is_blended_with_it(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    """The network that learns answers 0 to all, so the loss tells what was to be answered."""
    taught = settings.model_copy(update={"distill_weight": 1.0, "distill_temperature": 1.0, "mixup": 0.4})
    answers = np.zeros((len(noise.train), 7), np.float32)
    answers[30:] = [9, 0, 0, 0, 0, 0, 0]
    run = Run(Plan(taught, "full", len(noise.train)), noise, Watched(), CPU, tmp_path, answers)
    assert run.step(torch.arange(14)) == pytest.approx(0, abs=1e-6)
    sure = distillation(torch.zeros(1, 7), torch.tensor([[9.0, 0, 0, 0, 0, 0, 0]]), 1.0)
    assert Run(Plan(taught, "full", len(noise.train)), noise, Watched(), CPU, tmp_path / "sure", answers).step(
        torch.arange(30, 44)
    ) == pytest.approx(float(sure), rel=1e-5)
    half = Run(Plan(taught, "full", len(noise.train)), noise, Watched(), CPU, tmp_path / "half", answers)
    assert half.step(torch.tensor([0, 30])) == pytest.approx(float(sure) / 2, rel=1e-5)


def test_without_mixed_sizes_a_step_draws_what_it_always_drew(settings: TrainSettings) -> None:
    rng = step_rng(0, 7)
    assert Plan(settings, "full", 56).size_of_step(0, rng) == settings.size
    assert rng.random() == step_rng(0, 7).random()


def test_a_loss_that_is_no_number_ends_the_run_with_a_sentence(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    network = small_network()
    next(network.parameters()).data.fill_(float("nan"))
    with pytest.raises(DivergedError, match="lower learning rate"):
        run_once(noise, settings, tmp_path, network=network)


class Spoilt(nn.Module):
    """Passes on what it is given, but in a validation nothing that is a number."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return given if self.training else given * float("nan")


def test_a_validation_loss_that_is_no_number_ends_the_run_with_a_sentence(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    with pytest.raises(DivergedError, match="validation loss is no finite number in epoch 1; choose a lower learning"):
        run_once(noise, settings, tmp_path, network=nn.Sequential(*small_network(), Spoilt()))
    assert not (tmp_path / "best.safetensors").exists()


def test_nothing_is_hidden_before_its_time(settings: TrainSettings) -> None:
    plan = Plan(settings.model_copy(update={"hide_after": 0.5}), "five", 56)
    whole = Plan(settings, "full", 56).mix_at(0)
    assert [plan.mix_at(step) == whole for step in range(plan.steps)] == [True] * 6 + [False] * 6


def test_a_network_that_answers_to_mirror_images_too_learns_from_mirrored_halves(settings: TrainSettings) -> None:
    plan = Plan(settings.model_copy(update={"mirror_average": True}), "left", 56)
    drawn = Counter(plan.mix_at(0).draw(1000, step_rng(0, 0)))
    assert set(drawn) == {QUADRANTS[View.LEFT], QUADRANTS[View.RIGHT]}
    assert 400 < drawn[QUADRANTS[View.LEFT]] < 600


def test_statistics_that_are_frozen_stay_as_they_were_while_weights_learn(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    before = {key: value.clone() for key, value in small_network().state_dict().items()}
    frozen = settings.model_copy(update={"freeze_statistics": True, "epochs": 1})
    after = run_once(noise, frozen, tmp_path).state_dict()
    statistics = {key for key in before if "running" in key}
    assert statistics
    assert all(torch.equal(before[key], after[key]) for key in statistics)
    assert any(not torch.equal(before[key], after[key]) for key in before.keys() - statistics)


def test_a_share_of_the_weights_at_the_start_is_kept_and_measured(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    start = {key: value.clone() for key, value in small_network().state_dict().items()}
    one_epoch = settings.model_copy(update={"epochs": 1})
    for name in ("moved", "shared"):
        (tmp_path / name).mkdir()
    moved = run_once(noise, one_epoch, tmp_path / "moved").state_dict()
    shared = run_once(noise, one_epoch.model_copy(update={"start_share": 0.25}), tmp_path / "shared").state_dict()
    floats = [key for key, value in start.items() if value.is_floating_point()]
    assert any(not torch.equal(moved[key], start[key]) for key in floats)
    assert all(torch.allclose(shared[key], 0.75 * moved[key] + 0.25 * start[key], atol=1e-5) for key in floats)
    losses = [RunFolder(tmp_path / name).metrics()[0].validation_loss for name in ("moved", "shared")]
    assert losses[0] != losses[1]


def test_a_stopped_run_keeps_its_share_of_the_weights_at_the_start_when_it_goes_on(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    shared = settings.model_copy(update={"start_share": 0.25})
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole = run_once(noise, shared, tmp_path / "whole").state_dict()
    with pytest.raises(Stopped):
        run_once(noise, shared, tmp_path / "stopped", Hooks(stop_asked=stop_after(6)))
    gone_on = run_once(noise, shared, tmp_path / "stopped").state_dict()
    assert all(torch.equal(value, gone_on[key]) for key, value in whole.items())


def test_a_run_in_bfloat16_keeps_float32_weights(noise: Dataset, settings: TrainSettings, tmp_path: Path) -> None:
    network = run_once(noise, settings.model_copy(update={"precision": "bf16", "epochs": 1}), tmp_path)
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert all(torch.isfinite(value).all() for value in network.parameters())


def test_a_run_in_float16_scales_its_loss_and_goes_on_exactly_from_a_checkpoint(
    noise: Dataset, settings: TrainSettings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"precision": "fp16"})
    (tmp_path / "whole").mkdir()
    (tmp_path / "stopped").mkdir()
    whole = run_once(noise, settings, tmp_path / "whole")
    with pytest.raises(Stopped):
        run_once(noise, settings, tmp_path / "stopped", Hooks(stop_asked=stop_after(6)))
    with safe_open(max((tmp_path / "stopped" / "checkpoints").iterdir()), framework="pt") as file:
        position = Position.model_validate_json(file.metadata()["position"])
    assert position.scaler["scale"] >= 1
    assert position.scaler["_growth_tracker"] > 0
    assert_same_weights(run_once(noise, settings, tmp_path / "stopped", network=small_network(seed=99)), whole)
    assert {value.dtype for value in whole.parameters()} == {torch.float32}
