"""Which worker has a run: `runs/<id>/lease.json` in the storage, as a lock on a folder does not reach other machines.

A worker takes the lease by a write that succeeds only if there is no lease, or an unchanged one that says that nobody
has it (S3: If-None-Match and If-Match), so of several workers one gets it. While it trains it writes the lease anew
four times in `seconds`; at the end it writes that nobody has it. `python -m trainer sync` takes a lease away that was
not written anew for `seconds`, with a write that succeeds only if that is still so. Its owner, should it live, finds
the lease changed at its next renewal, stops and puts nothing more: it puts only after a renewal that is younger than
half of `seconds`.

**Clocks** are never compared: only `sync` judges, by how long it has seen the lease unchanged on its own monotonic
clock. Machines whose clocks are hours apart, or are set while they run, do no harm; `written` is for people. Time in
which the storage did not answer `sync` does not count, so an outage takes no run away from its worker. An owner counts
the time in which its machine slept.

**A store that cannot write conditionally**, or takes the header and ignores it, gets a plain write after a look. So
each taker reads the lease once more after `SETTLE_S`, and the last writer has it. Two takers can then both believe in
theirs only if one was held up for longer than that between its look and its write; the other finds out at its next
renewal and stops, and what it did meanwhile is overwritten. (A store that answers such writes with an error needs
AWS_CONDITIONAL_PUT=disabled.)
"""

import logging
import threading
import time
from typing import Final

from pydantic import BaseModel, ValidationError

from shared.run_folder import LEASE_FILE, utc_now
from trainer.storage.store import Item, Storage

log = logging.getLogger(__name__)

SETTLE_S: Final = 1.0
RENEWALS: Final = 4
"""How often a lease is renewed before it would count as silent."""


class LeaseNote(BaseModel):
    """The content of lease.json."""

    owner: str | None = None
    """The worker's name; None: nobody has the run."""
    machine: str = ""
    home: bool = False
    """Whether the worker shares the gateway's folders."""
    seconds: float = 60.0
    """Silent for so long, it is taken away."""
    renewals: int = 0
    written: str = ""
    """By the owner's clock, for people only."""


def _now_s() -> float:
    """Return seconds of a clock that nobody sets and that, on Linux, goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def lease_key(run_id: str) -> str:
    """Return where the lease of a run lies."""
    return f"runs/{run_id}/{LEASE_FILE}"


def _content(note: LeaseNote) -> bytes:
    return (note.model_copy(update={"written": utc_now()}).model_dump_json(indent=1) + "\n").encode()


def _parsed(content: bytes) -> LeaseNote:
    """Return a lease; one that cannot be read is nobody's."""
    try:
        return LeaseNote.model_validate_json(content)
    except ValidationError:
        return LeaseNote()


class Lease:
    """One worker's hold on one run; safe to use from several threads.

    Args:
        storage: where the lease lies.
        run_id: the run.
        note: who asks, and for how long a silence it shall be kept.
    """

    def __init__(self, storage: Storage, run_id: str, note: LeaseNote) -> None:
        self._storage, self._key, self._note = storage, lease_key(run_id), note
        self._version: str | None = None
        self._renewed_s = 0.0
        self._lock = threading.RLock()
        self.lost = False

    def take(self) -> bool:
        """Take the lease; return whether it is ours now. Raises StorageError."""
        with self._lock:
            found = self._storage.read(self._key)
            began = _now_s()
            if found is None:
                self._version = self._storage.create(self._key, _content(self._note))
            elif _parsed(found[0]).owner in (None, self._note.owner):
                self._version = self._storage.replace(self._key, _content(self._note), found[1])
            if self._version is None:
                return False
            time.sleep(SETTLE_S)
            self._renewed_s = began
            return self.adopt()

    def adopt(self) -> bool:
        """Return whether the lease in the storage is ours, and go on from it if so. Raises StorageError."""
        with self._lock:
            found = self._storage.read(self._key)
            if found is None or _parsed(found[0]).owner != self._note.owner:
                return False
            self._version = found[1]
            return True

    @property
    def sure(self) -> bool:
        """Whether nobody can have taken the lease away meanwhile."""
        return not self.lost and _now_s() - self._renewed_s < self._note.seconds / 2

    @property
    def due(self) -> bool:
        """Whether it is time to renew it."""
        is_held = self._version is not None and not self.lost
        return is_held and _now_s() - self._renewed_s >= self._note.seconds / RENEWALS

    def renew(self) -> bool:
        """Write the lease anew; return False, and be `lost` for good, if it is not ours any more. Raises StorageError.

        A write whose answer was lost on the way looks like somebody else's, so the lease is read before it is given up.
        """
        with self._lock:
            for _ in range(2):
                if self.lost or self._version is None:
                    break
                began = _now_s()
                self._note = self._note.model_copy(update={"renewals": self._note.renewals + 1})
                version = self._storage.replace(self._key, _content(self._note), self._version)
                if version is not None:
                    self._version, self._renewed_s = version, began
                    return True
                if not self.adopt():
                    self.lost = True
            return False

    def free(self) -> None:
        """Say that nobody has the run. Raises StorageError."""
        with self._lock:
            if self._version is not None and not self.lost:
                self._storage.replace(self._key, _content(LeaseNote()), self._version)
            self._version = None


class Watch:
    """Sees which leases are renewed, and takes those away that are not.

    Args:
        storage: where the leases lie.
        longest_gap_s: of the time between two looks no more than this counts as silence.
    """

    def __init__(self, storage: Storage, longest_gap_s: float) -> None:
        self._storage, self._longest_gap_s = storage, longest_gap_s
        self._seen: dict[str, _Seen] = {}
        self.taken_away: set[str] = set()
        """The runs that were taken away from silent workers; whoever heeds it, empties it."""

    def holder(self, run_id: str, item: Item | None) -> LeaseNote | None:
        """Return the lease of a run if somebody has it. Raises StorageError.

        Args:
            run_id: the run.
            item: its lease.json as the storage has just listed it.
        """
        if item is None:
            self._seen.pop(run_id, None)
            return None
        now, seen = time.monotonic(), self._seen.get(run_id)
        if seen is None or seen.version != item.version:
            found = self._storage.read(lease_key(run_id))
            seen = self._seen[run_id] = _Seen(*found, now) if found else _Seen(b"", "", now)
        else:
            seen.look(now, self._longest_gap_s)
        if seen.note.owner is None:
            return None
        if seen.silent_s < seen.note.seconds:
            return seen.note
        return self._take_away(run_id, seen)

    def _take_away(self, run_id: str, seen: "_Seen") -> LeaseNote | None:
        version = self._storage.replace(lease_key(run_id), _content(LeaseNote()), seen.version)
        self._seen.pop(run_id)
        if version is None:
            return seen.note  # it was renewed just now
        self.taken_away.add(run_id)
        log.warning("run %s: its worker on %s gave no sign for %.0f s", run_id, seen.note.machine, seen.note.seconds)
        return None


class _Seen:
    """A lease as it was last seen to change, and for how long it has been silent since."""

    def __init__(self, content: bytes, version: str, now_s: float) -> None:
        self.note, self.version = _parsed(content), version
        self.silent_s, self._looked_s = 0.0, now_s

    def look(self, now_s: float, longest_gap_s: float) -> None:
        """Note that it is unchanged."""
        self.silent_s += min(now_s - self._looked_s, longest_gap_s)
        self._looked_s = now_s
