"""Ctrl-C on the command line cancels a job, SIGTERM interrupts it, and `resume` goes on after either.

A function stands in for the training: it ends when it is asked to, or at once.
"""

import io
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.errors import DatasetError
from shared.run_folder import LEASE_FILE, RunFolder, RunState
from shared.schemas.jobs import JobRequest, JobState
from shared.study_plan import create_study
from trainer import __main__ as command_line
from trainer.errors import Stopped
from trainer.run_lock import only_one
from trainer.settings import Settings
from trainer.study_commands import find_or_create, make_study
from trainer.tasks import TASKS
from trainer.work import Work

STUDY = JobRequest(kind="study", dataset="drawn")


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Put the signals' handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("TRAINER_RUNS_DIR", str(tmp_path))
    monkeypatch.setenv("TRAINER_DEVICE", "cpu")
    return RunFolder.create(tmp_path, JobRequest(dataset="drawn"))


def resume(run: RunFolder, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Type `python -m trainer resume <run>` and further words; return the exit status."""
    monkeypatch.setattr(sys, "argv", ["trainer", "resume", run.id, *words])
    return command_line.main()


def disturbed_by(number: signal.Signals) -> object:
    """Return what trains until it is asked to stop, which this signal does."""

    def do(work: Work) -> str:
        signal.raise_signal(number)
        while not work.hooks.stop_asked():
            time.sleep(0.01)
        raise Stopped("Stopped at epoch 1.")

    return do


@pytest.mark.parametrize(
    ("number", "left"), [(signal.SIGINT, JobState.CANCELLED), (signal.SIGTERM, JobState.INTERRUPTED)]
)
def test_ctrl_c_cancels_a_job_so_that_no_worker_takes_it_up_sigterm_interrupts_it_and_both_can_be_resumed(
    number: signal.Signals, left: JobState, run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "train", disturbed_by(number))
    assert resume(run, monkeypatch) == 1
    assert run.state().state == left

    monkeypatch.setitem(TASKS, "train", lambda work: "full/1")
    assert resume(run, monkeypatch) == 0
    assert (run.state().state, run.state().model) == (JobState.FINISHED, "full/1")


def test_a_job_that_another_process_does_is_not_resumed_and_goes_on_to_be_cancelled(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run.set_state(RunState(state=JobState.RUNNING))
    run.ask_to_cancel()
    holder = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(); input()"
    words = [sys.executable, "-c", holder, str(run.path / "lock")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert resume(run, monkeypatch) == 2
        other.communicate(b"\n")
    assert f"Another process, such as a worker, does job {run.id}; wait" in capsys.readouterr().err
    assert run.cancel_asked()


def test_a_sentence_that_the_terminal_cannot_show_is_written_out(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(work: Work) -> str:
        raise DatasetError("drawn has 1 images that cannot be read: \u00e9\udcff.png.")

    monkeypatch.setitem(TASKS, "train", fail)
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii", write_through=True))
    assert resume(run, monkeypatch) == 1
    assert rb"cannot be read: \xe9\udcff.png." in shown.getvalue()


def test_a_job_that_another_machine_does_is_not_resumed(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.path / LEASE_FILE).touch()
    assert resume(run, monkeypatch) == 2
    assert f"A worker on another machine does job {run.id}; wait" in capsys.readouterr().err


def test_a_run_goes_on_with_a_data_set_of_its_own_name_alone(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert resume(run, monkeypatch, "--data", str(tmp_path / "other.zip")) == 2
    told = capsys.readouterr().err
    assert f"trains on {run.request().request.dataset}, and other.zip is another name" in told


def test_a_folder_that_cannot_be_read_keeps_no_study_from_being_found(tmp_path: Path) -> None:
    jobs = create_study(tmp_path, STUDY)
    broken = RunFolder.create(tmp_path, JobRequest(dataset="other.zip"))
    (broken.path / "request.json").write_text("{")
    assert [run.id for run in find_or_create(tmp_path, STUDY)] == [run.id for run in jobs]


def test_a_study_that_is_cancelled_leaves_nothing_for_workers_and_the_same_command_goes_on(tmp_path: Path) -> None:
    settings = Settings(runs_dir=tmp_path)
    jobs = create_study(tmp_path, STUDY)
    began: list[str] = []

    def execute(run: RunFolder, settings: Settings) -> RunState:
        began.append(run.id)
        with only_one(run):
            state = JobState.CANCELLED if len(began) == 2 else JobState.FINISHED
            run.set_state(RunState(state=state, model="full/1"))
        return run.state()

    make_study(STUDY, settings, execute)
    assert [job.state().state for job in jobs] == [JobState.FINISHED] + [JobState.CANCELLED] * (len(jobs) - 1)
    began.append("the command is given again")
    assert make_study(STUDY, settings, execute)[1].state == JobState.FINISHED
    assert {job.state().state for job in jobs} == {JobState.FINISHED}


def test_a_study_begins_anew_where_that_is_asked_for(tmp_path: Path) -> None:
    settings = Settings(runs_dir=tmp_path)
    jobs = create_study(tmp_path, STUDY)

    def execute(run: RunFolder, settings: Settings) -> RunState:
        run.set_state(RunState(state=JobState.FINISHED, model="full/1"))
        return run.state()

    study, _ = make_study(STUDY, settings, execute, anew=True)
    assert study.id not in {job.id for job in jobs}
    assert {job.state().state for job in jobs} == {JobState.QUEUED}
    assert study.id not in {job.id for job in find_or_create(tmp_path, STUDY)}, "what was done anew is done"


def test_a_study_of_which_a_part_was_deleted_is_not_gone_on_with(tmp_path: Path) -> None:
    jobs = create_study(tmp_path, STUDY)
    assert [job.id for job in find_or_create(tmp_path, STUDY)] == [job.id for job in jobs]
    shutil.rmtree(jobs[2].path)
    assert {job.id for job in find_or_create(tmp_path, STUDY)}.isdisjoint(job.id for job in jobs)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("THREADS", "-1", "TRAINER_THREADS must be at least 0."),
        ("DEVICE", "tpu", "TRAINER_DEVICE must be one of 'auto', 'cpu', 'cuda' or 'mps'."),
    ],
)
def test_a_wrong_variable_is_named_as_it_was_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"TRAINER_{name}", value)
    monkeypatch.setattr(sys, "argv", ["trainer", "models"])
    assert command_line.main() == 2
    assert capsys.readouterr().err.strip() == words


def test_a_wish_to_stop_that_comes_between_two_jobs_of_a_study_ends_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(runs_dir=tmp_path / "runs", models_dir=tmp_path / "models", device="cpu")
    first, second = (RunFolder.create(settings.runs_dir, JobRequest(dataset="drawn")) for _ in range(2))
    monkeypatch.setitem(TASKS, "train", lambda work: signal.raise_signal(signal.SIGTERM) or "full/1")
    execute = command_line._InThisProcess()
    assert execute(first, settings).state == JobState.FINISHED
    monkeypatch.setitem(TASKS, "train", waits_to_be_stopped)
    assert execute(second, settings).state == JobState.INTERRUPTED


def waits_to_be_stopped(work: Work) -> str:
    """Do what a training does that is asked to stop; fail where nobody asks."""
    if work.hooks.stop_asked():
        raise Stopped("Stopped at epoch 1.")
    raise AssertionError("nobody asked it to stop")
