"""A run that a worker takes from the storage: its lease, its folder and its models, from the first file to the last.

The training itself reads and writes the worker's own folders and waits for nothing here. While the storage does not
answer, it goes on, and what it wrote is put later; the log says so. At the end the worker tries for `PATIENCE_S`
(`HURRY_S` if it has to stop). If that fails, the run stays where it is, interrupted, and its lease runs out: whoever
takes it next goes on from the last checkpoint in the storage, or here from the last one that was written.
"""

import logging
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from shared.errors import HalffaceError
from shared.model_folder import model_path
from shared.run_folder import (
    CANCEL_FILE,
    HISTORY_FILE,
    LEASE_FILE,
    LOCK_FILE,
    REQUEST_FILE,
    STATE_FILE,
    RunFolder,
    RunState,
)
from shared.schemas.jobs import OPEN_STATES, JobState
from trainer.errors import StorageError
from trainer.run_lock import only_one
from trainer.settings import Settings
from trainer.storage import SYNC_DIR, is_home
from trainer.storage.files import reached, stamps
from trainer.storage.lease import Lease, LeaseNote
from trainer.storage.memory import Memories
from trainer.storage.mirror import Mirror
from trainer.storage.models import fetch_model, fetch_needed, put_model
from trainer.storage.repeated import Repeated
from trainer.storage.store import open_storage

log = logging.getLogger(__name__)

READY_S: Final = 30.0
"""How long a worker waits for a run that the queue knows before the storage does."""

LEASE_REQUEST_S: Final = 10
"""Longest request about a lease: it must not hang until the lease has run out."""

PATIENCE_S: Final = 600.0
HURRY_S: Final = 30.0
RETRY_S: Final = 2.0
WEIGHTS_EVERY_S: Final = 60.0
"""Checkpoints and best weights are large: while it trains, they wait so long after a checkpoint was put. Best weights
that are put alone, since the checkpoint after them is not written yet, do not let that one wait."""

SIGN_S: Final = 0.5

GOES_ON: Final = "; the training goes on"

StopAsked = Callable[[], bool]


@contextmanager
def lent(run_id: str, settings: Settings, owner: str, stop_asked: StopAsked) -> Iterator[StopAsked | None]:
    """Take a run to do it within the block; yield when it has to stop, or None where it is not to be had.

    Args:
        run_id: the run.
        settings: where the folders and the storage lie.
        owner: the worker's name.
        stop_asked: whether this process has to end.
    """
    loan = _taken(run_id, settings, owner, stop_asked)
    if loan is None:
        yield None
        return
    with Repeated(loan.give_sign, min(SIGN_S, settings.storage_seconds), "lease", GOES_ON):
        if not loan.fetch():
            yield None
            return
        if loan.is_home:
            yield loan.has_to_stop
        else:
            with Repeated(loan.put_changes, settings.storage_seconds, "mirror", GOES_ON):
                yield loan.has_to_stop
        loan.end()


def _taken(run_id: str, settings: Settings, owner: str, stop_asked: StopAsked) -> "Loan | None":
    """Return the run, its lease taken; None, and a word in the log, where it is not to be had now."""
    try:
        loan = Loan(run_id, settings, owner, stop_asked)
        return loan if loan.take() else None
    except StorageError as error:
        log.error("run %s is left for later: %s", run_id, error)
        return None


class Loan:
    """One run at a worker that has its lease."""

    def __init__(self, run_id: str, settings: Settings, owner: str, stop_asked: StopAsked) -> None:
        self.is_home = is_home(settings.runs_dir)
        self._settings, self._stop_asked = settings, stop_asked
        self._run = RunFolder(settings.runs_dir / run_id)
        self._storage = open_storage(settings)
        self._mirror = Mirror(self._storage, self._run.path)
        seconds = settings.storage_lease_seconds
        note = LeaseNote(owner=owner, machine=socket.gethostname(), home=self.is_home, seconds=seconds)
        self._lease = Lease(open_storage(settings, request_s=LEASE_REQUEST_S), run_id, note)
        self._is_here = self._is_published = False
        self._looked_s, self._put_checkpoint_s = 0.0, -WEIGHTS_EVERY_S

    def has_to_stop(self) -> bool:
        """Return whether the training has to stop: this process ends, or another machine has the run."""
        return self._stop_asked() or self._lease.lost

    def take(self) -> bool:
        """Take the lease once the run may be done; return False where it is not to be had. Raises StorageError."""
        if not self.is_home and not self._wait_until_ready():
            log.error("run %s is not in the storage, or has ended: is python -m trainer sync running?", self._run.id)
            return False
        if is_home(self._settings.runs_dir) != self.is_home:
            return False  # the folders have just become the gateway's: they must not be taken for a copy
        if not self._lease.take():
            log.warning("run %s: another worker has it", self._run.id)
            return False
        return True

    def adopt(self) -> bool:
        """Go on for a process that died while it had the run; return whether it has it still. Raises StorageError."""
        if not self._lease.adopt():
            return False
        self._mirror.recall()
        return True

    def fetch(self) -> bool:
        """Fetch what the run needs; where that fails, give it back and return False."""
        try:
            if self.is_home:
                self._take_over_from_elsewhere()
            else:
                self._fetch()
        except (HalffaceError, OSError) as error:
            log.error("run %s is left for later: %s", self._run.id, error)
            with suppress(StorageError):
                self._lease.free()
            return False
        self._is_here = True
        return True

    def _wait_until_ready(self) -> bool:
        """Wait until the gateway's machine has put the run, in a state in which it may be done."""
        until = time.monotonic() + READY_S
        while not self._is_ready():
            if time.monotonic() > until or self._stop_asked():
                return False
            time.sleep(RETRY_S / 4)
        return True

    def _is_ready(self) -> bool:
        there = self._mirror.listed()
        found = self._storage.read(self._mirror.prefix + STATE_FILE) if REQUEST_FILE in there else None
        return found is not None and _state(found[0]) in OPEN_STATES

    def _fetch(self) -> None:
        """Fetch the run's folder, unless what an outage kept here is further on, and all that it names."""
        folder = self._run.path
        if folder.exists():
            with only_one(self._run, wait_s=0) as alone:
                if not alone:
                    raise StorageError("A process of this machine that has lost the run is still stopping.")
        if reached(stamps(folder)) > reached(self._mirror.listed()):
            log.info("run %s goes on from what is still here", self._run.id)
            self._mirror.recall()
            self._fetch_anew(REQUEST_FILE, CANCEL_FILE, STATE_FILE, HISTORY_FILE)
        else:
            _empty(folder)
            self._mirror.fetch_all()
        fetch_needed(self._storage, self._settings.runs_dir, self._settings.models_dir, self._run)

    def _take_over_from_elsewhere(self) -> None:
        """Let the gateway's folder catch up with what a worker elsewhere did, its checkpoints included.

        Nobody else can change the run now, but `sync` may not have seen the last change.
        """
        until = time.monotonic() + READY_S
        while not self._is_in_step():
            if time.monotonic() > until or self._stop_asked():
                raise StorageError("The folder lags behind the storage: is python -m trainer sync running?")
            time.sleep(RETRY_S / 4)
        (self._run.path / LEASE_FILE).unlink(missing_ok=True)
        there = self._mirror.listed()
        if reached(there) > reached(stamps(self._run.path)):
            self._mirror.fetch_weights(there)

    def _is_in_step(self) -> bool:
        """Return whether the state in the storage is one that the gateway's folder has had."""
        there = self._mirror.listed().get(STATE_FILE)
        known = Memories(self._settings.runs_dir / SYNC_DIR).of(self._run.id).files.get(STATE_FILE)
        return there is None or (known is not None and known.version == there.version)

    def _fetch_anew(self, *names: str) -> None:
        there = self._mirror.listed()
        for name in names:
            if name in there:
                self._mirror.fetch(name, there[name])
            else:
                (self._run.path / name).unlink(missing_ok=True)

    def give_sign(self) -> None:
        """Renew the lease when that is due, and look for a wish to cancel. Raises StorageError."""
        if self._lease.due and not self._lease.renew():
            log.error("run %s was taken away: this worker was silent for too long; it stops", self._run.id)
        if self.is_home or not self._is_here or time.monotonic() - self._looked_s < self._settings.storage_seconds:
            return
        self._looked_s = time.monotonic()
        if self._storage.exists(self._mirror.prefix + CANCEL_FILE):
            self._run.ask_to_cancel()

    def put_changes(self) -> None:
        """Put what the training has written, but no end: that comes after the model. Raises StorageError."""
        if not self._lease.sure:
            return
        weights_too = time.monotonic() - self._put_checkpoint_s > WEIGHTS_EVERY_S
        if self._mirror.put_changes(_is_running, weights_too=weights_too, may=lambda: self._lease.sure):
            self._put_checkpoint_s = time.monotonic()

    def end(self) -> None:
        """Put the model, the rest and the end, and give the run back; try for a while where the storage fails."""
        began, told = time.monotonic(), False
        while True:
            try:
                self._put_all()
                return
            except (HalffaceError, OSError) as error:
                if not told:
                    log.warning("run %s has ended and waits for the storage: %s", self._run.id, error)
                told = True
            if time.monotonic() - began > (HURRY_S if self._stop_asked() else PATIENCE_S):
                self._keep_here()
                return
            time.sleep(RETRY_S)

    def _put_all(self) -> None:
        if not (self._run.path / REQUEST_FILE).is_file():  # it died before it had fetched the run
            self._lease.free()
        elif not self._lease.renew():
            self._drop_model()
        else:
            model = self._made()
            if model is not None:
                self._publish(model)
            has_finished = self._run.state().state == JobState.FINISHED
            weights_too = not has_finished and not self.is_home
            self._mirror.put_changes(weights_too=weights_too, may=lambda: self._lease.sure)
            if not self._lease.sure:
                raise StorageError("The lease ran out while the end was put.")  # renewed, or lost for good, next time
            if has_finished:
                self._mirror.remove_weights()  # the model is what remains
            self._lease.free()
        if not self.is_home:
            shutil.rmtree(self._run.path, ignore_errors=True)

    def _made(self) -> str | None:
        """Return the version that this run has made; one that it only measured is none of its own."""
        model = self._run.state().model
        return model if model is not None and model.rsplit("/", 1)[-1] == self._run.id else None

    def _publish(self, model: str) -> None:
        """Put the version; where a worker put it before and died before it could say so, that one is the version."""
        if self._is_published:
            return
        if not put_model(self._storage, self._settings.models_dir, model) and not self.is_home:
            self._drop_model()
            fetch_model(self._storage, self._settings.models_dir, model)
        self._is_published = True

    def _drop_model(self) -> None:
        """Remove a version that nobody else has seen: whoever does the run makes another of the same name."""
        model = self._made()
        if model is not None and not self.is_home:
            shutil.rmtree(model_path(self._settings.models_dir, model), ignore_errors=True)

    def _keep_here(self) -> None:
        """Leave the run interrupted in the folder here; the gateway's folder is right as it is."""
        if self.is_home:
            return
        message = "The storage did not answer at the end of the training; it goes on from its last checkpoint."
        log.error("run %s stays in %s: %s", self._run.id, self._run.path, message)
        self._drop_model()
        state = self._run.state()
        self._run.set_state(RunState(state=JobState.INTERRUPTED, message=message, started=state.started))


def _empty(folder: Path) -> None:
    """Remove what is in a run's folder, but not the lock: this process may hold it, and a new file is a new lock."""
    for path in folder.glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK_FILE:
            path.unlink(missing_ok=True)


def _state(content: bytes) -> JobState | None:
    try:
        return RunState.model_validate_json(content).state
    except ValidationError:
        return None


def _is_running(content: bytes) -> bool:
    return _state(content) == JobState.RUNNING


def hand_back(run_id: str, settings: Settings, owner: str) -> None:
    """Give back the run of a process that died: put what it left, free its lease. Raises StorageError."""
    loan = Loan(run_id, settings, owner, stop_asked=lambda: True)
    if loan.adopt():
        with Repeated(loan.give_sign, min(SIGN_S, settings.storage_seconds), "lease"):
            loan.end()
