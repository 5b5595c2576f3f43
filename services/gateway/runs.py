"""What one can change about jobs. Plain functions over run folders and the queue; no Flask, no RQ.

Two requests for one run at once take turns: each change holds a lock on the run's folder, so a state is never judged
by one and replaced by another. Every refusal is an `ApiError`.
"""

import fcntl
import logging
import os
from collections.abc import Iterator, Set
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from services.gateway.job_checks import JobChecks
from services.gateway.job_queue import JobQueue
from services.gateway.removal import remove
from services.gateway.run_reader import WAITING, RunReader, read, readable
from shared.errors import RunFolderError
from shared.run_folder import REQUEST_FILE, RunFolder, RunState, utc_now
from shared.schemas.jobs import OPEN_STATES, RESUMABLE, Deleted, Job, JobRequest, JobState
from shared.schemas.training import FROM_BASE, IMAGENET
from shared.study_plan import create_study
from shared.web import ApiError

_log = logging.getLogger("halfface.gateway.runs")


class Runs:
    """The jobs in `runs_dir`.

    Args:
        runs_dir: where the runs' folders are.
        queue: takes the jobs to the workers.
        reader: shows what became of a change.
        checks: what must be true of a job before it is queued.
    """

    def __init__(self, runs_dir: Path, queue: JobQueue, reader: RunReader, checks: JobChecks) -> None:
        self._runs_dir = runs_dir
        self._queue = queue
        self._reader = reader
        self._checks = checks

    def start(self, asked: JobRequest, by: str | None = None, idempotency_key: str | None = None) -> tuple[Job, bool]:
        """Check a request, make its folder and queue it; all of it or nothing.

        Args:
            asked: the request.
            by: who asks.
            idempotency_key: of the client's choice; the same key means the same job, whatever has become of it.

        Returns:
            The job, and whether it is new: one that comes with a key gets the key's job; one without a key the open job
            of an equal request, unless that is being cancelled.
        """
        completed = self._checks.completed(asked)
        same = None
        with suppress(FileNotFoundError), _flock(self._runs_dir):  # what is being made may yet be taken back
            # whatever has become of what it names, and of the queue
            same = self._same(completed, asked, idempotency_key)
        if same is not None:
            return self._reader.show(same.id), False
        self._checks.check(completed)
        return self._make(completed, asked, by=by, idempotency_key=idempotency_key)

    def retry(self, run_id: str, by: str | None = None) -> tuple[Job, bool]:
        """Start a job anew that has ended, from nothing and with the same request; the old one stays as it is.

        Returns:
            The job, and whether it is new: where an equal one is open, it is that.
        """
        run = self._reader.open(run_id)
        job = read(run)
        if job.state in OPEN_STATES:
            raise _conflict(f"Job {run_id} is {job.state.value}; cancel it before you start it anew.")
        self._checks.check(job.request)
        return self._make(job.request, job.request, by=by, retry_of=run_id)

    def _make(
        self, completed: JobRequest, asked: JobRequest, *, idempotency_key: str | None = None, **origin: str | None
    ) -> tuple[Job, bool]:
        """Make and queue what is asked for, unless another request just has; return the job and whether it is new."""
        self._queue.ping()
        with self._locked():
            same = self._same(completed, asked, idempotency_key)
            if same is None:
                runs = self._create(completed, idempotency_key=idempotency_key, **origin)
                self._queue_all(runs)
        run = runs[-1] if same is None else same
        return self._reader.show(run.id), same is None

    def cancel(self, run_id: str, by: str | None = None) -> Job:
        """Cancel a job: by word to its worker, or at once where none has it; a study with all its parts."""
        run = self._reader.open(run_id)
        parts = run.parts() if read(run).request.kind == "study" else []
        cancelled = [self._cancel(each, by) for each in (*filter(readable, parts), run)]
        if not any(cancelled):
            raise _conflict(f"Job {run_id} is {read(run).state.value} already, so there is nothing to cancel.")
        return self._reader.show(run_id)

    def _cancel(self, run: RunFolder, by: str | None) -> bool:
        """Return whether there was anything to cancel."""
        with self._turn(run):
            if read(run).state not in OPEN_STATES:
                return False
            was = run.state()
            is_free = was.state in WAITING and self._queue.withdraw(run.id)
            is_abandoned = run.is_abandoned()
            if not is_free:
                run.ask_to_cancel(by)  # also where it is abandoned: a worker may just be bringing it back
            if is_free or is_abandoned:
                try:
                    run.set_state(RunState(state=JobState.CANCELLED, started=was.started, ended=utc_now()))
                except OSError:
                    if is_free:
                        self._queue.enqueue(run.id, run.request().request.kind, first=True)
                    raise
            return True

    def resume(self, run_id: str) -> Job:
        """Queue a job again that was cancelled, failed or interrupted; a study with its parts that were.

        Each goes on from its last checkpoint.
        """
        run = self._reader.open(run_id)
        is_study = read(run).request.kind == "study"
        self._require_parts(run)
        stopped = [part for part in run.parts() if _may_resume(part)] if is_study else []
        for part in stopped:
            self._resume(part)
        if _may_resume(run) or not stopped:  # a study still waits while its parts have stopped
            self._resume(run)
        return self._reader.show(run_id)

    def _require_parts(self, run: RunFolder) -> None:
        """Return if every job is there that the run waits for, or takes a model from."""
        gone = [other for other in run.request().after if not (self._runs_dir / other / REQUEST_FILE).is_file()]
        if gone:
            advice = "start it anew" if read(run).request.kind == "study" else "start another one that names a version"
            raise _conflict(f"Job {run.id} needs job {gone[0]}, which was deleted; {advice}.")

    def _resume(self, run: RunFolder) -> None:
        with self._turn(run):
            job = read(run)
            if not _may_resume(run):
                raise _conflict(_why_not_resumable(job))
            self._checks.check(job.request)
            if self._queue.is_taken(run.id):
                raise _conflict(f"A worker is still stopping job {run.id}; try again in a few seconds.")
            self._queue_again(run)

    def delete(self, run_id: str) -> Deleted:
        """Remove the folder of a job that has ended, of a study those of its parts too; models that they made stay."""
        run = self._reader.open(run_id)
        folders = [run, *self._parts(run)]
        gone = {folder.id for folder in folders}
        with ExitStack() as turns:
            for folder in folders:
                turns.enter_context(self._turn(folder))
            for folder in folders:
                self._require_deletable(folder, gone)
            freed = 0
            for folder in reversed(folders):  # the study last, so that what is left after an error can be deleted too
                size_bytes = folder.size_bytes()
                self._remove(folder)
                freed += size_bytes
        return Deleted(id=run_id, freed_bytes=freed)

    def _parts(self, run: RunFolder) -> list[RunFolder]:
        """Return the parts of a study; of a folder that cannot be read, the runs that say that they are its parts."""
        job = readable(run)
        if job is not None:
            return run.parts() if job.request.kind == "study" else []
        return [each for each in RunFolder.all(self._runs_dir) if (other := readable(each)) and other.study == run.id]

    def _require_deletable(self, run: RunFolder, gone: Set[str]) -> None:
        """Return if nobody does the run and no job waits for it, but for those that are `gone` with it.

        One whose folder cannot be read can only be deleted.
        """
        job = readable(run)
        if job is not None and job.state in OPEN_STATES:
            raise _conflict(f"Job {run.id} is {job.state.value}; cancel it before you delete it.")
        if run.has_process() or run.is_lent() or self._queue.is_taken(run.id):
            raise _conflict(f"A worker is still at job {run.id}; try again in two minutes.")
        waiting = [
            each.id for each in RunFolder.all(self._runs_dir) if each.id not in gone and _waits_for(each, run.id)
        ]
        if waiting:
            raise _conflict(f"Job {waiting[0]} waits for job {run.id}; cancel that one first.")

    @contextmanager
    def _turn(self, run: RunFolder) -> Iterator[None]:
        """Wait until no other request, of this process or another, is changing the run."""
        with ExitStack() as held:
            try:
                with suppress(FileNotFoundError):
                    held.enter_context(_flock(run.path))
                self._reader.open(run.id)  # says so if the run was deleted meanwhile
                yield
            except OSError as error:
                raise self._unwritable(error) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Wait until no other request, of this process or another, is making a run."""
        try:
            self._runs_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error
        with _flock(self._runs_dir):
            yield

    def _same(self, completed: JobRequest, asked: JobRequest, key: str | None) -> RunFolder | None:
        """Return the run that this request means already.

        Args:
            completed: see `JobChecks.completed`.
            asked: as it came: with a key it means the key's run, whatever has become of what would complete it.
            key: of the client's choice.

        Raises:
            ApiError: 409 `idempotency_key`: its key was used for another request.
        """
        for run in RunFolder.all(self._runs_dir):
            try:
                other, state = run.request(), run.state().state
            except RunFolderError:
                continue
            if key is not None and other.idempotency_key == key:
                if not _agrees(asked, other.request):
                    message = f"This Idempotency-Key belongs to job {run.id}, which asks for something else."
                    raise ApiError(status=409, code="idempotency_key", message=message)
                return run
            is_open = state in OPEN_STATES and other.study is None and not run.cancel_asked()
            if key is None and is_open and other.request == completed:
                return run
        return None

    def _create(self, asked: JobRequest, **origin: str | None) -> list[RunFolder]:
        """Make the folders of a job and of its parts; the job's own is the last."""
        try:
            if asked.kind == "study":
                return create_study(self._runs_dir, asked, **origin)
            return [RunFolder.create(self._runs_dir, asked, **origin)]
        except OSError as error:
            raise self._unwritable(error) from error

    def _queue_all(self, runs: list[RunFolder]) -> None:
        """Queue the runs that wait for no other; workers queue the others in time. Remove all if that fails."""
        try:
            for run in runs:
                if not run.unfinished():
                    self._queue.enqueue(run.id, run.request().request.kind)
        except ApiError:
            for run in runs:
                self._remove(run)
            raise

    def _remove(self, run: RunFolder) -> None:
        try:
            remove(run)
        except OSError as error:
            raise self._unwritable(error) from error

    def _queue_again(self, run: RunFolder) -> None:
        """Queue the run, before all others if it was interrupted; leave its folder as it was if that fails."""
        before, cancel_asked = run.state(), run.cancel_asked()
        try:
            run.withdraw_cancel()
            run.set_state(RunState(state=JobState.QUEUED, started=before.started))
            if not run.unfinished():
                kind, was_interrupted = run.request().request.kind, before.state == JobState.INTERRUPTED
                self._queue.enqueue(run.id, kind, first=was_interrupted)
        except (ApiError, OSError):
            with suppress(OSError):  # where nothing can be written, the state is what it was
                if cancel_asked:
                    run.ask_to_cancel()
                run.set_state(before)
            raise

    def _unwritable(self, error: OSError) -> ApiError:
        _log.error("no run can be made in %s: %s", self._runs_dir, error)
        message = "The runs folder cannot be written; check its permissions and the free space."
        return ApiError(status=503, code="runs_unavailable", message=message)


def _agrees(asked: JobRequest, stored: JobRequest) -> bool:
    """Return whether a request asks for what is stored; what a fine-tuning leaves to its start may be anything."""
    is_fine_tuning = asked.base_model not in (None, IMAGENET)
    untold = set(FROM_BASE) - asked.settings.model_fields_set if is_fine_tuning else set()
    settings = asked.settings.model_copy(update={name: getattr(stored.settings, name) for name in untold})
    return stored == asked.model_copy(update={"settings": settings})


def _waits_for(run: RunFolder, run_id: str) -> bool:
    job = readable(run)
    return job is not None and run_id in job.after and job.state in OPEN_STATES


def _may_resume(run: RunFolder) -> bool:
    """Return whether the run stopped early; a wish to cancel that nobody has followed yet is taken back."""
    read(run)  # says so where the folder cannot be read
    return run.state().state in RESUMABLE


@contextmanager
def _flock(path: Path) -> Iterator[None]:
    folder = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)  # gives up the lock


def _why_not_resumable(job: Job) -> str:
    if job.state == JobState.CANCELLING:
        return f"Job {job.id} is still stopping; resume it once it is cancelled."
    if job.state == JobState.FINISHED:
        return f"Job {job.id} is finished; start a new job to train again."
    return f"Job {job.id} is {job.state.value} already."


def _conflict(message: str) -> ApiError:
    return ApiError(status=409, code="job_state", message=message)
