"""The study from the command line: train all of it, measure the released models, compute the cells again.

torch is only loaded by what measures or trains.
"""

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from shared.errors import RunFolderError
from shared.run_folder import REPORT_DIR, RunFolder, RunState
from shared.schemas.jobs import JobRequest, JobState
from shared.study_plan import create_study
from trainer.errors import StudyMismatchError
from trainer.run_lock import cancel, reopen
from trainer.settings import Settings
from trainer.study.sample import ROBUSTNESS_IMAGES

HELP: Final = {
    "study": "train the six models of the study and report on them; goes on where it was stopped",
    "study-report": "measure the active models for the study and write models/study.json",
    "study-verify": "compute every cell of models/study.json again from the active models' files",
}
COMMANDS: Final = frozenset(HELP)
VERIFY_DIR: Final = ".study-verify"
"""In the folder of the runs: what the models answered to a verification that has not ended."""

Execute = Callable[[RunFolder, Settings], RunState]


def add_commands(commands: Any, add_settings: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the commands to the subparsers of the trainer's command line."""
    parsers = {name: commands.add_parser(name, help=text) for name, text in HELP.items()}
    for parser in parsers.values():
        parser.add_argument("--data", type=Path, required=True, help="a zip, folder or CSV of FER2013")
    parsers["study"].add_argument("--name", help="what the models' names begin with (default: nothing)")
    parsers["study"].add_argument("--anew", action="store_true", help="begin from the start, also where one was begun")
    add_settings(parsers["study"])
    for name in ("study-report", "study-verify"):
        parsers[name].add_argument(
            "--cache",
            type=Path,
            help="keep the models' answers here, to go on after a stop, and trust those that lie there and no others "
            "(default: a folder in the runs, which a verification empties at its end)",
        )
    parsers["study-report"].add_argument(
        "--robustness-images",
        type=_count,
        default=ROBUSTNESS_IMAGES,
        help="test images, drawn at random, that are damaged in every way; 0 for all (default: %(default)s)",
    )


def run(arguments: argparse.Namespace, settings: Settings, given: dict[str, Any], execute: Execute) -> int:
    """Do the command and print what came of it; return the exit status.

    Args:
        arguments: the command's.
        settings: where things lie.
        given: the training settings that were given.
        execute: does one job.
    """
    if arguments.command == "study":
        asked = {"kind": "study", "dataset": arguments.data.name, "name": arguments.name, "settings": given}
        run, end = make_study(JobRequest.model_validate(asked), settings, execute, anew=arguments.anew)
        if end.state == JobState.FINISHED:
            print(f"report: {run.path / REPORT_DIR}")
        return 0 if end.state == JobState.FINISHED else 1
    return _measure(arguments, settings)


def _measure(arguments: argparse.Namespace, settings: Settings) -> int:
    """Measure the active models, or verify what was measured, with the progress shown."""
    from trainer.study.released import measure_released

    try:
        with tqdm(unit="face", unit_scale=True, smoothing=0.05, disable=None) as bar:

            def show(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            if arguments.command == "study-report":
                images = arguments.robustness_images
                words = f"wrote {measure_released(settings, arguments.data, arguments.cache, show, images)}"
            else:
                words = f"{_verify(arguments, settings, show)} cells are those of the study"
    except KeyboardInterrupt:
        print("Stopped. What the models answered is kept: the same command goes on from there.")
        return 130
    print(words)
    return 0


def _verify(arguments: argparse.Namespace, settings: Settings, show: Callable[[int, int], None]) -> int:
    """Return how many cells agree. Answers are kept over a stop and forgotten at the end, so that each verification
    asks the files anew, unless a folder was named. Raises as `trainer.study.released.verify`."""
    from trainer.study.released import verify

    if arguments.cache:
        return verify(settings, arguments.data, arguments.cache, show)
    cache = settings.runs_dir / VERIFY_DIR
    try:
        cells = verify(settings, arguments.data, cache, show)
    except StudyMismatchError:
        shutil.rmtree(cache, ignore_errors=True)
        raise
    shutil.rmtree(cache, ignore_errors=True)
    return cells


def _count(text: str) -> int:
    """Return a whole number from 0 on; argparse tells of others."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"give a whole number from 0 on, not '{text}'")
    return int(text)


def find_or_create(runs_dir: Path, request: JobRequest) -> list[RunFolder]:
    """Return the jobs of this study: those of its last start, if that can still be finished, or new ones."""
    for run in RunFolder.all(runs_dir):
        try:
            if run.request().request != request:
                continue
            parts, has_finished = run.parts(), run.state().state == JobState.FINISHED
            can_go_on = not has_finished and len(parts) == len(run.request().after)
        except RunFolderError:  # a folder that cannot be read, of this study or of anything else
            continue
        return [*parts, run] if can_go_on else create_study(runs_dir, request)
    return create_study(runs_dir, request)


def make_study(
    request: JobRequest, settings: Settings, execute: Execute, *, anew: bool = False
) -> tuple[RunFolder, RunState]:
    """Do a study's jobs one after the other, skipping those that are done; return the last one tried and its end.

    One that was begun before, with the same settings and a data set of the same name, goes on, unless it is to be
    `anew`. If one was cancelled, all that have not ended are, so that no worker goes on with them.
    """
    find = create_study if anew else find_or_create
    jobs = find(settings.runs_dir, request)
    for run in jobs:
        reopen(run)
        end = execute(run, settings)
        if end.state != JobState.FINISHED:
            break
    if end.state == JobState.CANCELLED:
        for other in jobs:
            cancel(other)
    return run, end
