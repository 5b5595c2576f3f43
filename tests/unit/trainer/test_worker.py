"""How long a worker that was killed counts as alive, and which runs it leaves alone or to others."""

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue, Worker, worker_registration
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer

from scripts.stack_settings import ROOT
from shared.run_folder import QUEUE_NAMES, RUN_FUNCTION, RunFolder, queue_name
from shared.schemas.jobs import JobRequest, JobState
from shared.study_plan import create_study
from trainer.jobs import after_fork
from trainer.lost_runs import SETTLE_SECONDS, LostRuns
from trainer.settings import Settings
from trainer.worker import LOOK_SECONDS, RunWorker, make_worker


@pytest.fixture
def connection(queue_url: str) -> Redis:
    """Connect to the queue server, emptied."""
    connection = Redis.from_url(queue_url)
    connection.flushdb()
    return connection


@pytest.fixture
def worker(connection: Redis, queue_url: str, tmp_path: Path) -> RunWorker:
    """A worker that has said that it lives."""
    settings = Settings(redis_url=queue_url, data_dir=tmp_path / "data", runs_dir=tmp_path / "runs")
    worker = make_worker(settings, connection)
    worker.register_birth()  # type: ignore[no-untyped-call]
    return worker


def test_a_worker_that_was_killed_counts_as_dead_after_a_minute_and_a_half(
    worker: RunWorker, connection: Redis
) -> None:
    assert connection.ttl(worker.key) <= 90
    worker.heartbeat()
    assert 2 * LOOK_SECONDS < connection.ttl(worker.key) <= 90


def test_a_worker_that_was_taken_for_dead_is_listed_again(worker: RunWorker, connection: Redis) -> None:
    queue = worker.queues[0]
    connection.delete(worker.key)
    worker_registration.clean_worker_registry(queue)
    assert Worker.all(queue=queue) == []
    worker.heartbeat()
    assert [each.name for each in Worker.all(queue=queue)] == [worker.name]


def test_the_containers_health_check_finds_a_worker_and_misses_one_that_has_gone(
    worker: RunWorker, queue_url: str
) -> None:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    (check,) = re.findall(r'CMD (python -c ".*?")$', text, re.MULTILINE)
    command = ["sh", "-c", check.replace("python", sys.executable, 1)]
    environment = {**os.environ, "TRAINER_REDIS_URL": queue_url}
    assert subprocess.run(command, env=environment).returncode == 0
    worker.register_death()  # type: ignore[no-untyped-call]
    assert subprocess.run(command, env=environment).returncode == 1


def test_a_short_job_is_taken_before_a_training_that_came_first(worker: RunWorker, connection: Redis) -> None:
    queues = {name: Queue(name, connection=connection, serializer=JSONSerializer) for name in QUEUE_NAMES}
    for run_id, kind in (("training", "train"), ("evaluation", "evaluate")):
        queues[queue_name(kind)].enqueue(RUN_FUNCTION, args=(run_id,), job_id=run_id)
    taken = [worker.dequeue_job_and_maintain_ttl(1) for _ in range(2)]  # type: ignore[no-untyped-call]
    assert [found[0].id for found in taken if found] == ["evaluation", "training"]


def test_a_worker_whose_machine_can_do_no_job_puts_it_back_and_pauses_until_it_can(
    worker: RunWorker,
    connection: Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("trainer.worker.PAUSE_SECONDS", 0.05)
    queue = next(queue for queue in worker.queues if queue.name == queue_name("train"))
    for run_id in ("first", "second"):
        queue.enqueue(RUN_FUNCTION, args=(run_id,), job_id=run_id)
    waiting: list[list[str]] = []

    def bring_the_data() -> None:
        while connection.hget(worker.key, "state") != b"suspended":
            time.sleep(0.01)
        waiting.append(queue.job_ids)
        (tmp_path / "data" / "drawn").mkdir(parents=True)

    other = threading.Thread(target=bring_the_data)
    other.start()
    taken = worker.dequeue_job_and_maintain_ttl(1)  # type: ignore[no-untyped-call]
    assert taken is not None
    worker.execute_job(*taken)
    other.join()
    assert waiting == [["first", "second"]]
    assert queue.job_ids == ["first", "second"]
    assert "data is not there; put FER2013's zip" in caplog.text
    assert "Until then this worker takes no job." in caplog.text


def test_a_worker_that_is_stopped_while_it_looks_at_its_machine_puts_the_job_back(
    worker: RunWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(settings: Settings) -> str | None:
        raise StopRequested  # as the handler of a signal does

    monkeypatch.setattr("trainer.machine.trouble", stopped)
    worker.queues[0].enqueue(RUN_FUNCTION, args=("run",), job_id="run")
    taken = worker.dequeue_job_and_maintain_ttl(1)  # type: ignore[no-untyped-call]
    assert taken is not None
    with pytest.raises(StopRequested):
        worker.execute_job(*taken)
    assert worker.queues[0].job_ids == ["run"]


def test_a_run_whose_folder_is_full_is_left_as_it_was(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "runs", JobRequest(dataset="drawn"))
    (run.path / "reserve").symlink_to("/dev/full")
    environment = {**os.environ, "TRAINER_RUNS_DIR": str(tmp_path / "runs")}
    done = subprocess.run(
        [sys.executable, "-c", f"from trainer.jobs import run; print(run({run.id!r}))"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "not begun"
    assert "cannot be written (No space left on device). Make room" in (run.path / "log.txt").read_text()
    assert [change.state for change in run.history()] == [JobState.QUEUED]


def test_a_run_that_was_made_while_the_clock_was_ahead_does_not_wait_for_the_clock(
    connection: Redis, tmp_path: Path
) -> None:
    queues = [Queue(name, connection=connection, serializer=JSONSerializer) for name in QUEUE_NAMES]
    run = RunFolder.create(tmp_path, JobRequest(dataset="drawn"))
    hours_ahead = time.time() + 8 * 3600
    os.utime(run.path / "state.json", (hours_ahead, hours_ahead))
    assert LostRuns(tmp_path, queues).requeue() == [run.id]


def test_parts_whose_study_was_never_made_are_left_alone(connection: Redis, tmp_path: Path) -> None:
    queues = [Queue(name, connection=connection, serializer=JSONSerializer) for name in QUEUE_NAMES]
    first, *_, study = create_study(tmp_path, JobRequest(kind="study", dataset="drawn"))
    past = time.time() - SETTLE_SECONDS - 10
    for run in tmp_path.iterdir():
        os.utime(run / "state.json", (past, past))
    hidden = study.path.rename(tmp_path / "elsewhere")
    assert LostRuns(tmp_path, queues).requeue() == []
    hidden.rename(study.path)
    assert LostRuns(tmp_path, queues).requeue() == [first.id]


def test_after_a_fork_macos_trains_on_the_cpu_unless_told_otherwise() -> None:
    assert after_fork(Settings(), "darwin").device == "cpu"
    assert after_fork(Settings(device="mps"), "darwin").device == "mps"
    assert after_fork(Settings(), "linux").device == "auto"
