"""Kills, with SIGKILL, what a training needs: the training itself, its worker, both, or the queue server; in turn.

A training is killed once it has written a checkpoint since the last time: the worker gives up a run whose process dies
three times without getting on, and a night must end.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import psutil

from scripts.night.trainings import Holders, worker_of
from shared.run_folder import CHECKPOINTS, CHECKPOINTS_DIR, LOG_FILE, RunFolder, utc_now

Kind = Literal["training", "worker", "both", "queue"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
GONE_S: Final = 30.0
"""Longest wait for a killed process to go, so that what it left can be read."""


@dataclass(frozen=True)
class Kill:
    """One kill, and how far the run was that it hit."""

    time: str
    kind: Kind
    pids: tuple[int, ...]
    run: str | None = None
    """The run whose training was killed; None where none was."""
    phase: str | None = None
    step: int = 0
    """The last step that the run told, at most a second before."""
    unsaved_s: float = 0.0
    """Seconds that it had trained since its newest checkpoint, or since its process began."""
    log_bytes: int = 0
    """The log's length: what follows was logged afterwards."""


def pauses(every_s: float, seed: int) -> Iterator[float]:
    """Yield the seconds between kills for ever: `every_s`, up to a half more or less, the same for a seed."""
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    while True:
        yield chance.uniform(0.5, 1.5) * every_s


def newest_checkpoint(run: RunFolder) -> Path | None:
    """Return the run's newest checkpoint, if it has one."""
    return max((run.path / CHECKPOINTS_DIR).glob(CHECKPOINTS), default=None)


class Killer:
    """Decides when and whom, and does it.

    Args:
        runs_dir: the folder of all runs, on this machine.
        kinds: what to kill, in turn.
        every_s: seconds between two kills, on average.
        seed: of the pauses and of the choice among several trainings.
        kill_queue: ends the queue server and returns its process ids; None where it is not ours.
        most: kill at most so often.
    """

    def __init__(
        self,
        runs_dir: Path,
        kinds: Sequence[Kind],
        every_s: float,
        seed: int,
        kill_queue: Callable[[], list[int]] | None,
        most: int | None = None,
    ) -> None:
        self.kills: list[Kill] = []
        self._runs_dir, self._kinds, self._kill_queue, self._most = runs_dir, tuple(kinds), kill_queue, most
        self._pauses = pauses(every_s, seed)
        self._chance = random.Random(seed + 1)  # noqa: S311
        self._due = time.monotonic() + next(self._pauses)
        self._hit_at: dict[str, Path | None] = {}

    @property
    def is_due(self) -> bool:
        """Whether it is time to kill again."""
        return time.monotonic() >= self._due and (self._most is None or len(self.kills) < self._most)

    def strike(self, holders: Holders) -> Kill | None:
        """Kill the kind whose turn it is, and return what was done; None if that is not there now: try again soon."""
        kill = self._strike(self._kinds[len(self.kills) % len(self._kinds)], holders)
        if kill:
            self._due = time.monotonic() + next(self._pauses)
            self.kills.append(kill)
        return kill

    def _strike(self, kind: Kind, holders: Holders) -> Kill | None:
        if kind == "queue":
            return Kill(utc_now(), kind, tuple(self._kill_queue())) if self._kill_queue and holders else None
        trainings = [(run_id, pid) for run_id, pids in sorted(holders.items()) for pid in sorted(pids)]
        self._chance.shuffle(trainings)
        for run_id, pid in trainings:
            worker = worker_of(pid)
            if kind != "training" and worker is None:
                continue
            if kind == "worker":
                return Kill(utc_now(), kind, kill_all(worker))
            if self._may_be_hit(run_id):
                return self._kill_training(kind, run_id, pid, worker if kind == "both" else None)
        return None

    def _may_be_hit(self, run_id: str) -> bool:
        newest = newest_checkpoint(RunFolder(self._runs_dir / run_id))
        return newest is not None and newest != self._hit_at.get(run_id)

    def _kill_training(self, kind: Kind, run_id: str, pid: int, worker: int | None) -> Kill | None:
        run = RunFolder(self._runs_dir / run_id)
        try:
            began = psutil.Process(pid).create_time()
        except psutil.Error:
            return None
        now, pids = time.time(), kill_all(worker, pid)
        progress, newest, log = run.progress(), newest_checkpoint(run), run.path / LOG_FILE
        self._hit_at[run_id] = newest
        since = max(began, newest.stat().st_mtime if newest else 0.0)
        return Kill(
            utc_now(),
            kind,
            pids,
            run=run_id,
            phase=progress.phase,
            step=progress.step,
            unsaved_s=round(max(0.0, now - since), 1) if progress.phase == "training" else 0.0,
            log_bytes=log.stat().st_size if log.exists() else 0,
        )


def kill_all(*pids: int | None) -> tuple[int, ...]:
    """Kill processes, the first first, and return when they have gone; return the ids."""
    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found += [psutil.Process(pid)] if pid else []
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + GONE_S
    while not all(map(_has_ended, found)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return tuple(process.pid for process in found)


def _has_ended(process: psutil.Process) -> bool:
    """Return whether a process has ended, also while its parent has not asked for its exit code yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
