"""What a night's script decides: when it kills and whom, what was done again, and whether the night went well."""

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from pydantic import ValidationError

from scripts.night import options
from scripts.night.kills import Kill, Killer, pauses
from scripts.night.model_watch import ModelWatch
from scripts.night.own_stack import settings_for
from scripts.night.report import job_problems, make_report, repeated_too_much, steps_again, told_kills
from scripts.night.trainings import SECOND_GONE_S, TwiceWatch, lock_holders, worker_of
from shared.run_folder import LOG_FILE, RunFolder
from shared.schemas.jobs import Job, JobProgress, JobRequest, JobState
from tests.unit.gateway.folders import write_small_model

NEEDED = ["--dataset", "fer2013.zip", "--base-model", "any/1"]
ASKED = JobRequest(dataset="fer2013.zip", view="upper", base_model="any/1")
HOLDER = "import sys, time; held = open(sys.argv[1], 'w'); print('held', flush=True); time.sleep(600)"


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", ASKED)


@contextmanager
def training(run: RunFolder) -> Iterator[int]:
    """Run a process that has the run's lock open, as one that trains it; give its id."""
    command = [sys.executable, "-c", HOLDER, str(run.path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        try:
            yield process.pid
        finally:
            process.kill()


def write_checkpoint(run: RunFolder, step: int) -> None:
    (run.path / "checkpoints").mkdir(exist_ok=True)
    (run.path / "checkpoints" / f"step-{step:09d}.safetensors").touch()


def test_a_night_shares_neither_keys_nor_storage_with_the_users_own_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEYS_FILE", str(tmp_path / "keys.json"))
    monkeypatch.setenv("TRAINER_STORAGE_URL", "s3://bucket/halfface")
    monkeypatch.setenv("TRAINER_DEVICE", "cpu")

    found = settings_for(tmp_path, None, None).environment("redis://127.0.0.1:1/0")

    assert "GATEWAY_KEYS_FILE" not in found
    assert "TRAINER_STORAGE_URL" not in found
    assert found["TRAINER_DEVICE"] == "cpu"
    assert found["GATEWAY_RUNS_DIR"] == str(tmp_path / "runs")


def job(state: JobState, model: str | None = None, message: str | None = None) -> Job:
    return Job(id="a-run", request=ASKED, state=state, model=model, message=message, created="2030-01-01T00:00:00Z")


def killer(run: RunFolder, **changed: object) -> Killer:
    given: dict[str, object] = {"kinds": ("training",), "every_s": 0.001, "seed": 0, "kill_queue": None}
    return Killer(run.path.parent, **{**given, **changed})  # type: ignore[arg-type]


def test_pauses_are_half_to_one_and_a_half_of_the_average_and_the_same_for_a_seed() -> None:
    first, second, other = (list(itertools.islice(pauses(100, seed), 200)) for seed in (1, 1, 2))
    assert first == second != other
    assert min(first) >= 50
    assert max(first) <= 150
    assert 90 < sum(first) / len(first) < 110


def test_who_has_a_runs_lock_open_trains_it(run: RunFolder) -> None:
    assert lock_holders(run.path.parent, [run.id]) == {}
    with training(run) as pid:
        assert lock_holders(run.path.parent, [run.id, "another"]) == {run.id: frozenset({pid})}
        assert worker_of(pid) is None  # its parent is no worker


def test_two_processes_count_as_training_at_once_only_if_both_stay() -> None:
    watch = TwiceWatch()
    assert watch.look({"a": frozenset({1, 2})}, 0) == {}
    assert watch.look({"a": frozenset({1})}, 5) == {"a": frozenset({1})}
    watch.look({"a": frozenset({1, 2})}, 6)
    watch.look({"a": frozenset({1, 2})}, 6 + SECOND_GONE_S)
    assert watch.found == []
    watch.look({"a": frozenset({1, 2})}, 7 + SECOND_GONE_S)
    watch.look({"a": frozenset({1, 2})}, 8 + SECOND_GONE_S)
    assert watch.found == ["a was trained by the processes 1, 2 at once."]


def test_a_training_is_killed_and_not_again_before_it_has_another_checkpoint(run: RunFolder) -> None:
    run.set_progress(JobProgress(phase="training", step=7))
    write_checkpoint(run, 4)
    strikes = killer(run)
    with training(run) as pid:
        kill = strikes.strike({run.id: frozenset({pid})})
        assert kill is not None
        assert (kill.run, kill.pids, kill.step) == (run.id, (pid,), 7)
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    with training(run) as pid:
        holders = {run.id: frozenset({pid})}
        assert strikes.strike(holders) is None
        write_checkpoint(run, 9)
        assert strikes.strike(holders) is not None
    assert len(strikes.kills) == 2


def test_kinds_take_turns_and_what_is_not_there_is_waited_for(run: RunFolder) -> None:
    queues: list[int] = []

    def kill_queue() -> list[int]:
        queues.append(1)
        return [1]

    strikes = killer(run, kinds=("training", "queue", "worker"), kill_queue=kill_queue)
    with training(run) as pid:
        holders = {run.id: frozenset({pid})}
        assert strikes.strike(holders) is None  # no checkpoint yet
        write_checkpoint(run, 4)
        kinds = [kill.kind if kill else None for kill in (strikes.strike(holders) for _ in range(3))]
    assert kinds == ["training", "queue", None]  # its parent is no worker
    assert queues == [1]


def test_kills_end_at_their_greatest_number(run: RunFolder) -> None:
    strikes = killer(run, most=1)
    write_checkpoint(run, 4)
    while not strikes.is_due:
        time.sleep(0.001)
    with training(run) as pid:
        strikes.strike({run.id: frozenset({pid})})
    time.sleep(0.01)  # longer than any pause
    assert not strikes.is_due


LOG = b"now INFO epoch 1: loss 1.0\n"
RESUMED = b"now INFO resumed at epoch 1, step 40\n"


@pytest.mark.parametrize(
    ("after", "again"),
    [
        (RESUMED + LOG, 7),
        (LOG, 47),  # no checkpoint: from the beginning
        (b"", None),  # it has not gone on
    ],
)
def test_steps_done_again_follow_from_what_was_logged_after_the_kill(after: bytes, again: int | None) -> None:
    kill = Kill("now", "training", (1,), run="a", step=47, log_bytes=len(LOG))
    assert steps_again(kill, LOG + after, None) == again
    assert steps_again(kill, LOG + after + RESUMED, len(LOG + after)) == again


def test_each_kill_of_a_run_is_told_with_its_own_steps(run: RunFolder) -> None:
    (run.path / LOG_FILE).write_bytes(LOG + RESUMED + b"now INFO resumed at epoch 2, step 80\n")
    kills = [
        Kill("1", "training", (1,), run=run.id, step=50, log_bytes=len(LOG)),
        Kill("2", "queue", (2,)),
        Kill("3", "both", (3, 4), run=run.id, step=81, log_bytes=len(LOG + RESUMED)),
    ]
    assert [told["steps_again"] for told in told_kills(run.path.parent, kills)] == [10, None, 1]


def test_more_than_one_checkpoint_interval_done_again_is_a_problem_but_not_the_validation_before_a_checkpoint(
    run: RunFolder,
) -> None:
    short, long = (Kill("now", "training", (1,), run=run.id, unsaved_s=seconds) for seconds in (120.0, 151.0))
    assert repeated_too_much(run.path.parent, [short], interval_s=120) == []
    (told,) = repeated_too_much(run.path.parent, [short, long], interval_s=120)
    assert "had trained 151 s since its last checkpoint" in told
    row = {"epoch": 1, "step": 1, "seconds": 1, "train_loss": 1, "validation_loss": 1, "validation_accuracy": 0.5}
    row |= {"learning_rate": 0.1, "size": 48, "validation_seconds": 2}
    (run.path / "metrics.jsonl").write_text(f"{json.dumps(row)}\n")
    assert repeated_too_much(run.path.parent, [long], interval_s=120) == []


def test_a_night_went_well_only_if_each_job_has_a_whole_model_of_its_own(tmp_path: Path) -> None:
    models_dir = tmp_path / "models"
    model = write_small_model(models_dir).id
    assert job_problems([job(JobState.FINISHED, model)], 1, models_dir) == []
    wrong = [
        ([], "1 jobs were queued and 0 are there"),
        ([job(JobState.RUNNING)], "had not ended in time: it is running"),
        ([job(JobState.FAILED, message="The disk is full.")], "is failed: The disk is full"),
        ([job(JobState.FINISHED)], "it made no model"),
        ([job(JobState.FINISHED, "upper/none")], "is not whole"),
    ]
    for jobs, sentence in wrong:
        assert sentence in " ".join(job_problems(jobs, 1, models_dir))
    assert job_problems([job(JobState.FINISHED, model)] * 2, 2, models_dir) == [f"2 jobs made the model {model}."]


def test_a_report_counts_the_kills_and_is_good_without_a_problem(tmp_path: Path) -> None:
    kills = [Kill("1", "worker", (1,)), Kill("2", "queue", (2,)), Kill("3", "worker", (3,))]
    report = make_report([job(JobState.FINISHED, "upper/1")], kills, tmp_path, interval_s=9, problems=[], nights=1)
    assert (report["ok"], report["kills"], report["nights"]) == (True, {"worker": 2, "queue": 1}, 1)
    assert not make_report([], [], tmp_path, interval_s=9, problems=["Oh."])["ok"]


def test_a_version_that_is_not_whole_when_it_appears_is_noted(tmp_path: Path) -> None:
    (tmp_path / "old" / "1").mkdir(parents=True)
    (tmp_path / "old" / "1" / "card.json").write_text("{}")
    with ModelWatch(tmp_path) as watch:
        (tmp_path / "new" / "1").mkdir(parents=True)
        (tmp_path / "new" / "1" / "card.json").write_text("{")
    assert [problem.split(":")[0] for problem in watch.problems] == ["new/1"]


def test_a_fine_tuning_is_asked_for_each_view_with_the_settings_given() -> None:
    asked = options.parser().parse_args([*NEEDED, "--epochs", "2", "--flip", "false"])
    requests = options.requests_of(asked)
    assert [request.view for request in requests] == ["upper", "lower", "left", "right"]
    assert {(each.kind, each.base_model, each.settings.epochs, each.settings.flip) for each in requests} == {
        ("fine-tune", "any/1", 2, False)
    }
    assert len({options.key_of(asked, request) for request in requests}) == 4


def test_a_teacher_teaches_unless_its_share_is_given() -> None:
    taught, untaught = (
        options.requests_of(options.parser().parse_args([*NEEDED, "--teacher", "any/1", *more]))[0].settings
        for more in ([], ["--distill-weight", "0"])
    )
    assert (taught.distill_weight, untaught.distill_weight) == (0.7, 0)


def test_a_setting_out_of_range_is_refused_before_anything_starts() -> None:
    with pytest.raises(ValidationError, match="epochs"):
        options.requests_of(options.parser().parse_args([*NEEDED, "--epochs", "0"]))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["--gateway", "http://127.0.0.1:5001"], "--key-file and --runs-dir"),
        (["--gateway", "u", "--key-file", "k", "--runs-dir", "r", "--kill", "queue"], "queue is killed only where"),
        (["--workers", "0"], "must be above 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_a_sentence(
    given: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = options.parser()
    with pytest.raises(SystemExit):
        options.check(parser, parser.parse_args([*NEEDED, *given]))
    assert sentence in capsys.readouterr().err
