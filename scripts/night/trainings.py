"""Which process trains which run: whoever keeps the run's lock open (see `trainer.run_lock.only_one`)."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

import psutil

from shared.run_folder import LOCK_FILE

Holders = Mapping[str, frozenset[int]]
"""Run id to the ids of the processes that have its lock open."""

NOBODY: Final[frozenset[int]] = frozenset()
SECOND_GONE_S: Final = 10.0
"""Seconds after which a process that found a run's lock held has long gone away."""


def lock_holders(runs_dir: Path, run_ids: Collection[str]) -> dict[str, frozenset[int]]:
    """Return who has the locks of these runs open now; a run that nobody has is left out."""
    locks = {str((runs_dir / run_id / LOCK_FILE).resolve()): run_id for run_id in run_ids}
    found: dict[str, frozenset[int]] = {}
    for process in psutil.process_iter():
        for path in _open_files(process):
            if path in locks:
                found[locks[path]] = found.get(locks[path], NOBODY) | {process.pid}
    return found


def _open_files(process: psutil.Process) -> Iterable[str]:
    try:
        return [file.path for file in process.open_files()]
    except psutil.Error:  # gone, a zombie, or another user's
        return []


def worker_of(pid: int) -> int | None:
    """Return the worker that started a training; None if the worker has died."""
    try:
        parent = psutil.Process(pid).parent()
        return parent.pid if parent and "worker" in parent.cmdline() else None
    except psutil.Error:
        return None


class TwiceWatch:
    """Tells who trains, and notes runs that two processes trained at once.

    A process that comes second opens the lock, waits a moment and goes away. So only one that has it open for longer is
    taken to train.
    """

    def __init__(self) -> None:
        self.found: list[str] = []
        self._since: dict[tuple[str, int], float] = {}

    def look(self, holders: Holders, now_s: float) -> dict[str, frozenset[int]]:
        """Return those who had the lock open at the last look too, and note where they train a run at once.

        Args:
            holders: of each run's lock, now.
            now_s: seconds of a clock that only goes on.
        """
        before = self._since
        found = {(run_id, pid) for run_id, pids in holders.items() for pid in pids}
        self._since = {each: before.get(each, now_s) for each in found}
        for run_id, pids in holders.items():
            long = {pid for pid in pids if now_s - self._since[run_id, pid] > SECOND_GONE_S}
            told = f"{run_id} was trained by the processes {', '.join(map(str, sorted(long)))} at once."
            if len(long) > 1 and told not in self.found:
                self.found.append(told)
        stayed = {run_id: frozenset(pid for pid in pids if (run_id, pid) in before) for run_id, pids in holders.items()}
        return {run_id: pids for run_id, pids in stayed.items() if pids}
