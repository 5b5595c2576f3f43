"""The command line of a night's run, and the requests that follow from it."""

import argparse
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, get_args

from scripts.night.kills import KINDS
from shared.schemas.jobs import JobRequest
from shared.schemas.training import TrainOn, TrainSettings, setting_help
from shared.study_plan import FINE_TUNING

VIEWS: Final[tuple[TrainOn, ...]] = ("upper", "lower", "left", "right")


def parser() -> argparse.ArgumentParser:
    """Return the parser of `python -m scripts.night`."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.night",
        description="Queue fine-tunings at once, kill what trains them now and then, and tell what became of them.",
    )
    parser.add_argument("--dataset", required=True, help="a data set's name in the data folder, such as fer2013.zip")
    parser.add_argument("--views", nargs="+", choices=get_args(TrainOn), default=list(VIEWS), help="one job each")
    parser.add_argument("--base-model", required=True, help="<name>/<version> to fine-tune from, such as any/11")
    parser.add_argument("--teacher", help="<name>/<version> that sees the whole face and teaches")
    _add_stack(parser)
    _add_kills(parser)
    settings = parser.add_argument_group("training", "as in `python -m trainer train --help`; true or false for a flag")
    for name in TrainSettings.model_fields:
        text = setting_help(name).replace("%", "%%")
        settings.add_argument(f"--{name.replace('_', '-')}", default=argparse.SUPPRESS, help=text)
    return parser


def _add_stack(parser: argparse.ArgumentParser) -> None:
    stack = parser.add_argument_group("stack", "started for the night without Docker, unless --gateway names one")
    stack.add_argument("--folder", type=Path, default=Path("night"), help="runs, logs and the report (default: night)")
    stack.add_argument("--data-dir", type=Path, help="where the data sets lie (default: DATA_DIR, or data)")
    stack.add_argument("--models-dir", type=Path, help="where the models lie and come (default: MODELS_DIR, or models)")
    stack.add_argument("--workers", type=int, default=1, help="trainings side by side (default: 1)")
    stack.add_argument("--gateway", help="address of a running stack on this machine, which restarts its own parts")
    stack.add_argument("--key-file", type=Path, help="with --gateway: a file with a key of the role train")
    stack.add_argument("--runs-dir", type=Path, help="with --gateway: its folder of runs")


def _add_kills(parser: argparse.ArgumentParser) -> None:
    kills = parser.add_argument_group("kills")
    kills.add_argument("--kill-every", type=float, default=600.0, help="seconds, 50 %% more or less (default: 600)")
    kills.add_argument("--kill", nargs="+", choices=KINDS, help="in turn (default: all; with --gateway: training)")
    kills.add_argument("--most-kills", type=int, help="then leave it alone (default: no limit)")
    kills.add_argument("--kill-seed", type=int, default=0, help="of the pauses and choices (default: 0)")
    kills.add_argument("--look-every", type=float, default=2.0, help="seconds between two looks (default: 2)")
    kills.add_argument("--hours", type=float, default=14.0, help="give up after so long (default: 14)")


def check(parser: argparse.ArgumentParser, asked: argparse.Namespace) -> None:
    """End with a sentence where options do not go together."""
    if asked.gateway and not (asked.key_file and asked.runs_dir):
        parser.error("--gateway needs --key-file and --runs-dir too")
    if asked.gateway and "queue" in (asked.kill or ()):
        parser.error("the queue is killed only where the stack is started here, without --gateway")
    if asked.kill_every <= 0 or asked.look_every <= 0 or asked.hours <= 0 or asked.workers < 1:
        parser.error("--kill-every, --look-every, --hours and --workers must be above 0")


def settings_of(asked: argparse.Namespace) -> dict[str, Any]:
    """Return the training's settings that were given; with a teacher, the study's share of the loss, unless given."""
    given = {name: value for name, value in vars(asked).items() if name in TrainSettings.model_fields}
    taught = {"distill_weight": FINE_TUNING["distill_weight"]} if asked.teacher else {}
    return {**taught, **given}


def requests_of(asked: argparse.Namespace) -> list[JobRequest]:
    """Return a request for each view.

    Raises:
        ValidationError: a setting that cannot be used.
    """
    common = {
        "kind": "fine-tune",
        "dataset": asked.dataset,
        "base_model": asked.base_model,
        "teacher": asked.teacher,
        "settings": settings_of(asked),
    }
    return [JobRequest.model_validate({**common, "view": view}) for view in asked.views]


def key_of(asked: argparse.Namespace, request: JobRequest) -> str:
    """Return the idempotency key of a job: the same for the same request in the same folder."""
    return f"night-{sha256(f'{asked.folder.absolute()} {request.model_dump_json()}'.encode()).hexdigest()}"
