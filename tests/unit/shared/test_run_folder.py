"""A run's folder: the truth about a job, read while another writes it."""

import errno
import os
import re
from pathlib import Path

import pytest

from shared.errors import RunFolderError
from shared.run_folder import LEASE_FILE, RUN_ID_PATTERN, RunFolder, RunState, utc_now
from shared.schemas.jobs import JobProgress, JobRequest, JobState, MetricRow
from shared.schemas.training import TrainSettings
from trainer.run_lock import only_one

REQUEST = JobRequest(dataset="fer2013.zip", view="upper", settings=TrainSettings(epochs=3, seed=7))
ROW = MetricRow(
    epoch=1,
    step=10,
    seconds=2.5,
    train_loss=1.9,
    validation_loss=1.8,
    validation_accuracy=0.3,
    learning_rate=0.001,
    size=48,
)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A runs folder that does not exist yet."""
    return tmp_path / "runs"


@pytest.fixture
def run(runs: Path) -> RunFolder:
    """A run that was just created."""
    return RunFolder.create(runs, REQUEST)


def test_a_new_run_is_queued_and_says_what_was_asked_for(run: RunFolder) -> None:
    job = run.job()
    assert job.id == run.id
    assert job.state is JobState.QUEUED
    assert job.request == REQUEST
    assert job.progress == JobProgress()
    assert job.started is None
    assert job.created <= utc_now()


def test_a_run_is_named_after_its_time_and_view(run: RunFolder) -> None:
    assert re.fullmatch(r"\d{8}-\d{6}-upper-[0-9a-f]{6}", run.id)
    assert RUN_ID_PATTERN.fullmatch(run.id)


def test_a_run_comes_back_as_it_was_written(runs: Path, run: RunFolder) -> None:
    state = RunState(state=JobState.FINISHED, message="Done.", model="upper/1", started=utc_now(), ended=utc_now())
    progress = JobProgress(phase="training", epoch=2, epochs=3, step=20, steps=30, loss=1.5, eta_s=12.5)
    run.set_state(state)
    run.set_progress(progress)
    again = RunFolder.open(runs, run.id)
    assert again.state() == state
    assert again.progress() == progress
    assert again.request().request == REQUEST
    job = again.job()
    assert (job.state, job.model, job.message, job.progress) == (JobState.FINISHED, "upper/1", "Done.", progress)


def test_a_running_run_that_shall_stop_is_shown_as_cancelling(run: RunFolder) -> None:
    run.set_state(RunState(state=JobState.RUNNING))
    assert run.job().state is JobState.RUNNING
    run.ask_to_cancel()
    run.ask_to_cancel()
    assert run.cancel_asked()
    assert run.job().state is JobState.CANCELLING
    assert run.state().state is JobState.RUNNING
    run.withdraw_cancel()
    run.withdraw_cancel()
    assert not run.cancel_asked()
    assert run.job().state is JobState.RUNNING


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.INTERRUPTED])
def test_a_run_that_waits_is_cancelling_too(run: RunFolder, state: JobState) -> None:
    run.set_state(RunState(state=state))
    run.ask_to_cancel()
    assert run.job().state is JobState.CANCELLING


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.FINISHED, JobState.FAILED])
def test_a_run_that_has_ended_is_not_cancelling(run: RunFolder, state: JobState) -> None:
    run.set_state(RunState(state=state))
    run.ask_to_cancel()
    assert run.job().state is state


def test_metrics_grow_by_a_line_an_epoch(run: RunFolder) -> None:
    assert run.metrics() == []
    rows = [ROW.model_copy(update={"epoch": epoch}) for epoch in (1, 2, 3)]
    (run.path / "metrics.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
    assert run.metrics() == rows


@pytest.mark.parametrize("cut", [1, 20, -1])
def test_a_line_that_is_being_written_is_left_out(run: RunFolder, cut: int) -> None:
    line = ROW.model_dump_json() + "\n"
    (run.path / "metrics.jsonl").write_text(line + line[:cut])
    assert run.metrics() == [ROW]


@pytest.mark.parametrize("broken", ['{"epoch": 1, "st', "", "\0\0\0", '{"epoch": 2}', "caf\xe9", "[]"])
def test_a_line_that_a_crash_cut_off_does_not_hide_the_others(run: RunFolder, broken: str) -> None:
    line = ROW.model_dump_json().encode() + b"\n"
    (run.path / "metrics.jsonl").write_bytes(line + broken.encode("latin-1") + b"\n" + line)
    assert run.metrics() == [ROW, ROW]


def test_a_key_that_a_newer_trainer_adds_is_kept(run: RunFolder) -> None:
    row = MetricRow.model_validate({**ROW.model_dump(), "macro_f1": 0.25})
    (run.path / "metrics.jsonl").write_text(row.model_dump_json() + "\n")
    assert run.metrics()[0].model_dump()["macro_f1"] == 0.25


@pytest.mark.parametrize(
    "run_id",
    ["", ".", "..", "../runs", "a/b", "/etc", "UPPER", "-a", "a\n", "a\0b", "a" * 65, "a b", "%2e%2e", "none"],
)
def test_an_id_that_is_no_run_is_refused(runs: Path, run: RunFolder, run_id: str) -> None:
    (runs.parent / "request.json").write_bytes((run.path / "request.json").read_bytes())
    with pytest.raises(RunFolderError, match="There is no job"):
        RunFolder.open(runs, run_id)


def test_runs_are_listed_newest_first_without_what_is_no_run(runs: Path) -> None:
    for name in ("20260101-000000-full-000000", "20260301-000000-full-000000", "20260201-000000-any-000000"):
        RunFolder.create(runs, REQUEST).path.rename(runs / name)
    (runs / "notes").mkdir()
    RunFolder.create(runs, REQUEST).path.rename(runs / ".trash")
    RunFolder.create(runs, REQUEST).path.rename(runs / "My copy")
    assert [run.id[:8] for run in RunFolder.all(runs)] == ["20260301", "20260201", "20260101"]


def test_a_missing_runs_folder_holds_no_runs(runs: Path) -> None:
    assert RunFolder.all(runs) == []


@pytest.mark.parametrize("name", ["request.json", "state.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b'{"state": "dancing"}', b"\xff"])
def test_a_file_that_cannot_be_read_is_named(run: RunFolder, name: str, content: bytes | None) -> None:
    path = run.path / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(RunFolderError, match=rf"The file {name} of job {run.id} is (missing|damaged), or "):
        run.job()


def test_progress_that_cannot_be_read_is_the_beginning(run: RunFolder) -> None:
    (run.path / "progress.json").write_bytes(b"{")
    assert run.job().progress == JobProgress()


def test_a_run_leaves_no_other_files_than_its_own(run: RunFolder) -> None:
    run.set_state(RunState(state=JobState.RUNNING))
    run.set_progress(JobProgress())
    run.ask_to_cancel()
    assert {path.name for path in run.path.iterdir()} == {
        "request.json",
        "state.json",
        "history.jsonl",
        "progress.json",
        "cancel",
    }
    assert [change.state for change in run.history()] == [JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING]


def test_who_asked_to_cancel_is_noted_once(run: RunFolder) -> None:
    run.ask_to_cancel("ada")
    run.ask_to_cancel("bob")
    assert [(change.state, change.message) for change in run.history()][1:] == [(JobState.CANCELLING, "Asked by ada.")]
    assert run.state().state is JobState.QUEUED


def test_a_change_after_a_line_that_a_crash_cut_off_is_kept(run: RunFolder) -> None:
    with (run.path / "history.jsonl").open("a") as file:
        file.write('{"time": "2026-')
    run.set_state(RunState(state=JobState.RUNNING))
    run.set_state(RunState(state=JobState.FAILED))
    assert [change.state for change in run.history()] == [JobState.QUEUED, JobState.RUNNING, JobState.FAILED]


def test_the_size_counts_every_file_also_while_some_vanish(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "step-000000001.safetensors").write_bytes(bytes(1000))
    before = run.size_bytes()
    assert before > 1000
    (run.path / "checkpoints" / "step-000000002.safetensors").write_bytes(bytes(1000))
    listed = list(os.walk(run.path))
    (run.path / "checkpoints" / "step-000000002.safetensors").unlink()
    monkeypatch.setattr(os, "walk", lambda path: listed)
    assert run.size_bytes() == before


def test_a_run_is_abandoned_if_it_should_be_running_and_nobody_holds_its_lock(run: RunFolder) -> None:
    assert not run.is_abandoned()
    with only_one(run):
        run.set_state(RunState(state=JobState.RUNNING))
        assert (run.has_process(), run.is_abandoned()) == (True, False)
    assert (run.has_process(), run.is_abandoned()) == (False, True)
    (run.path / LEASE_FILE).touch()
    assert not run.is_abandoned()


def test_looking_for_its_process_leaves_the_lock_to_others(run: RunFolder) -> None:
    (run.path / "lock").touch()
    assert not run.has_process()
    with only_one(run, wait_s=0) as alone:
        assert alone


def test_a_run_that_cannot_be_written_leaves_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shared.run_folder.write_atomically", full)
    with pytest.raises(OSError, match="No space"):
        RunFolder.create(runs, REQUEST)
    assert list(runs.iterdir()) == []
