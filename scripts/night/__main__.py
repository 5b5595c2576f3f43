"""A night's run: fine-tunings queued at once, and what trains them killed now and then; all must end with a model.

    python -m scripts.night --dataset fer2013.zip --base-model any/11 --teacher full/7 --epochs 2 --kill-every 600

Prints what happens, and at the end a report, which it also writes to FOLDER/night.json. The exit status is 0 only if
every job finished with a whole model of its own, no run was trained twice at once, no half-written model was ever to
be seen, and no more than one checkpoint interval was done again. The same command goes on with a night that ended
early; another night needs another folder.
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Final

from pydantic import ValidationError

from scripts.night import options
from scripts.night.gateway import Gateway
from scripts.night.kills import KINDS, Killer
from scripts.night.model_watch import ModelWatch
from scripts.night.own_stack import OwnStack, settings_for
from scripts.night.report import job_problems, make_report, repeated_too_much
from scripts.night.trainings import TwiceWatch, lock_holders
from scripts.stack import StackError, say, stop_signals
from scripts.up import alone_in
from shared.files import write_atomically
from shared.run_folder import utc_now
from shared.schemas.jobs import OPEN_STATES, Job
from shared.validation import explain

REPORT_FILE: Final = "night.json"
TICK_S: Final = 0.2


@dataclass(frozen=True)
class Place:
    """A stack to spend the night on."""

    gateway: Gateway
    runs_dir: Path
    models_dir: Path
    keep: Callable[[], None]
    """Starts again what does not come back by itself; called often."""
    kill_queue: Callable[[], list[int]] | None
    restarts: dict[str, int]


class Signals:
    """Notes that somebody wants the night to end."""

    def __init__(self) -> None:
        self.came = False
        for number in stop_signals():
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.came = True


@contextmanager
def place_for(asked: argparse.Namespace) -> Iterator[Place]:
    """Give the stack that the options name, or one of our own until the block ends.

    Raises:
        StackError: it cannot be used or does not start.
    """
    settings = settings_for(asked.folder, asked.data_dir, asked.models_dir)
    models_dir = settings.folder(settings.models_dir)
    if asked.gateway:
        try:
            key = asked.key_file.read_text().strip()
        except OSError as error:
            raise StackError(f"The key file {asked.key_file} cannot be read: {error.strerror}.") from error
        yield Place(Gateway(asked.gateway, key), asked.runs_dir, models_dir, lambda: None, None, {})
        return
    stack = OwnStack(settings, asked.workers)
    runs_dir = settings.folder(settings.runs_dir)
    with alone_in(runs_dir):
        try:
            yield Place(stack.start(), runs_dir, models_dir, stack.keep, stack.kill_queue, stack.restarts)
        finally:
            stack.stop()


class Night:
    """The jobs of one night, from the first look to the last."""

    def __init__(self, place: Place, ids: Sequence[str], killer: Killer, asked: argparse.Namespace) -> None:
        self.jobs: list[Job] = []
        self.twice = TwiceWatch()
        self._place, self._ids, self._killer, self._asked = place, tuple(ids), killer, asked
        self._told: dict[str, str] = {}

    @property
    def is_over(self) -> bool:
        """Whether every job has ended."""
        return len(self.jobs) == len(self._ids) and all(job.state not in OPEN_STATES for job in self.jobs)

    def spend(self, wanted: Callable[[], bool]) -> None:
        """Watch and kill until all jobs have ended, while `wanted`, and not beyond the time limit."""
        deadline, next_look = time.monotonic() + self._asked.hours * 3600, 0.0
        while wanted() and not self.is_over and time.monotonic() < deadline:
            self._place.keep()
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + self._asked.look_every
                self._look()
            time.sleep(TICK_S)

    def _look(self) -> None:
        holders = self.twice.look(lock_holders(self._place.runs_dir, self._ids), time.monotonic())
        if self._killer.is_due and (kill := self._killer.strike(holders)):
            hit = f", {kill.run} at step {kill.step}" if kill.run else ""
            say(f"{utc_now()}  killed: {kill.kind}{hit}")
        self.jobs = self._place.gateway.jobs(self._ids) or self.jobs
        for job in self.jobs:
            told = f"{job.state.value}{f', epoch {job.progress.epoch}' if job.progress.epoch else ''}"
            if self._told.get(job.id) != told:
                self._told[job.id] = told
                say(f"{utc_now()}  {job.request.view:7} {told}{f': {job.message}' if job.message else ''}")


def run(asked: argparse.Namespace) -> dict[str, Any]:
    """Spend the night; return the report.

    Raises:
        StackError: the stack cannot be used, or a job is refused.
        ValidationError: a setting cannot be used.
    """
    wanted, signals, began = options.requests_of(asked), Signals(), time.monotonic()
    started = utc_now()
    with place_for(asked) as place, ModelWatch(place.models_dir) as watch:
        ids = [place.gateway.start(request, options.key_of(asked, request)).id for request in wanted]
        say(f"Queued: {', '.join(ids)}")
        kinds = asked.kill or (KINDS if place.kill_queue else ("training",))
        killer = Killer(place.runs_dir, kinds, asked.kill_every, asked.kill_seed, place.kill_queue, asked.most_kills)
        night = Night(place, ids, killer, asked)
        broken = _spent(night, signals)
    interval_s = wanted[0].settings.checkpoint_seconds
    problems = [
        *broken,
        *job_problems(night.jobs, len(ids), place.models_dir),
        *night.twice.found,
        *watch.problems,
        *repeated_too_much(place.runs_dir, killer.kills, interval_s),
    ]
    return make_report(
        night.jobs,
        killer.kills,
        place.runs_dir,
        interval_s=interval_s,
        problems=problems,
        started=started,
        ended=utc_now(),
        wall_clock_s=round(time.monotonic() - began, 1),
        restarts=place.restarts,
        trained_twice_at_once=night.twice.found,
        half_written_models=watch.problems,
    )


def _spent(night: Night, signals: Signals) -> list[str]:
    """Spend the night; return a sentence if the stack broke, so that what came of it until then is reported."""
    try:
        night.spend(lambda: not signals.came)
    except StackError as error:
        return [str(error)]
    return []


def main() -> int:
    """Do what the command line asks; return the exit status."""
    parser = options.parser()
    asked = parser.parse_args()
    options.check(parser, asked)
    try:
        report = run(asked)
    except ValidationError as error:
        print(explain(error)[0], file=sys.stderr)
        return 2
    except StackError as error:
        print(error, file=sys.stderr)
        return 2
    text = json.dumps(report, indent=1)
    write_atomically(asked.folder / REPORT_FILE, text + "\n")
    say(text)
    return 0 if report["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
