"""The trainer from the command line: `python -m trainer train --data data/fer2013.zip --view five`.

A run that was stopped goes on with `python -m trainer resume <run>`.
"""

import argparse
import contextlib
import io
import json
import logging
import signal
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from tqdm import tqdm

from shared.errors import DatasetError, HalffaceError, ModelFolderError
from shared.masking import STUDY_VIEWS, View
from shared.model_folder import model_path, read_card
from shared.run_folder import RunFolder, RunState
from shared.schemas.jobs import EXPORT_OPTIONS, JobProgress, JobRequest, JobState
from shared.schemas.training import IMAGENET, TrainOn, TrainSettings, setting_help
from shared.validation import explain
from trainer import model_commands, study_commands
from trainer.run_lock import reopen
from trainer.settings import Settings, load_settings


class _Stop:
    """Notes SIGINT and SIGTERM, so that a run can write its checkpoint.

    Ctrl-C is a person's wish that it ends: it is cancelled, or a worker that shares the folder would take it up again.
    """

    def __init__(self) -> None:
        self._noted: set[int] = set()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: types.FrameType | None) -> None:
        self._noted.add(number)

    def asked(self, run: RunFolder) -> bool:
        """Return whether the run has to stop."""
        if signal.SIGINT in self._noted:
            with contextlib.suppress(OSError):  # on a full disk it ends as interrupted
                run.ask_to_cancel()
        return bool(self._noted)


def _add_setting(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    kind = {bool: argparse.BooleanOptionalAction}.get(field.annotation)  # type: ignore[arg-type]
    option = f"--{name.replace('_', '-')}"
    text = setting_help(name).replace("%", "%%")
    if kind:
        parser.add_argument(option, action=kind, default=argparse.SUPPRESS, help=text)
    else:
        parser.add_argument(option, default=argparse.SUPPRESS, help=text)


def _add_settings(parser: argparse.ArgumentParser) -> None:
    for name, field in TrainSettings.model_fields.items():
        _add_setting(parser, name, field)


def _given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    given = vars(arguments)
    return {name: given[name] for name in TrainSettings.model_fields if name in given}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train a network and add it to the models")
    train.add_argument("--data", type=Path, required=True, help="a zip, folder or CSV of FER2013")
    train.add_argument("--view", default="full", choices=get_args(TrainOn), help="what is hidden while training")
    train.add_argument("--name", help="the model's name (default: the view's)")
    train.add_argument("--base-model", help="<name>/<version> or `imagenet` to start from (default: random weights)")
    train.add_argument("--teacher", help="<name>/<version> that sees the whole face and teaches (--distill-weight)")
    train.add_argument("--second-teacher", help="<name>/<version> that teaches too: what both answer is averaged")
    _add_settings(train)
    _add_export(commands)
    resume = commands.add_parser("resume", help="go on with a stopped run from its last checkpoint")
    resume.add_argument("run", help="the run's id, its folder's name")
    resume.add_argument("--data", type=Path, help="where the data set lies now (default: in TRAINER_DATA_DIR)")
    model_commands.add_commands(commands)
    evaluate = commands.add_parser("evaluate", help="measure a version on the test split of a data set")
    which = evaluate.add_mutually_exclusive_group(required=True)
    which.add_argument("model", nargs="?", help="<name>/<version>")
    which.add_argument("--model", dest="named", metavar="MODEL", help="the same, as an option")
    evaluate.add_argument("--data", type=Path, required=True, help="a zip, folder or CSV of FER2013")
    evaluate.add_argument("--views", nargs="+", type=View, choices=list(View), default=list(STUDY_VIEWS))
    evaluate.add_argument("--json", action="store_true", help="print every figure as JSON in place of a table")
    evaluate.add_argument("--report", type=Path, help="also write a page and files with every figure to this folder")
    study_commands.add_commands(commands, _add_settings)
    table = commands.add_parser("table", help="print the README's tables, from the study or, without one, the cards")
    table.add_argument("--write", type=Path, metavar="README.md", help="put them there between the marks instead")
    commands.add_parser("worker", help="wait for training jobs on the queue")
    commands.add_parser("sync", help="beside the gateway: share runs and models with workers on other machines")
    return parser


def _add_export(commands: Any) -> None:
    export = commands.add_parser("export", help="make another version of a version's network")
    export.add_argument("model", help="<name>/<version>")
    export.add_argument("--data", type=Path, required=True, help="a zip, folder or CSV of FER2013")
    for name in EXPORT_OPTIONS:
        field, option = JobRequest.model_fields[name], f"--{name.replace('_', '-')}"
        text = (field.description or "").removeprefix("export: ").partition(" study:")[0]
        if field.annotation == bool | None:
            export.add_argument(option, action=argparse.BooleanOptionalAction, help=text)
        else:
            export.add_argument(option, default=field.default, help=text)


def _export_request(arguments: argparse.Namespace) -> JobRequest:
    asked = {name: getattr(arguments, name) for name in ("model", *EXPORT_OPTIONS)}
    return JobRequest.model_validate({"kind": "export", "dataset": arguments.data.name, **asked})


def _request(arguments: argparse.Namespace, models_dir: Path) -> JobRequest:
    asked = {
        "dataset": arguments.data.name,
        "view": arguments.view,
        "name": arguments.name,
        "base_model": arguments.base_model,
        "teacher": arguments.teacher,
        "second_teacher": arguments.second_teacher,
        "settings": _given_by(arguments.base_model, models_dir) | _given_settings(arguments),
    }
    return JobRequest.model_validate(asked)  # the kind follows from the base model


def _given_by(base_model: str | None, models_dir: Path) -> dict[str, Any]:
    """Return the settings that the version to start from gives; none if it has no card, which the training tells.

    What is held out of the training split is among them: it must not have learnt that.
    """
    if base_model in (None, IMAGENET):
        return {}
    try:
        card = read_card(model_path(models_dir, base_model), verify=False)
    except ModelFolderError:
        return {}
    return card.for_fine_tuning


def _show(bar: "tqdm[NoReturn]", progress: JobProgress) -> None:
    bar.total, bar.n = progress.steps, progress.step
    in_training = progress.phase == "training"
    words = [
        f"loss {progress.loss}" if in_training else "",
        "" if progress.images_per_s is None else f"{progress.images_per_s} images/s",
        "" if progress.accuracy is None else f"best validation accuracy {progress.accuracy:.3f}",
    ]
    bar.set_description(f"epoch {progress.epoch}/{progress.epochs}" if in_training else progress.phase, refresh=False)
    bar.set_postfix_str(", ".join(filter(None, words)), refresh=False)
    bar.refresh()


def _run(settings: Settings, find: Callable[[], RunFolder]) -> int:
    """Do the run that `find` makes or opens: in this process, or with others that torchrun started."""
    from trainer.distributed import join, leave  # torch is only loaded when there is something to train
    from trainer.runs import execute, follow

    stop, group = _Stop(), join()
    run_id = group.agree(find().id if group.leads else "")
    run = RunFolder.open(settings.runs_dir, run_id)
    if not group.leads:
        with contextlib.suppress(HalffaceError):  # the leader tells it
            follow(run, settings, lambda: stop.asked(run), group)
        leave(group)
        return 0
    print(f"run {run.id}", flush=True)
    with tqdm(unit="step", disable=None) as bar:
        end = execute(run, settings, lambda: stop.asked(run), lambda progress: _show(bar, progress), group)
    leave(group)
    print(f"{end.state}: {end.model or end.message}")
    return 0 if end.state == JobState.FINISHED else 1


def _evaluate(arguments: argparse.Namespace, models_dir: Path, threads: int) -> int:
    from trainer.report import evaluate
    from trainer.tables import metrics_table

    model_id = arguments.model or arguments.named
    card, figures = evaluate(models_dir, model_id, arguments.data, arguments.views, arguments.report, threads)
    rows = {view: (card.id, figures[view]) for view in arguments.views}
    print(json.dumps(figures, indent=1) if arguments.json else metrics_table(rows))
    return 0


def _table(arguments: argparse.Namespace, models_dir: Path) -> int:
    from trainer.tables import readme_table, write_between_marks

    table = readme_table(models_dir)
    if arguments.write:
        write_between_marks(arguments.write, table)
    else:
        print(table)
    return 0


def _command(arguments: argparse.Namespace, settings: Settings) -> int:
    if arguments.command == "worker":
        from trainer.worker import work  # needs the queue's libraries only

        return work(settings)
    if arguments.command == "sync":
        from trainer.storage.sync import sync

        return sync(settings)
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(message)s", stream=sys.stderr)
    if arguments.command in model_commands.COMMANDS:
        return model_commands.run(arguments, settings.models_dir)
    if arguments.command == "table":
        return _table(arguments, settings.models_dir)
    if arguments.command == "evaluate":
        return _evaluate(arguments, settings.models_dir, settings.threads)
    if arguments.data:
        settings = settings.model_copy(update={"data_dir": arguments.data.parent})
    if arguments.command in study_commands.COMMANDS:
        return study_commands.run(arguments, settings, _given_settings(arguments), _InThisProcess())
    if arguments.command in ("train", "export"):
        train = arguments.command == "train"
        request = _request(arguments, settings.models_dir) if train else _export_request(arguments)
        return _run(settings, lambda: RunFolder.create(settings.runs_dir, request))
    return _run(settings, lambda: _reopened(settings.runs_dir, arguments.run, arguments.data))


class _InThisProcess:
    """Does the jobs of a study here, with their progress shown; a wish to stop that comes between two ends the next."""

    def __init__(self) -> None:
        self._stop: _Stop | None = None

    def __call__(self, run: RunFolder, settings: Settings) -> RunState:
        """Do one job."""
        from trainer.runs import execute

        stop = self._stop = self._stop or _Stop()
        print(f"{run.request().step or 'report'}: run {run.id}", flush=True)
        with tqdm(unit="step", disable=None) as bar:
            end = execute(run, settings, lambda: stop.asked(run), lambda progress: _show(bar, progress))
        print(f"{end.state}: {end.model or end.message}", flush=True)
        return end


def _reopened(runs_dir: Path, run_id: str, data: Path | None) -> RunFolder:
    """Return a stopped run, ready to go on. Raises DatasetError if `data` has another name than its data set."""
    run = RunFolder.open(runs_dir, run_id)
    name = run.request().request.dataset
    if data is not None and data.name != name:
        raise DatasetError(f"Run {run_id} trains on {name}, and {data.name} is another name; give its path, or a link.")
    reopen(run)
    return run


def main() -> int:
    """Do what the command line asks; return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a name may hold what the terminal cannot show
    arguments = _parser().parse_args()
    if getattr(arguments, "data", None):
        arguments.data = arguments.data.expanduser().absolute()  # make gives it with a ~; `.` has no name
    try:
        return _command(arguments, load_settings())
    except ValidationError as error:
        message, field = explain(error)
        print(message.replace("The field settings.", "The setting ") if field else message, file=sys.stderr)
    except HalffaceError as error:
        print(error, file=sys.stderr)
    except OSError as error:  # a folder that cannot be made, a full disk
        print(f"{error.filename or 'A file'}: {error.strerror or error}.", file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130
    return 2


if __name__ == "__main__":
    sys.exit(main())
