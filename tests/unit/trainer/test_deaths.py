"""A run whose process dies again and again is given up only if it does not get on between its deaths."""

from itertools import cycle, islice
from pathlib import Path
from typing import get_args

import pytest

from shared.run_folder import RunFolder, RunState
from shared.schemas.jobs import TRAINING_KINDS, JobKind, JobProgress, JobRequest, JobState, Phase
from trainer.lost_runs import MAX_DEATHS, note_death


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path, JobRequest(dataset="drawn"))
    (run.path / "checkpoints").mkdir()
    return run


def die(run: RunFolder, saved_step: int | None = None) -> JobState:
    """Let the run go on, save a checkpoint perhaps, and die; return the state that is left."""
    run.set_state(RunState(state=JobState.RUNNING))
    if saved_step is not None:
        (run.path / "checkpoints" / f"step-{saved_step:09d}.safetensors").touch()
    note_death(run)
    return run.state().state


def test_a_run_that_saves_between_its_deaths_goes_on_however_often_it_dies_in_an_epoch(run: RunFolder) -> None:
    assert {die(run, saved_step=step) for step in range(1, 4 * MAX_DEATHS)} == {JobState.INTERRUPTED}


@pytest.mark.parametrize("saved_step", [None, 8])
def test_a_run_that_dies_at_the_same_checkpoint_is_given_up_with_a_sentence(
    run: RunFolder, saved_step: int | None
) -> None:
    states = [die(run, saved_step) for _ in range(MAX_DEATHS)]
    assert states == [JobState.INTERRUPTED] * (MAX_DEATHS - 1) + [JobState.FAILED]
    assert f"died {MAX_DEATHS} times" in (run.state().message or "")
    assert run.state().ended


def of_kind(kind: JobKind, runs_dir: Path) -> RunFolder:
    model = "full/1" if kind in ("evaluate", "export") else None
    base = "full/1" if kind == "fine-tune" else None
    return RunFolder.create(runs_dir, JobRequest(kind=kind, dataset="drawn", model=model, base_model=base))


@pytest.mark.parametrize("kind", ["evaluate", "study"])
def test_a_measurement_that_keeps_answers_between_its_deaths_goes_on(kind: JobKind, tmp_path: Path) -> None:
    run = of_kind(kind, tmp_path)
    (run.path / "answers").mkdir()
    states = set()
    for number in range(4 * MAX_DEATHS):
        (run.path / "answers" / f"{number}.npy").touch()
        states.add(die(run))
    assert states == {JobState.INTERRUPTED}


def test_a_run_that_dies_once_in_each_phase_goes_on(run: RunFolder) -> None:
    for phase in ("loading", "exporting", "evaluating"):
        run.set_progress(JobProgress(phase=phase))
        assert die(run, saved_step=8) == JobState.INTERRUPTED


def test_a_run_that_dies_in_one_phase_or_another_and_keeps_no_more_is_given_up_too(run: RunFolder) -> None:
    phases: tuple[Phase, ...] = ("loading", "exporting")
    states = []
    for phase in islice(cycle(phases), 2 * MAX_DEATHS - 1):
        run.set_progress(JobProgress(phase=phase))
        states.append(die(run, saved_step=8))
    assert states == [JobState.INTERRUPTED] * (2 * MAX_DEATHS - 2) + [JobState.FAILED]


@pytest.mark.parametrize("kind", get_args(JobKind))
def test_what_is_said_of_a_death_fits_the_kind_of_job(kind: JobKind, tmp_path: Path) -> None:
    run = of_kind(kind, tmp_path)
    said = []
    for _ in range(MAX_DEATHS):
        die(run)
        said.append(run.state().message or "")
    trains = kind in TRAINING_KINDS
    assert ["checkpoint" in message for message in said] == [trains, trains, False]
    assert ("smaller batch size" in said[-1]) == trains
    assert f"died {MAX_DEATHS} times" in said[-1]


@pytest.mark.parametrize(
    ("phase", "advice"),
    [
        ("loading", "choose a smaller batch size or network."),
        ("training", "choose a smaller batch size or network."),
        ("exporting", "free some, then resume it."),
        ("evaluating", "free some, then resume it."),
    ],
)
def test_a_training_that_dies_when_it_has_trained_is_not_told_of_a_batch_size(
    phase: Phase, advice: str, run: RunFolder
) -> None:
    run.set_progress(JobProgress(phase=phase))
    for _ in range(MAX_DEATHS):
        die(run, saved_step=8)
    assert (run.state().message or "").endswith(advice)


def test_a_run_that_has_ended_does_not_die(run: RunFolder) -> None:
    run.set_state(RunState(state=JobState.FINISHED, model="full/1"))
    note_death(run)
    assert run.state().state == JobState.FINISHED
