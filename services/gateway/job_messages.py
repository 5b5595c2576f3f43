"""Why a job waits or does not go on, in a sentence for a person."""

from collections.abc import Sequence
from pathlib import Path

from services.gateway.job_queue import QueueSnapshot
from shared.errors import RunFolderError
from shared.run_folder import RunFolder
from shared.schemas.jobs import STOPPED, JobState


def why_waiting(run: RunFolder, snapshot: QueueSnapshot | None) -> str:
    """Return the sentence.

    Args:
        run: the folder of a job whose state is queued.
        snapshot: the queue now; None if it does not answer.
    """
    unfinished = run.unfinished()
    if unfinished:
        return _for_others(run, unfinished)
    if run.is_without_its_study() and not (snapshot and snapshot.knows(run.id)):
        return "Its study is gone or was never wholly made, so no worker takes it; cancel it."
    if snapshot is None:
        return "The job queue does not answer, so its place is not known; the job itself is kept."
    return snapshot.why_waiting(run.id)


def why_abandoned(state: JobState) -> str:
    """Return the sentence of a job that should be running and whose process was killed."""
    if state == JobState.CANCELLING:
        return "Its process has gone; it is cancelled once a worker runs."
    return "Its process has gone; it goes on from its last checkpoint once a worker runs."


def _for_others(run: RunFolder, unfinished: Sequence[str]) -> str:
    states = {other: _state(run.path.parent / other) for other in unfinished}
    gone = [other for other, state in states.items() if state is None]
    if gone:
        return f"It waits for {_listed(gone)}, which was deleted; cancel it and start another one."
    stopped = [other for other, state in states.items() if state in STOPPED]
    if stopped:
        return f"It waits for {_listed(stopped)}, which was cancelled or failed; resume that, and this goes on."
    return f"It waits until {_listed(unfinished)} has finished."


def _listed(ids: Sequence[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{', '.join(ids[:-1])} and {ids[-1]}"


def _state(path: Path) -> JobState | None:
    try:
        return RunFolder(path).state().state
    except RunFolderError:
        return None
