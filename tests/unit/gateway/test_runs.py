"""What one can do with jobs: real folders, a real queue, a real worker."""

import fcntl
import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest
from redis import Redis

from services.gateway.job_queue import JobQueue
from services.gateway.run_reader import RunReader
from services.gateway.runs import Runs
from shared.run_folder import LEASE_FILE, LOCK_FILE, RunFolder, RunState
from shared.schemas.jobs import Job, JobRequest, JobState
from shared.schemas.training import TrainSettings
from shared.web import ApiError
from trainer.run_lock import only_one

from .folders import write_small_model, write_zip

ASKED = JobRequest(dataset="faces.zip")
OTHER = JobRequest(dataset="faces.zip", view="upper")
THIRD = JobRequest(dataset="faces.zip", view="lower")


def start(runs: Runs, asked: JobRequest = ASKED) -> Job:
    """Start a job that is new."""
    job, is_new = runs.start(asked)
    assert is_new
    return job


def refusal(call: Callable[[], object]) -> ApiError:
    """Return the ApiError that the call raises."""
    with pytest.raises(ApiError) as raised:
        call()
    return raised.value


def wait_for(reader: RunReader, run_id: str, state: JobState) -> Job:
    """Return the job once it is in this state; the test's own time limit ends the wait."""
    while (job := reader.show(run_id)).state != state:
        time.sleep(0.05)
    return job


@contextmanager
def no_room() -> Iterator[None]:
    """Let this process write no byte to any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def has_to_wait(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Give an event that is set once somebody has to wait for a lock; locks do what they always do."""
    event, flock = Event(), fcntl.flock

    def watched(place: int, operation: int) -> None:
        try:
            flock(place, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if operation & fcntl.LOCK_NB:
                raise
            event.set()
            flock(place, operation)

    monkeypatch.setattr(fcntl, "flock", watched)
    return event


def waiting(redis: Redis) -> list[str]:
    """Return the ids in RQ's own list."""
    return [run_id.decode() for run_id in redis.lrange("rq:queue:trainer", 0, -1)]


def test_a_job_has_a_folder_and_a_place_in_the_queue(runs: Runs, redis: Redis, folder: Path) -> None:
    job = start(runs)

    assert job.state == JobState.QUEUED
    assert job.message is not None
    assert job.message.startswith("Number 1 in the queue")
    assert waiting(redis) == [job.id]
    assert RunFolder.open(folder / "runs", job.id).request().request == ASKED


@pytest.mark.parametrize("name", ["missing.zip", "../data/faces.zip", "/etc/passwd", ".", "..", "faces.zip/"])
def test_a_data_set_that_is_not_listed_is_refused_by_field(runs: Runs, folder: Path, name: str) -> None:
    error = refusal(lambda: runs.start(JobRequest(dataset=name)))

    assert (error.status, error.field) == (422, "dataset")
    assert not (folder / "runs").exists()


def test_a_data_set_with_a_problem_is_refused_with_the_problem(runs: Runs, folder: Path) -> None:
    write_zip(folder / "data" / "half.zip", splits=("train",))

    error = refusal(lambda: runs.start(JobRequest(dataset="half.zip")))

    assert (error.status, error.field) == (422, "dataset")
    assert "half.zip has no test images" in error.message


def test_a_base_model_that_exists_is_taken(runs: Runs) -> None:
    assert start(runs, JobRequest(dataset="faces.zip", base_model="first/1")).request.base_model == "first/1"


def test_imagenet_is_taken_without_a_folder(runs: Runs) -> None:
    assert start(runs, JobRequest(dataset="faces.zip", base_model="imagenet")).request.base_model == "imagenet"


def test_a_base_model_without_weights_is_refused_by_field(runs: Runs, folder: Path) -> None:
    write_small_model(folder / "models", "3", weights=False)

    error = refusal(lambda: runs.start(JobRequest(dataset="faces.zip", base_model="first/3")))

    assert (error.status, error.field) == (422, "base_model")
    assert "no weights" in error.message


def test_a_base_model_of_another_architecture_is_refused_by_field(runs: Runs, folder: Path) -> None:
    write_small_model(folder / "models", "3", architecture="resnet50")

    settings = TrainSettings(architecture="resnet18")
    error = refusal(lambda: runs.start(JobRequest(dataset="faces.zip", base_model="first/3", settings=settings)))

    assert (error.status, error.field) == (422, "settings.architecture")
    assert "resnet50" in error.message


@pytest.mark.parametrize("model", ["first/2", "../first/1", "nonsense"])
def test_a_base_model_that_is_not_there_is_refused_by_field(runs: Runs, model: str) -> None:
    error = refusal(lambda: runs.start(JobRequest(dataset="faces.zip", base_model=model)))

    assert (error.status, error.field) == (422, "base_model")


def test_an_altered_base_model_is_refused_by_field(runs: Runs, folder: Path) -> None:
    (folder / "models/first/1/model.onnx").write_text("altered")

    error = refusal(lambda: runs.start(JobRequest(dataset="faces.zip", base_model="first/1")))

    assert (error.status, error.field) == (422, "base_model")
    assert str(folder) not in error.message


def test_a_queue_that_is_away_leaves_no_orphan(
    make_runs: Callable[[JobQueue], Runs], absent_queue: JobQueue, folder: Path
) -> None:
    assert refusal(lambda: make_runs(absent_queue).start(ASKED)).code == "queue_unavailable"
    assert not list((folder / "runs").glob("*"))


def test_the_list_needs_no_queue(runs: Runs, folder: Path, absent_queue: JobQueue) -> None:
    job = start(runs)

    listed = RunReader(folder / "runs", absent_queue).all(None, 10).jobs

    assert [each.id for each in listed] == [job.id]
    assert listed[0].message is not None
    assert "queue does not answer" in listed[0].message


def test_a_corrupt_run_is_left_out_of_the_list_and_named_alone(runs: Runs, reader: RunReader, folder: Path) -> None:
    good, bad = start(runs), start(runs, OTHER)
    (folder / "runs" / bad.id / "state.json").write_text("{")

    assert [job.id for job in reader.all(None, 10).jobs] == [good.id]
    error = refusal(lambda: reader.show(bad.id))
    assert (error.status, error.code) == (409, "job_unreadable")
    (folder / "runs" / bad.id / "request.json").write_text("{")
    for change in (runs.resume, runs.cancel, runs.retry):
        assert refusal(lambda change=change: change(bad.id)).code == "job_unreadable"
    with only_one(RunFolder(folder / "runs" / bad.id)):
        assert "A worker is still at job" in refusal(lambda: runs.delete(bad.id)).message
    assert runs.delete(bad.id).freed_bytes > 0
    assert refusal(lambda: reader.show(bad.id)).code == "job_not_found"


def test_a_study_that_cannot_be_read_is_deleted_with_its_parts(runs: Runs, reader: RunReader, folder: Path) -> None:
    study, other = start(runs, JobRequest(kind="study", dataset="faces.zip")), start(runs)
    (folder / "runs" / study.id / "request.json").write_text("{")
    assert "cancel it before" in refusal(lambda: runs.delete(study.id)).message  # a part waits
    for job in reader.all(JobState.QUEUED, 100).jobs:
        runs.cancel(job.id)
    runs.delete(study.id)
    assert [job.id for job in reader.all(None, 100).jobs] == [other.id]


def test_the_list_can_be_of_one_state_and_short(runs: Runs, reader: RunReader) -> None:
    jobs = [start(runs, asked) for asked in (ASKED, OTHER, THIRD)]
    runs.cancel(jobs[0].id)

    assert [job.id for job in reader.all(JobState.CANCELLED, 10).jobs] == [jobs[0].id]
    assert len(reader.all(JobState.QUEUED, 1).jobs) == 1


def test_the_list_goes_on_before_a_job(runs: Runs, reader: RunReader) -> None:
    for asked in (ASKED, OTHER, THIRD):
        start(runs, asked)
    first, *others = [job.id for job in reader.all(None, 10).jobs]

    assert [job.id for job in reader.all(None, 10, first).jobs] == others
    assert [job.id for job in reader.all(None, 1, others[0]).jobs] == others[1:]


@pytest.mark.parametrize("run_id", ["nothing", "..", "../data", "a/b", ""])
def test_a_job_that_is_not_there_is_not_found(runs: Runs, reader: RunReader, run_id: str) -> None:
    assert refusal(lambda: reader.show(run_id)).status == 404


def test_the_log_is_its_last_lines(runs: Runs, reader: RunReader, folder: Path) -> None:
    job = start(runs)

    assert reader.log_lines(job.id, 2) == []
    (folder / "runs" / job.id / "log.txt").write_bytes(b"one\ntwo \xff\nthree\n")
    assert reader.log_lines(job.id, 2) == ["two �", "three"]


def test_cancelling_a_job_that_waits_takes_it_out_of_the_queue_at_once(runs: Runs, redis: Redis) -> None:
    job = start(runs)

    assert runs.cancel(job.id).state == JobState.CANCELLED
    assert waiting(redis) == []


def test_cancelling_twice_is_a_conflict_that_says_so(runs: Runs) -> None:
    job = start(runs)
    runs.cancel(job.id)

    error = refusal(lambda: runs.cancel(job.id))
    assert (error.status, error.message) == (
        409,
        f"Job {job.id} is cancelled already, so there is nothing to cancel.",
    )


def test_a_job_that_the_queue_lost_can_be_cancelled_and_resumed(runs: Runs, reader: RunReader, redis: Redis) -> None:
    job = start(runs)
    redis.flushall()

    assert "It is in no queue; no worker is running" in (reader.show(job.id).message or "")
    assert runs.cancel(job.id).state == JobState.CANCELLED
    assert runs.resume(job.id).state == JobState.QUEUED
    assert waiting(redis) == [job.id]


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.FINISHED])
def test_a_job_that_did_not_stop_early_cannot_be_resumed(runs: Runs, folder: Path, state: JobState) -> None:
    job = start(runs)
    RunFolder.open(folder / "runs", job.id).set_state(RunState(state=state))

    assert refusal(lambda: runs.resume(job.id)).status == 409


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.FAILED, JobState.INTERRUPTED])
def test_a_job_that_stopped_early_is_queued_again_once(runs: Runs, redis: Redis, folder: Path, state: JobState) -> None:
    job = start(runs)
    run = RunFolder.open(folder / "runs", job.id)
    run.set_state(RunState(state=state, message="The machine stopped."))
    run.ask_to_cancel()

    resumed = runs.resume(job.id)

    assert resumed.state == JobState.QUEUED
    assert not run.cancel_asked()
    assert waiting(redis) == [job.id]


def test_an_interrupted_job_is_resumed_before_what_waits_and_a_cancelled_one_behind(
    runs: Runs, redis: Redis, folder: Path
) -> None:
    interrupted, cancelled, other = (start(runs, asked) for asked in (ASKED, OTHER, THIRD))
    for job in (interrupted, cancelled):
        runs.cancel(job.id)
    RunFolder.open(folder / "runs", interrupted.id).set_state(RunState(state=JobState.INTERRUPTED))

    for job in (cancelled, interrupted):
        runs.resume(job.id)

    assert waiting(redis) == [interrupted.id, other.id, cancelled.id]


def test_a_job_whose_process_was_killed_says_so_and_is_cancelled_at_once(
    runs: Runs, reader: RunReader, folder: Path
) -> None:
    job = start(runs)
    run = RunFolder.open(folder / "runs", job.id)
    with only_one(run):
        run.set_state(RunState(state=JobState.RUNNING))
        assert reader.show(job.id).message is None
        assert runs.cancel(job.id, "ada").state == JobState.CANCELLING
        run.withdraw_cancel()
    assert "Its process has gone; it goes on from its last checkpoint" in (reader.show(job.id).message or "")

    assert runs.cancel(job.id, "ada").state == JobState.CANCELLED
    assert run.cancel_asked()  # a worker that brings it back just now ends it
    assert (run.history()[-2].state, run.history()[-2].message) == (JobState.CANCELLING, "Asked by ada.")


def test_a_wish_to_cancel_outlives_the_process_that_should_heed_it(runs: Runs, reader: RunReader, folder: Path) -> None:
    job = start(runs)
    run = RunFolder.open(folder / "runs", job.id)
    run.set_state(RunState(state=JobState.RUNNING))
    run.ask_to_cancel()

    assert reader.show(job.id).message == "Its process has gone; it is cancelled once a worker runs."
    assert runs.cancel(job.id).state == JobState.CANCELLED


def test_a_job_that_another_machine_has_is_asked_to_stop(runs: Runs, reader: RunReader, folder: Path) -> None:
    job = start(runs)
    run = RunFolder.open(folder / "runs", job.id)
    run.set_state(RunState(state=JobState.RUNNING))
    (run.path / LEASE_FILE).touch()

    assert reader.show(job.id).message is None
    assert runs.cancel(job.id).state == JobState.CANCELLING


def test_a_change_of_a_job_that_is_deleted_meanwhile_finds_none(runs: Runs, folder: Path, has_to_wait: Event) -> None:
    job = start(runs)
    path = folder / "runs" / job.id
    with ThreadPoolExecutor(1) as thread:
        held = os.open(path, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        change = thread.submit(refusal, lambda: runs.cancel(job.id))
        change.add_done_callback(lambda _: has_to_wait.set())  # if it did not wait for its turn
        has_to_wait.wait()
        path.rename(folder / "runs" / ".deleted")
        os.close(held)

        assert change.result().status == 404


def test_a_job_that_cannot_be_queued_is_handed_to_nobody(
    runs: Runs, queue: JobQueue, folder: Path, has_to_wait: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        same = thread.submit(lambda: runs.start(ASKED))
        same.add_done_callback(lambda _: has_to_wait.set())  # if it did not wait for this one
        has_to_wait.wait()
        others.append(same)
        monkeypatch.setattr(queue, "enqueue", enqueue)
        raise ApiError(status=503, code="queue_unavailable", message="The job queue does not answer.")

    others: list[Future[tuple[Job, bool]]] = []
    enqueue = queue.enqueue
    monkeypatch.setattr(queue, "enqueue", away)
    with ThreadPoolExecutor(1) as thread:
        assert refusal(lambda: runs.start(ASKED)).code == "queue_unavailable"
        job, is_new = others[0].result()

    assert is_new
    assert [path.name for path in (folder / "runs").iterdir()] == [job.id]


def test_an_interrupted_job_keeps_its_sentence_and_says_why_it_waits(
    runs: Runs, reader: RunReader, folder: Path
) -> None:
    job = start(runs)
    RunFolder.open(folder / "runs", job.id).set_state(RunState(state=JobState.INTERRUPTED, message="Its process died."))

    assert (reader.show(job.id).message or "").startswith("Its process died. Number 1 in the queue; no worker")


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.INTERRUPTED])
def test_an_open_job_that_was_asked_to_stop_is_shown_as_stopping(
    runs: Runs, reader: RunReader, folder: Path, state: JobState
) -> None:
    job = start(runs)
    run = RunFolder.open(folder / "runs", job.id)
    run.set_state(RunState(state=state))
    run.ask_to_cancel()

    assert reader.show(job.id).state == JobState.CANCELLING


def test_a_resume_without_a_queue_changes_nothing(
    runs: Runs, make_runs: Callable[[JobQueue], Runs], absent_queue: JobQueue, folder: Path
) -> None:
    job = start(runs)
    run = RunFolder.open(folder / "runs", job.id)
    failed = RunState(state=JobState.FAILED, message="The data set is gone.")
    run.set_state(failed)

    assert refusal(lambda: make_runs(absent_queue).resume(job.id)).code == "queue_unavailable"
    assert run.state() == failed


def test_a_change_that_cannot_be_written_says_so_and_leaves_the_job_as_it_was(
    runs: Runs, reader: RunReader, redis: Redis, folder: Path
) -> None:
    job = start(runs)
    with no_room():
        refused = refusal(lambda: runs.cancel(job.id))
    assert (refused.status, refused.code) == (503, "runs_unavailable")
    assert reader.show(job.id).state == JobState.QUEUED
    assert waiting(redis) == [job.id]
    runs.cancel(job.id)
    run = RunFolder.open(folder / "runs", job.id)
    run.ask_to_cancel()
    with no_room():
        refused = refusal(lambda: runs.resume(job.id))
    assert (refused.status, refused.code) == (503, "runs_unavailable")
    assert reader.show(job.id).state == JobState.CANCELLED
    assert run.cancel_asked()


def test_a_job_whose_data_set_is_gone_cannot_be_resumed(runs: Runs, folder: Path) -> None:
    job = start(runs)
    runs.cancel(job.id)
    (folder / "data/faces.zip").unlink()

    assert refusal(lambda: runs.resume(job.id)).field == "dataset"


def test_cancels_and_resumes_at_once_leave_one_of_the_two_states(runs: Runs, reader: RunReader, redis: Redis) -> None:
    job = start(runs)

    def attempt(change: Callable[[str], Job]) -> int:
        try:
            change(job.id)
        except ApiError as error:
            return error.status
        return 200

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(attempt, [runs.cancel, runs.resume] * 12))

    assert set(statuses) <= {200, 409}
    ended = reader.show(job.id)
    assert (ended.state, waiting(redis)) in [(JobState.CANCELLED, []), (JobState.QUEUED, [job.id])]


def test_a_running_job_is_asked_to_stop_and_can_be_resumed_once_it_has(
    runs: Runs, reader: RunReader, worker: subprocess.Popen[bytes], folder: Path
) -> None:
    job = start(runs)
    wait_for(reader, job.id, JobState.RUNNING)
    second = start(runs, OTHER)
    assert reader.show(second.id).message == f"Number 1 in the queue; the worker is busy with {job.id}."

    assert runs.cancel(job.id).state in {JobState.CANCELLING, JobState.CANCELLED}
    wait_for(reader, job.id, JobState.CANCELLED)
    wait_for(reader, second.id, JobState.RUNNING)
    assert runs.resume(job.id).state == JobState.QUEUED

    runs.cancel(second.id)
    wait_for(reader, job.id, JobState.RUNNING)
    runs.cancel(job.id)
    wait_for(reader, job.id, JobState.CANCELLED)


def taken(runs: Runs, reader: RunReader, folder: Path) -> RunFolder:
    """Return the run of a new job that the worker is at."""
    job = start(runs)
    wait_for(reader, job.id, JobState.RUNNING)
    return RunFolder.open(folder / "runs", job.id)


def test_a_job_that_a_worker_has_just_taken_is_asked_to_stop(
    runs: Runs, reader: RunReader, worker: subprocess.Popen[bytes], folder: Path
) -> None:
    run = taken(runs, reader, folder)
    run.set_state(RunState(state=JobState.QUEUED))  # as before the worker's process says that it runs

    runs.cancel(run.id)

    assert run.cancel_asked()
    wait_for(reader, run.id, JobState.CANCELLED)


def test_a_job_that_a_worker_is_still_stopping_is_resumed_once_it_has(
    runs: Runs, reader: RunReader, queue: JobQueue, worker: subprocess.Popen[bytes], folder: Path
) -> None:
    run = taken(runs, reader, folder)
    run.set_state(RunState(state=JobState.CANCELLED))  # as a training does just before its process ends

    error = refusal(lambda: runs.resume(run.id))
    assert (error.status, error.code) == (409, "job_state")
    assert "A worker is still stopping job" in error.message
    assert run.state().state == JobState.CANCELLED

    run.ask_to_cancel()
    while queue.is_taken(run.id):
        time.sleep(0.05)
    runs.resume(run.id)
    wait_for(reader, run.id, JobState.RUNNING)


def test_a_job_that_a_worker_is_still_ending_is_deleted_once_it_has(
    runs: Runs, reader: RunReader, queue: JobQueue, worker: subprocess.Popen[bytes], folder: Path
) -> None:
    run = taken(runs, reader, folder)
    run.set_state(RunState(state=JobState.FINISHED))
    (run.path / LOCK_FILE).unlink()  # as its process frees it at its end, before the worker notes that in the queue

    error = refusal(lambda: runs.delete(run.id))
    assert (error.status, error.code) == (409, "job_state")
    assert "A worker is still at job" in error.message
    assert run.path.exists()

    run.ask_to_cancel()
    while queue.is_taken(run.id):
        time.sleep(0.05)
    runs.delete(run.id)
    assert not run.path.exists()


def test_a_job_that_another_machine_has_is_deleted_once_it_has_given_it_back(runs: Runs, folder: Path) -> None:
    job = start(runs)
    runs.cancel(job.id)
    run = RunFolder.open(folder / "runs", job.id)
    (run.path / LEASE_FILE).touch()

    error = refusal(lambda: runs.delete(job.id))
    assert (error.status, error.code) == (409, "job_state")
    assert "A worker is still at job" in error.message

    (run.path / LEASE_FILE).unlink()
    runs.delete(job.id)
    assert not run.path.exists()
