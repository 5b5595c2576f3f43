"""What a job that ends early says, and what it says while it goes on; a function stands in for what it does."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from shared.errors import DatasetError, RunFolderError
from shared.run_folder import RunFolder, RunState
from shared.schemas.jobs import JobKind, JobProgress, JobRequest, JobState
from tests.unit.trainer.full_disk import no_file_larger_than
from trainer.errors import Stopped
from trainer.lost_runs import note_death
from trainer.runs import NOT_SAVED, UNEXPECTED, execute
from trainer.settings import Settings
from trainer.tasks import TASKS
from trainer.work import Work

Do = Callable[[Work], str]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, runs_dir=tmp_path / "runs", models_dir=tmp_path / "models", device="cpu")


@pytest.fixture
def work(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunFolder]:
    """Return what makes a run, of a kind, that does as it is told."""

    def make(do: Do, kind: JobKind = "train") -> RunFolder:
        monkeypatch.setitem(TASKS, kind, do)
        model = "full/1" if kind in ("evaluate", "export") else None
        return RunFolder.create(settings.runs_dir, JobRequest(kind=kind, dataset="drawn", model=model))

    return make


def raises(error: Exception) -> Do:
    def do(work: Work) -> str:
        raise error

    return do


WANT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 400000000000000 bytes. Error code 12 (Cannot allocate memory)"
    ),
]


@pytest.mark.parametrize("error", WANT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_a_job_without_memory_says_so_on_any_device(
    error: Exception, work: Callable[..., RunFolder], settings: Settings
) -> None:
    end = execute(work(raises(error)), settings)
    assert (end.state, end.message) == (
        JobState.FAILED,
        "The device ran out of memory; choose a smaller batch size.",
    )


def test_torch_says_itself_that_the_cpu_has_no_memory(work: Callable[..., RunFolder], settings: Settings) -> None:
    def ask_for_all_there_is(work: Work) -> str:
        return str(torch.empty(1 << 56, dtype=torch.uint8).sum())

    assert "ran out of memory" in (execute(work(ask_for_all_there_is), settings).message or "")


def test_a_measurement_without_memory_is_not_told_of_a_batch_size(
    work: Callable[..., RunFolder], settings: Settings
) -> None:
    end = execute(work(raises(MemoryError()), "evaluate"), settings)
    assert end.message == "The device ran out of memory; free some, then resume it."


def test_a_job_that_has_no_room_to_begin_says_so_and_stays_as_it_was(
    work: Callable[..., RunFolder], settings: Settings
) -> None:
    run = work(lambda work: "full/1")
    (run.path / "reserve").symlink_to("/dev/full")
    with pytest.raises(RunFolderError, match=r"could not begin: its folder .* \(No space left on device\)\. Make room"):
        execute(run, settings)
    assert [change.state for change in run.history()] == [JobState.QUEUED]
    assert execute(run, settings).state == JobState.FINISHED


def test_a_training_without_memory_while_it_is_exported_is_not_told_of_a_batch_size(
    work: Callable[..., RunFolder], settings: Settings
) -> None:
    def export(work: Work) -> str:
        work.hooks.progress(JobProgress(phase="exporting"))
        raise MemoryError

    assert execute(work(export), settings).message == "The device ran out of memory; free some, then resume it."


@pytest.mark.parametrize("ends_well", [True, False])
def test_weights_are_kept_for_a_run_that_may_go_on_and_for_no_other(
    work: Callable[..., RunFolder], settings: Settings, ends_well: bool
) -> None:
    weights = ("best.safetensors", "start.safetensors")

    def train(work: Work) -> str:
        for name in ("checkpoints/step-1.safetensors", "export/model.onnx", *weights, "metrics.jsonl"):
            (work.run.path / name).parent.mkdir(exist_ok=True)
            (work.run.path / name).touch()
        if not ends_well:
            raise Stopped("Stopped.")
        return "full/1"

    run = work(train)
    execute(run, settings)
    of_it = {"checkpoints", "export", *weights, "metrics.jsonl"}
    left = {path.name for path in run.path.iterdir()} & of_it
    assert left == ({"metrics.jsonl"} if ends_well else of_it)


@pytest.mark.parametrize("looked_after", [execute, lambda run, settings: note_death(run)], ids=["again", "dead"])
def test_weights_that_a_finished_job_was_killed_before_it_removed_go_later(
    looked_after: Callable[[RunFolder, Settings], object], work: Callable[..., RunFolder], settings: Settings
) -> None:
    run = work(raises(AssertionError("it is done")))
    run.set_state(RunState(state=JobState.FINISHED, model="full/1"))
    before = {path.name for path in run.path.iterdir()}
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "step-1.safetensors").touch()
    (run.path / "best.safetensors").touch()
    looked_after(run, settings)
    assert run.state().state == JobState.FINISHED
    assert {path.name for path in run.path.iterdir()} - {"lock"} == before


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), OSError(errno.EIO, "Input/output error")])
def test_an_error_that_nobody_foresaw_is_left_to_the_log(
    error: Exception, work: Callable[..., RunFolder], settings: Settings
) -> None:
    assert execute(work(raises(error)), settings).message == UNEXPECTED


def test_a_job_that_fails_at_a_file_whose_name_is_no_utf_8_says_so(
    work: Callable[..., RunFolder], settings: Settings
) -> None:
    name = os.fsdecode(b"\xff.png")
    run = work(raises(DatasetError(f"drawn has 1 images that cannot be read: {name}.")))
    end = execute(run, settings)
    assert (end.state, end.message) == (JobState.FAILED, r"drawn has 1 images that cannot be read: \udcff.png.")
    assert run.history()[-1].message == end.message


def test_a_job_that_is_resumed_forgets_the_speed_and_the_time_left_of_the_last_attempt(
    work: Callable[..., RunFolder], settings: Settings
) -> None:
    told: list[JobProgress] = []

    def look(work: Work) -> str:
        told.append(work.run.progress())
        return "full/1"

    run = work(look)
    run.set_progress(JobProgress(phase="training", step=7, steps=9, loss=0.5, images_per_s=80.0, eta_s=60.0))
    execute(run, settings)
    assert told == [JobProgress(phase="loading", step=7, steps=9, loss=0.5)]


def test_a_job_goes_on_whose_progress_cannot_be_written(work: Callable[..., RunFolder], settings: Settings) -> None:
    shown: list[JobProgress] = []

    def train(work: Work) -> str:
        with no_file_larger_than(10):
            work.hooks.progress(JobProgress(phase="training"))
        work.hooks.progress(JobProgress(phase="exporting"))
        return "full/1"

    run = work(train)
    assert execute(run, settings, show=shown.append).state == JobState.FINISHED
    assert [progress.phase for progress in shown] == ["loading", "training", "exporting"]
    assert run.progress().phase == "exporting"


def test_a_job_tells_that_no_checkpoint_can_be_written_until_one_can(
    work: Callable[..., RunFolder], settings: Settings
) -> None:
    told: list[tuple[JobState, str | None]] = []

    def save(work: Work) -> str:
        for could in (True, False, False, True):
            work.hooks.saved(could)
            told.append((work.run.state().state, work.run.state().message))
        return "full/1"

    run = work(save)
    assert execute(run, settings).message is None
    assert told == [(JobState.RUNNING, message) for message in (None, NOT_SAVED, NOT_SAVED, None)]
    assert [change.message for change in run.history()].count(NOT_SAVED) == 1
