"""Runs that nobody does: found in their folders and queued again, once each, the interrupted ones first.

The folders are the truth, and a run's lock says whether a process does it. So a run is judged and queued with its lock
held: two workers that look at once take turns, and the second finds it in the queue. What a worker has just taken is in
no list until the process that it forks holds the lock; RQ's record of the job tells of it.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from rq import Queue
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from shared.errors import RunFolderError
from shared.run_folder import (
    ANSWERS_DIR,
    CHECKPOINTS,
    CHECKPOINTS_DIR,
    DEATHS_FILE,
    JOB_OPTIONS,
    RUN_FUNCTION,
    STATE_FILE,
    RunFolder,
    queue_name,
    utc_now,
)
from shared.schemas.jobs import OPEN_STATES, TRAINING_KINDS, JobKind, JobState, Phase
from trainer.advice import memory_advice, resume_command
from trainer.run_lock import only_one

log = logging.getLogger(__name__)

SETTLE_SECONDS: Final = 20
"""A run younger than this may be on its way to the queue, or from there to a process: it is left alone."""

MAX_DEATHS: Final = 3
"""A run whose process died this often without being asked is given up, with a sentence."""

_NOUNS: Final[Mapping[JobKind, str]] = {"evaluate": "evaluation", "export": "export", "study": "study's report"}


def note_death(run: RunFolder) -> None:
    """Mark a run whose process died as interrupted; after `MAX_DEATHS` at the same place, as failed.

    One that gets on between its deaths is never given up, however long an epoch takes. The place is what is kept, which
    only grows, and the phase, which begins anew each time: a run dies in each phase a few times at most without
    keeping more. It may have died before it could say that it runs; one that is resumed after it was given up has as
    many lives again.
    """
    state = run.state()
    if state.state == JobState.FINISHED:
        run.remove_weights()  # it may have died before it had
    if state.state not in OPEN_STATES:
        return
    path, kept, phase = run.path / DEATHS_FILE, _kept(run), run.progress().phase
    place = f"{kept}:{phase}"
    deaths = [line for line in path.read_text().split() if line.startswith(f"{kept}:")] if path.exists() else []
    deaths.append(place)
    kind = run.request().request.kind
    if deaths.count(place) < MAX_DEATHS:
        path.write_text("\n".join(deaths) + "\n")
        new, message = JobState.INTERRUPTED, _said_of_death(kind, run)
    else:
        path.unlink(missing_ok=True)
        new, message = JobState.FAILED, _said_of_the_last_death(kind, phase)
    ended = utc_now() if new == JobState.FAILED else state.ended
    run.set_state(state.model_copy(update={"state": new, "message": message, "ended": ended}))


def _kept(run: RunFolder) -> str:
    """Return in a word how much of its work a run has kept: its newest checkpoint, and how many answers of models."""
    newest = max((saved.stem for saved in (run.path / CHECKPOINTS_DIR).glob(CHECKPOINTS)), default="nothing")
    answers = sum(1 for _ in (run.path / ANSWERS_DIR).glob("*.npy"))
    return f"{newest}+{answers}"


def _said_of_death(kind: JobKind, run: RunFolder) -> str:
    if (processes := run.processes()) > 1:
        return f"The training's processes died; it goes on with {resume_command(run.id, processes)}"
    if kind in TRAINING_KINDS:
        return "The training's process died; it goes on from its last checkpoint."
    goes_on = "begins again" if kind == "export" else "goes on with the answers that it has"
    return f"The process of the {_NOUNS[kind]} died; it {goes_on}."


def _said_of_the_last_death(kind: JobKind, phase: Phase) -> str:
    return (
        f"The process of the {_NOUNS.get(kind, 'training')} died {MAX_DEATHS} times without getting on, perhaps for "
        f"want of memory; {memory_advice(kind, phase, 'batch size or network')}."
    )


class LostRuns:
    """Finds the lost runs of a folder and queues them; one for each worker."""

    def __init__(self, runs_dir: Path, queues: Sequence[Queue]) -> None:
        self._runs_dir, self._queues = runs_dir, queues
        self._taken_since: dict[str, float] = {}

    def requeue(self) -> list[str]:
        """Queue every open run that waits for nothing and that no queue and no process knows of; return their ids.

        Those that were interrupted go before all others, the oldest first; the others go behind what waits.
        """
        waiting = self._waiting()
        open_runs = [run for run in RunFolder.all(self._runs_dir) if run.id not in waiting and _may_be_lost(run)]
        lost = [run for run in open_runs if self._is_interrupted(run)]
        lost += [run for run in reversed(open_runs) if run not in lost]
        requeued = [run.id for run in lost if self._requeue(run)]
        if requeued:
            log.warning("queued after a wait or a loss: %s", ", ".join(requeued))
        return requeued

    def _requeue(self, run: RunFolder) -> bool:
        """Return whether the run was queued; one whose folder cannot be written now is left for a later look."""
        try:
            return self._requeue_alone(run)
        except (RunFolderError, OSError) as error:
            log.error("run %s could not be queued: %s", run.id, error)
            return False

    def _requeue_alone(self, run: RunFolder) -> bool:
        """Return whether the run was queued. Its lock is held meanwhile, and everything is looked at anew.

        One of several processes is left to who starts as many.
        """
        with only_one(run, wait_s=0) as alone:
            if not alone or not _may_be_lost(run) or self._is_known(run.id):
                return False
            if run.state().state == JobState.RUNNING:
                note_death(run)
            if run.cancel_asked():
                end = {"state": JobState.CANCELLED, "message": None, "ended": utc_now()}
                run.set_state(run.state().model_copy(update=end))
            if run.state().state not in OPEN_STATES or run.processes() > 1:
                return False
            enqueue(self._queues, run, first=run.state().state == JobState.INTERRUPTED)
            return True

    def _waiting(self) -> set[str]:
        return {run_id for queue in self._queues for run_id in queue.job_ids}

    def _is_known(self, run_id: str) -> bool:
        """Return whether the run waits in a queue, or was taken from one just now.

        A job that RQ calls started, and whose run's lock is free, has lost its process.
        """
        if run_id in self._waiting():
            self._taken_since.pop(run_id, None)
            return True
        try:
            status = Job.fetch(run_id, self._queues[0].connection, JSONSerializer).get_status()
        except (NoSuchJobError, InvalidJobOperation):  # RQ knows nothing of it, any more in the second case
            status = None
        if status != JobStatus.QUEUED:
            self._taken_since.pop(run_id, None)
            return False
        since = self._taken_since.setdefault(run_id, time.monotonic())
        return time.monotonic() - since < SETTLE_SECONDS

    @staticmethod
    def _is_interrupted(run: RunFolder) -> bool:
        try:
            return run.state().state != JobState.QUEUED
        except RunFolderError:
            return False


def enqueue(queues: Sequence[Queue], run: RunFolder, *, first: bool = False) -> None:
    """Put a run on the queue of its kind, behind what waits there or `first`."""
    name = queue_name(run.request().request.kind)
    queue = next(queue for queue in queues if queue.name == name)
    queue.enqueue(RUN_FUNCTION, args=(run.id,), job_id=run.id, at_front=first, **JOB_OPTIONS)


def _may_be_lost(run: RunFolder) -> bool:
    """Return whether a run is open, waits for no other, and would have reached a process if it were on its way."""
    try:
        state, waits = run.state().state, run.unfinished()
        if waits or state not in OPEN_STATES or run.is_without_its_study():
            return False
        changed = _changed(run)
        last_part = max((_changed(part) for part in run.parts()), default=changed)
    except (RunFolderError, OSError):  # a folder that is being removed
        return False
    if state == JobState.INTERRUPTED or (state == JobState.QUEUED and last_part > changed):
        return True  # nobody has queued it since it was interrupted, or since the last one that it waited for finished
    return abs(datetime.now(UTC) - changed) > timedelta(seconds=SETTLE_SECONDS)  # a clock may have been ahead


def _changed(run: RunFolder) -> datetime:
    return datetime.fromtimestamp((run.path / STATE_FILE).stat().st_mtime, UTC)
