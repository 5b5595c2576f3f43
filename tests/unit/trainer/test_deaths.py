"""A run whose process dies again and again is given up only if it does not get on between its deaths."""

from pathlib import Path

import pytest

from shared.run_folder import RunFolder, RunState
from shared.schemas import JobRequest, JobState
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


def test_a_run_that_has_ended_does_not_die(run: RunFolder) -> None:
    run.set_state(RunState(state=JobState.FINISHED, model="full/1"))
    note_death(run)
    assert run.state().state == JobState.FINISHED
