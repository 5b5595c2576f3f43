"""A run's folder `runs/<id>/`: the truth about a job, whatever becomes of the queue.

```
request.json    what was asked for, by whom and when; what it waits for; written once, before the job is queued
state.json      queued, running, …; the sentence beside it; the model that it made
history.jsonl   a line for each change of state; added to
progress.json   phase, epoch, step, loss, ETA; replaced while it runs
metrics.jsonl   a line an epoch; added to
origin.json     which code, arithmetic and machine it began with, and in how many processes
checkpoints/    everything that a training goes on from; the two newest
best.safetensors  the weights of the best epoch so far
start.safetensors  the weights that it started from, where what it makes keeps a share of them
export/         the version's files, until they are in the models folder
answers/        what networks answered; may be deleted at any time
cancel          there if somebody wants it to stop
lock            held by the process that does the run: see trainer.run_lock
reserve         room on the disk for the state in which it ends
deaths          how often its process died without keeping more: see trainer.lost_runs
log.txt         the trainer's log; added to
lease.json      there while a worker of another machine has the run: see trainer.storage
report/         figures as files and as a page, of an evaluation or a study
```
Who makes a job, the gateway or the command line, writes request.json, the queued state and `cancel`; the trainer writes
the rest. What is not added to is replaced atomically, so readers never see half of a file.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import RunFolderError
from shared.files import write_atomically
from shared.schemas.jobs import (
    OPEN_STATES,
    TRAINING_KINDS,
    Job,
    JobProgress,
    JobRequest,
    JobState,
    MetricRow,
    StateChange,
)

Content = TypeVar("Content", bound=BaseModel)

RUN_ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
REQUEST_FILE = "request.json"
STATE_FILE = "state.json"
CANCEL_FILE = "cancel"
LOG_FILE = "log.txt"
LOCK_FILE = "lock"
LEASE_FILE = "lease.json"
ORIGIN_FILE = "origin.json"
REPORT_DIR = "report"
ANSWERS_DIR = "answers"
HISTORY_FILE = "history.jsonl"
METRICS_FILE = "metrics.jsonl"
CHECKPOINTS_DIR = "checkpoints"
CHECKPOINTS = "step-*.safetensors"
"""The files in it; the names of later ones sort behind those of earlier ones."""

BEST_FILE = "best.safetensors"
START_FILE = "start.safetensors"
EXPORT_DIR = "export"
DEATHS_FILE = "deaths"
RESERVE_FILE = "reserve"
FIRST_QUEUE, LAST_QUEUE = "trainer-first", "trainer"
QUEUE_NAMES = (FIRST_QUEUE, LAST_QUEUE)
"""The queues between the gateway and the workers, in the order in which workers empty them."""

RUN_FUNCTION = "trainer.jobs.run"
"""The one function that may be queued; the gateway names it, the worker checks it."""

JOB_OPTIONS: Final[Mapping[str, Any]] = {"job_timeout": -1, "result_ttl": 0, "failure_ttl": 86_400}
"""How it is queued: without a time limit; what RQ notes of a failure is kept for a day, in seconds."""


def queue_name(kind: str) -> str:
    """Return the queue of a kind of job: what takes minutes goes before what takes hours."""
    return LAST_QUEUE if kind in TRAINING_KINDS else FIRST_QUEUE


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class RunRequest(BaseModel):
    """The content of request.json."""

    request: JobRequest
    created: str
    by: str | None = None
    """The name of the key that asked."""
    after: list[str] = []
    """The jobs that must have finished first."""
    study: str | None = None
    """The study of which this is a part, and ..."""
    step: str | None = None
    """... which part."""
    retry_of: str | None = None
    idempotency_key: str | None = None


class RunState(BaseModel):
    """The content of state.json."""

    state: JobState
    message: str | None = None
    model: str | None = None
    started: str | None = None
    ended: str | None = None


class RunOrigin(BaseModel):
    """What others than the model's card read of origin.json."""

    processes: int = 1


class RunFolder:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name

    @classmethod
    def new_id(cls, request: JobRequest) -> str:
        """Return an id that no other run has: the time, what it is, six random hexadecimal digits."""
        stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
        what = request.view if request.kind in TRAINING_KINDS else request.kind
        return f"{stamp}-{what}-{secrets.token_hex(3)}"

    @classmethod
    def create(cls, runs_dir: Path, request: JobRequest, *, run_id: str | None = None, **origin: Any) -> "RunFolder":
        """Make the folder of a new job: state queued.

        Args:
            runs_dir: the folder of all runs.
            request: what is asked for.
            run_id: from `new_id`, where it has to be known before.
            origin: more of RunRequest: `by`, `after` (beside what the request itself waits for), `study`, ...

        Raises OSError if the folder cannot be written; nothing is left of it then.
        """
        asked = RunRequest(request=request, created=utc_now(), **origin)
        asked.after += [run for run in request.waits_for() if run not in asked.after]
        run = cls(runs_dir / (run_id or cls.new_id(request)))
        run.path.mkdir(parents=True)
        try:
            run.set_state(RunState(state=JobState.QUEUED))
            write_atomically(run.path / REQUEST_FILE, asked.model_dump_json(indent=1) + "\n")
        except OSError:
            shutil.rmtree(run.path, ignore_errors=True)
            raise
        return run

    @classmethod
    def open(cls, runs_dir: Path, run_id: str) -> "RunFolder":
        """Return the folder of an existing run.

        Raises:
            RunFolderError: no such run (or an id that would leave the folder).
        """
        run = cls(runs_dir / run_id)
        if not RUN_ID_PATTERN.fullmatch(run_id) or not (run.path / REQUEST_FILE).is_file():
            raise RunFolderError(f"There is no job '{run_id[:80]}'.")
        return run

    @classmethod
    def all(cls, runs_dir: Path) -> list["RunFolder"]:
        """Return every run, newest first; folders that are no runs are left out."""
        found = (path.parent for path in runs_dir.glob(f"*/{REQUEST_FILE}"))
        runs = [cls(path) for path in found if RUN_ID_PATTERN.fullmatch(path.name)]
        return sorted(runs, key=lambda run: run.id, reverse=True)

    def parts(self) -> list["RunFolder"]:
        """Return the jobs that this one waits for and that are still there, in their order."""
        return [type(self)(path) for run in self.request().after if (path := self.path.parent / run).is_dir()]

    def is_without_its_study(self) -> bool:
        """Return whether the run is part of a study that was never wholly made, or that is gone."""
        study = self.request().study
        return study is not None and not (self.path.parent / study / REQUEST_FILE).is_file()

    def unfinished(self) -> list[str]:
        """Return the ids of the jobs that must finish before this one starts; one that is gone never does."""
        return [run for run in self.request().after if not _has_finished(self.path.parent / run)]

    def request(self) -> RunRequest:
        """Return what was asked for.

        Raises:
            RunFolderError: the file is missing or not of this version.
        """
        return self._read(REQUEST_FILE, RunRequest)

    def state(self) -> RunState:
        """Return the state. Raises RunFolderError as `request`."""
        return self._read(STATE_FILE, RunState)

    def set_state(self, state: RunState) -> None:
        """Replace the state, and note the change. A file's name in its message need not be UTF-8."""
        if state.message is not None:
            state = state.model_copy(update={"message": _in_utf8(state.message)})
        write_atomically(self.path / STATE_FILE, state.model_dump_json(indent=1) + "\n")
        self._add(HISTORY_FILE, StateChange(time=utc_now(), state=state.state, message=state.message))

    def history(self) -> list[StateChange]:
        """Return the changes of state, oldest first."""
        return self._lines(HISTORY_FILE, StateChange)

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
        return self._lines(METRICS_FILE, MetricRow)

    def add_metrics(self, row: MetricRow) -> None:
        """Add an epoch. Raises OSError."""
        self._add(METRICS_FILE, row)

    def processes(self) -> int:
        """Return how many processes train it together; 1 if it has not said."""
        try:
            return self._read(ORIGIN_FILE, RunOrigin).processes
        except RunFolderError:
            return RunOrigin().processes

    def ask_to_cancel(self, by: str | None = None) -> None:
        """Leave word that the run shall stop; it does within seconds, with a checkpoint. The history has who asked."""
        is_new = not self.cancel_asked()
        (self.path / CANCEL_FILE).touch()
        with contextlib.suppress(RunFolderError, OSError):  # the word counts, not the note of it
            if is_new and self.state().state in OPEN_STATES:
                message = f"Asked by {by}." if by else None
                self._add(HISTORY_FILE, StateChange(time=utc_now(), state=JobState.CANCELLING, message=message))

    def withdraw_cancel(self) -> None:
        """Take that word back, before the run is resumed."""
        (self.path / CANCEL_FILE).unlink(missing_ok=True)

    def cancel_asked(self) -> bool:
        """Return whether somebody wants the run to stop."""
        return (self.path / CANCEL_FILE).exists()

    def is_lent(self) -> bool:
        """Return whether a worker of another machine has the run."""
        return (self.path / LEASE_FILE).exists()

    def has_process(self) -> bool:
        """Return whether a process of this machine does the run; to see that, its lock is shared for a moment."""
        try:
            with (self.path / LOCK_FILE).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:  # it is held; or nobody can tell, and then it counts as held
            return True
        return False

    def is_abandoned(self) -> bool:
        """Return whether the run is said to run and nobody does it: its process was killed. Raises as `request`."""
        if self.is_lent() or self.has_process():
            return False
        return self.state().state == JobState.RUNNING  # read last: a process that ends says so before it frees the lock

    def job(self) -> Job:
        """Return the run as the gateway shows it. Raises RunFolderError as `request`."""
        asked, state = self.request(), self.state()
        shown = JobState.CANCELLING if state.state in OPEN_STATES and self.cancel_asked() else state.state
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
            by=asked.by,
            step=asked.step,
            study=asked.study,
            after=asked.after,
            retry_of=asked.retry_of,
            has_report=(self.path / REPORT_DIR).is_dir(),
        )

    def remove_weights(self) -> None:
        """Remove what only a run that goes on would read and what takes most room: a finished one's model has it."""
        for folder in (CHECKPOINTS_DIR, EXPORT_DIR):
            shutil.rmtree(self.path / folder, ignore_errors=True)
        for name in (BEST_FILE, START_FILE):
            (self.path / name).unlink(missing_ok=True)

    def size_bytes(self) -> int:
        """Return the room that the folder takes."""
        size = 0
        for folder, _, names in os.walk(self.path):
            for name in names:
                with contextlib.suppress(FileNotFoundError):  # checkpoints make way for newer ones meanwhile
                    size += (Path(folder) / name).lstat().st_size
        return size

    def _add(self, name: str, content: BaseModel) -> None:
        """Add a line to a file, after a line break where a crash or a full disk cut the last line off."""
        line = content.model_dump_json().encode() + b"\n"
        with (self.path / name).open("ab+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)

    def _lines(self, name: str, kind: type[Content]) -> list[Content]:
        """Return what the whole lines of a file hold; one that is being written, or was cut off, is left out."""
        try:
            lines = (self.path / name).read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValidationError):
                if line.endswith(b"\n"):
                    found.append(kind.model_validate_json(line))
        return found

    def _read(self, name: str, kind: type[Content]) -> Content:
        try:
            return kind.model_validate_json((self.path / name).read_bytes())
        except OSError as error:
            raise RunFolderError(f"The file {name} of job {self.id} is missing, or cannot be read.") from error
        except ValidationError as error:
            message = f"The file {name} of job {self.id} is damaged, or of another version of Halfface."
            raise RunFolderError(message) from error


def _in_utf8(text: str) -> str:
    """Return a text in which what stands for a file name's bytes that are no UTF-8 is written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _has_finished(path: Path) -> bool:
    try:
        return RunFolder(path).state().state == JobState.FINISHED
    except RunFolderError:
        return False
