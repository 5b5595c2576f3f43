"""The gateway's side of the storage: `python -m trainer sync`, beside the gateway, in its folders.

Every few seconds it looks at each run that is under way: puts what the gateway or a worker of this machine wrote,
fetches what a worker elsewhere did, and removes from the storage what the gateway has deleted. It never removes
anything here but checkpoints that gave way to newer ones. It sees all leases, so it is the one that queues lost runs
again, in place of the workers.

Checkpoints are large, so they travel only while nobody has the run, and not at all once it has finished: those that a
worker here left are put before the run is queued again, and those of a run that stopped elsewhere are fetched last.

`runs/.sync/` holds what each run's files were when both sides were last the same. Without it (a new disk) the runs of
the storage are fetched, and where both sides have a file, the storage is right.
"""

import fcntl
import logging
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.serializers import JSONSerializer

from shared.errors import ModelFolderError, RunFolderError
from shared.files import write_atomically
from shared.json_logs import configure_json_logs
from shared.model_folder import ACTIVE_FILE, CARD_FILE, model_path
from shared.run_folder import (
    LEASE_FILE,
    QUEUE_NAMES,
    REQUEST_FILE,
    RUN_ID_PATTERN,
    STATE_FILE,
    RunFolder,
    RunState,
)
from shared.schemas.jobs import OPEN_STATES, STOPPED, JobState
from trainer.errors import FileChangedError, StorageError
from trainer.settings import Settings
from trainer.storage import SYNC_DIR
from trainer.storage.decisions import Holder
from trainer.storage.files import is_mirrored, reached, stamps
from trainer.storage.lease import RENEWALS, LeaseNote, Watch
from trainer.storage.lost import LostEverywhere
from trainer.storage.memory import Memories, Memory
from trainer.storage.mirror import Mirror
from trainer.storage.models import ACTIVE_KEY, fetch_model, put_model
from trainer.storage.repeated import Repeated
from trainer.storage.store import Storage, open_storage

log = logging.getLogger(__name__)

LOST_EVERY_S: Final = 15.0
ALIVE_FILE: Final = "alive"
"""In `SYNC_DIR`: touched when the storage has answered at the start, and after each round that went well."""


class Sync:
    """Both sides of the gateway's machine.

    Args:
        settings: the folders.
        storage: the other side.
        queues: where lost runs are queued.
    """

    def __init__(self, settings: Settings, storage: Storage, queues: list[Queue]) -> None:
        self._settings, self._storage, self._queues = settings, storage, queues
        self._memories = Memories(settings.runs_dir / SYNC_DIR)
        self._watch = Watch(storage, settings.storage_lease_seconds / RENEWALS)
        self._lost = LostEverywhere(settings.runs_dir, queues)
        self._stopped: list[RunFolder] = []
        self._models: set[str] = set()
        self._told: set[str] = set()
        self._serving: bytes | None = None
        self._looked_for_lost_s, self._is_first, self._has_changed = 0.0, True, False

    def round(self) -> None:
        """Look at everything once. Raises StorageError, also where only the queue does not answer."""
        self._lost.free.clear()
        self._stopped.clear()
        self._put_models()
        waiting = self._waiting()
        looks = [self._look(run, waiting) for run in self._runs()]
        changed = any(looks)
        self._remove_deleted()
        (self._settings.runs_dir / SYNC_DIR / ALIVE_FILE).touch()
        self._is_first = False
        again, self._has_changed = self._has_changed, changed  # a run may have been looked at before what it waits for
        if changed or again or time.monotonic() - self._looked_for_lost_s > LOST_EVERY_S:
            try:
                self._lost.requeue()
            except RedisError as error:
                raise StorageError("The queue at TRAINER_REDIS_URL does not answer.") from error
            self._looked_for_lost_s = time.monotonic()
        for run in self._stopped[:1]:  # the next rounds see to the others: a wish to cancel must not wait for them
            self._fetch_weights(run)

    def _runs(self) -> Iterator[RunFolder]:
        """Yield the runs here; the first time also those that only the storage has and that were never here."""
        yield from RunFolder.all(self._settings.runs_dir)
        for run_id in self._storage.folders("runs/") if self._is_first else []:
            path = self._settings.runs_dir / run_id
            if RUN_ID_PATTERN.fullmatch(run_id) and not _is_run(path) and not self._memories.has(run_id):
                path.mkdir(exist_ok=True)
                yield RunFolder(path)

    def _waiting(self) -> set[str] | None:
        """Return the runs in the queues; None where they do not answer."""
        try:
            return {run_id for queue in self._queues for run_id in queue.job_ids}
        except RedisError:
            return None

    def _look(self, run: RunFolder, waiting: set[str] | None) -> bool:
        """Bring both sides of a run together; return whether its state here has changed."""
        memory = self._memories.of(run.id)
        try:
            if self._rests(run, memory, waiting):
                return False
            return self._bring_together(run, memory)
        except FileChangedError:
            return False  # its worker is quick; the next look sees more
        except (ModelFolderError, RunFolderError, OSError) as error:
            log.error("run %s is left as it is: %s", run.id, error)
            return False
        finally:
            if _is_run(run.path):  # else it was deleted just now, or is not wholly fetched
                self._memories.keep(run.id, memory)

    def _rests(self, run: RunFolder, memory: Memory, waiting: set[str] | None) -> bool:
        """Return whether nobody can have changed the run since both sides were the same."""
        if memory.rests is None or memory.rests != _changed_ns(run):
            return False
        if run.state().state not in OPEN_STATES:
            return True
        return (waiting is not None and run.id in waiting) or bool(run.unfinished())

    def _bring_together(self, run: RunFolder, memory: Memory) -> bool:
        listed = self._storage.files(f"runs/{run.id}/")
        there = {name: item for name, item in listed.items() if is_mirrored(name)}
        note = self._watch.holder(run.id, listed.get(LEASE_FILE))
        holder = Holder.NOBODY if note is None else Holder.HOME if note.home else Holder.ELSEWHERE
        before = _changed_ns(run)
        if (made := _made_by(run)) is not None and not self._put_model(made):
            return False  # nobody elsewhere may see that it has finished before its version is there
        mirror = Mirror(self._storage, run.path, memory.files)
        changed = mirror.reconcile(there, holder, self._fetch_made)
        _show_holder(run, note if holder is Holder.ELSEWHERE else None)
        state, is_behind = run.state().state, False
        if holder is Holder.NOBODY:
            if state != JobState.FINISHED and reached(stamps(run.path)) > reached(there):
                mirror.put_weights(there)
            is_behind = state in STOPPED and reached(stamps(run.path)) < reached(there)
            self._stopped += [run] if is_behind else []
            self._lost.free.add(run.id)
        if run.id in self._watch.taken_away:
            self._watch.taken_away.remove(run.id)
            self._lost.dead.add(run.id)
            changed = True
        known = memory.files.get(STATE_FILE)
        settled = holder is Holder.NOBODY and state in (*STOPPED, JobState.FINISHED, JobState.QUEUED) and not is_behind
        memory.rests = known.mtime_ns if settled and known and before == known.mtime_ns == _changed_ns(run) else None
        return changed

    def _fetch_weights(self, run: RunFolder) -> None:
        mirror = Mirror(self._storage, run.path)
        with suppress(FileChangedError):
            mirror.fetch_weights(mirror.listed())

    def _fetch_made(self, content: bytes) -> None:
        """Fetch the model of a run that has finished, before anybody here sees that it has."""
        try:
            state = RunState.model_validate_json(content)
        except ValidationError as error:
            raise RunFolderError("Its state in the storage cannot be read.") from error
        if state.state == JobState.FINISHED and state.model:
            if not fetch_model(self._storage, self._settings.models_dir, state.model):
                log.error("the storage has no model %s", state.model)
            self._models.add(state.model)

    def _remove_deleted(self) -> None:
        """Remove from the storage what the gateway has deleted here, the request first: nobody begins it then."""
        for run_id in self._memories.all():
            path = self._settings.runs_dir / run_id
            if _is_run(path):
                continue
            names = sorted(self._storage.files(f"runs/{run_id}/"), key=lambda name: name != REQUEST_FILE)
            self._storage.delete(f"runs/{run_id}/{name}" for name in names)
            shutil.rmtree(path, ignore_errors=True)  # what was fetched while the gateway deleted it
            self._memories.drop(run_id)

    def _put_model(self, model_id: str) -> bool:
        """Put a version, once; return False if it is damaged, or not wholly here yet: a later round tries again."""
        if model_id in self._models:
            return True
        try:
            if not model_path(self._settings.models_dir, model_id).exists():
                return True
            put_model(self._storage, self._settings.models_dir, model_id)
        except (ModelFolderError, OSError) as error:
            if model_id not in self._told:
                log.error("%s is not put into the storage: %s", model_id, error)
                self._told.add(model_id)
            return False
        self._models.add(model_id)
        return True

    def _put_models(self) -> None:
        """Put the versions that the storage lacks, and what serves."""
        models_dir = self._settings.models_dir
        for path in sorted(models_dir.glob(f"*/*/{CARD_FILE}")):
            model_id = f"{path.parent.parent.name}/{path.parent.name}"
            if "/." not in f"/{model_id}":
                self._put_model(model_id)
        with suppress(FileNotFoundError):
            serving = (models_dir / ACTIVE_FILE).read_bytes()
            if serving != self._serving:
                self._storage.put(ACTIVE_KEY, serving)
                self._serving = serving


def _made_by(run: RunFolder) -> str | None:
    """Return the version of a run that has finished here."""
    try:
        state = run.state()
    except RunFolderError:
        return None  # it is being fetched
    return state.model if state.state == JobState.FINISHED else None


def _is_run(path: Path) -> bool:
    return (path / REQUEST_FILE).is_file()


def _changed_ns(run: RunFolder) -> int | None:
    try:
        return (run.path / STATE_FILE).stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _show_holder(run: RunFolder, note: LeaseNote | None) -> None:
    """Leave lease.json in the folder while a worker elsewhere has the run."""
    path = run.path / LEASE_FILE
    if note is None:
        path.unlink(missing_ok=True)
        return
    content = note.model_dump_json(indent=1, include={"owner", "machine"}) + "\n"
    if not path.exists() or path.read_text() != content:
        write_atomically(path, content)


@contextmanager
def _only_one(runs_dir: Path) -> Iterator[bool]:
    """Yield whether no other process synchronises this folder."""
    (runs_dir / SYNC_DIR).mkdir(parents=True, exist_ok=True)
    with (runs_dir / SYNC_DIR / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def sync(settings: Settings) -> int:
    """Keep this machine's folders and the storage the same until SIGTERM or SIGINT; return the exit status."""
    configure_json_logs("sync", settings.log_level)
    if not settings.storage_url or not settings.redis_url:
        log.error("Set TRAINER_STORAGE_URL, such as s3://bucket/halfface, and TRAINER_REDIS_URL.")
        return 2
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        redis = Redis.from_url(settings.redis_url, socket_connect_timeout=5, socket_timeout=5, health_check_interval=30)
    except ValueError:
        log.error("TRAINER_REDIS_URL is no address; write it as redis://127.0.0.1:6379/0.")
        return 2
    queues = [Queue(name, connection=redis, serializer=JSONSerializer) for name in QUEUE_NAMES]
    try:
        storage = open_storage(settings)
        storage.folders("runs/")
    except StorageError as error:
        log.error("%s", error)
        return 2
    with _only_one(settings.runs_dir) as alone:
        if not alone:
            log.error("Another `python -m trainer sync` looks after %s; end that one first.", settings.runs_dir)
            return 2
        (settings.runs_dir / SYNC_DIR / ALIVE_FILE).touch()
        rounds = Repeated(Sync(settings, storage, queues).round, settings.storage_seconds, "sync")
        while not stop.is_set():
            rounds.once()
            stop.wait(settings.storage_seconds)
    return 0
