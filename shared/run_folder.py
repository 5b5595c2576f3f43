"""A run's folder `runs/<id>/`: the truth about a job, whatever becomes of the queue.

```
request.json    what was asked for, and when; written once, before the job is queued
state.json      queued, running, …; the sentence beside it; the model that it made
progress.json   phase, epoch, step, loss, ETA; replaced while it runs
metrics.jsonl   a line an epoch
checkpoints/    the trainer's
cancel          there if somebody wants it to stop
log.txt         the trainer's log
```
The gateway writes request.json, the queued state and `cancel`; the trainer writes the rest. Each file is replaced
atomically, so readers never see half of one.
"""

import contextlib
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import RunFolderError
from shared.model_folder import write_atomically
from shared.schemas import Job, JobProgress, JobRequest, JobState, MetricRow

Content = TypeVar("Content", bound=BaseModel)

RUN_ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
QUEUE_NAME = "trainer"
"""The queue between the gateway and the workers."""

TRAIN_FUNCTION = "trainer.jobs.train"
"""The one function that may be queued; the gateway names it, the worker checks it."""


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunRequest(BaseModel):
    """The content of request.json."""

    request: JobRequest
    created: str


class RunState(BaseModel):
    """The content of state.json."""

    state: JobState
    message: str | None = None
    model: str | None = None
    started: str | None = None
    ended: str | None = None


class RunFolder:
    """One run's folder; every method reads or writes one file of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name

    @classmethod
    def create(cls, runs_dir: Path, request: JobRequest) -> "RunFolder":
        """Make the folder of a new job: state queued."""
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        run = cls(runs_dir / f"{stamp}-{request.view}-{secrets.token_hex(3)}")
        run.path.mkdir(parents=True)
        run.set_state(RunState(state=JobState.QUEUED))
        content = RunRequest(request=request, created=utc_now()).model_dump_json(indent=1)
        write_atomically(run.path / "request.json", content + "\n")
        return run

    @classmethod
    def open(cls, runs_dir: Path, run_id: str) -> "RunFolder":
        """Return the folder of an existing run.

        Raises:
            RunFolderError: no such run (or an id that would leave the folder).
        """
        run = cls(runs_dir / run_id)
        if not RUN_ID_PATTERN.fullmatch(run_id) or not (run.path / "request.json").is_file():
            raise RunFolderError(f"There is no job '{run_id[:80]}'.")
        return run

    @classmethod
    def all(cls, runs_dir: Path) -> list["RunFolder"]:
        """Return every run, newest first; folders that are no runs are left out."""
        found = (path.parent for path in runs_dir.glob("*/request.json"))
        runs = [cls(path) for path in found if RUN_ID_PATTERN.fullmatch(path.name)]
        return sorted(runs, key=lambda run: run.id, reverse=True)

    def request(self) -> RunRequest:
        """Return what was asked for.

        Raises:
            RunFolderError: the file is missing or not of this version.
        """
        return self._read("request.json", RunRequest)

    def state(self) -> RunState:
        """Return the state. Raises RunFolderError as `request`."""
        return self._read("state.json", RunState)

    def set_state(self, state: RunState) -> None:
        """Replace the state."""
        write_atomically(self.path / "state.json", state.model_dump_json(indent=1) + "\n")

    def progress(self) -> JobProgress:
        """Return how far the run is; the beginning if it has not said yet."""
        try:
            return self._read("progress.json", JobProgress)
        except RunFolderError:
            return JobProgress()

    def set_progress(self, progress: JobProgress) -> None:
        """Replace the progress."""
        write_atomically(self.path / "progress.json", progress.model_dump_json(indent=1) + "\n")

    def metrics(self) -> list[MetricRow]:
        """Return the epochs so far; a line that is being written, or that a crash cut off, is left out."""
        try:
            lines = (self.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        rows = []
        for line in lines:
            with contextlib.suppress(ValidationError):
                if line.endswith(b"\n"):
                    rows.append(MetricRow.model_validate_json(line))
        return rows

    def ask_to_cancel(self) -> None:
        """Leave word that the run shall stop; it does within seconds, with a checkpoint."""
        (self.path / "cancel").touch()

    def withdraw_cancel(self) -> None:
        """Take that word back, before the run is resumed."""
        (self.path / "cancel").unlink(missing_ok=True)

    def cancel_asked(self) -> bool:
        """Return whether somebody wants the run to stop."""
        return (self.path / "cancel").exists()

    def job(self) -> Job:
        """Return the run as the gateway shows it. Raises RunFolderError as `request`."""
        asked, state = self.request(), self.state()
        shown = JobState.CANCELLING if state.state == JobState.RUNNING and self.cancel_asked() else state.state
        return Job(
            id=self.id,
            request=asked.request,
            state=shown,
            progress=self.progress(),
            message=state.message,
            model=state.model,
            created=asked.created,
            started=state.started,
            ended=state.ended,
        )

    def _read(self, name: str, kind: type[Content]) -> Content:
        try:
            return kind.model_validate_json((self.path / name).read_bytes())
        except (OSError, ValidationError) as error:
            raise RunFolderError(f"The file {name} of job {self.id} is missing or cannot be read.") from error
