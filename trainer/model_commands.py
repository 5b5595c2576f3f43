"""The commands that change and show what serves: promote, rollback, archive, restore, models, history."""

import argparse
import getpass
from pathlib import Path
from typing import Any, Final

from shared import model_registry
from shared.errors import ModelFolderError, SelfTestError
from shared.masking import STUDY_VIEWS
from shared.model_comparison import against_serving, figure
from shared.model_folder import Card, list_models, model_path, read_active_models
from shared.schemas.models import ModelChange
from shared.schemas.wire import SLOTS
from shared.self_test import check

HELP: Final = {
    "promote": "let a version serve one view or several",
    "rollback": "let the version that served a view before serve it again; once more goes further back",
    "archive": "put a version away: kept, but neither listed unasked nor promoted",
    "restore": "take a version out of the archive",
    "models": "list the versions, what they serve and how they compare with what serves",
    "history": "list who changed what serves, and when, newest first",
}
COMMANDS: Final = frozenset(HELP)
WORDS: Final = {
    "promote": "promoted",
    "roll_back": "rolled back to",
    "archive": "archived",
    "restore": "restored",
    "release": "released",
}


def add_commands(commands: Any) -> None:
    """Add the commands to the subparsers of the trainer's command line."""
    parsers = {name: commands.add_parser(name, help=text) for name, text in HELP.items()}
    for name in ("promote", "archive", "restore"):
        parsers[name].add_argument("model", help="<name>/<version>")
    parsers["promote"].add_argument(
        "--slots", nargs="+", choices=SLOTS, required=True, help="the views that it shall serve"
    )
    parsers["rollback"].add_argument("slot", choices=SLOTS, help="the view")
    parsers["models"].add_argument("--archived", action="store_true", help="also those that were archived")
    parsers["history"].add_argument("--limit", type=int, default=20, help="how many changes (default: 20)")


def run(arguments: argparse.Namespace, models_dir: Path) -> int:
    """Do the command and print what came of it.

    Raises:
        ModelFolderError: it is refused; what serves stays as it was.
    """
    name, by = arguments.command, _who()
    if name == "promote":
        model_registry.promote(models_dir, arguments.model, arguments.slots, by, _self_test(models_dir))
        print(f"{arguments.model} serves {', '.join(arguments.slots)}")
    elif name == "rollback":
        state = model_registry.roll_back(models_dir, arguments.slot, by, _self_test(models_dir))
        print(f"{state.active[arguments.slot]} serves {arguments.slot}")
    elif name == "archive":
        model_registry.archive(models_dir, arguments.model, by)
        print(f"{arguments.model} is archived")
    elif name == "restore":
        model_registry.restore(models_dir, arguments.model, by)
        print(f"{arguments.model} is back")
    elif name == "models":
        print("\n".join(_rows(models_dir, archived=arguments.archived)) or f"There is no model in {models_dir}.")
    else:
        changes = read_active_models(models_dir).history[::-1][: max(arguments.limit, 0)]
        print("\n".join(map(_line, changes)) or "Nobody has changed what serves yet.")
    return 0


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "command line"


def _self_test(models_dir: Path) -> model_registry.SelfTest:
    def self_test(card: Card) -> None:
        from trainer.onnx_forward import onnx_forward  # a worker is started by the same command, and needs no runtime

        try:
            forward = onnx_forward(model_path(models_dir, card.id) / card.file, threads=1)
        except Exception as error:  # ONNX Runtime's errors share no documented base
            raise SelfTestError(f"{card.id} is no network that can be run; export the model again.") from error
        check(card, forward)

    return self_test


def _rows(models_dir: Path, *, archived: bool) -> list[str]:
    state = read_active_models(models_dir)
    rows = []
    for model_id, card in list_models(models_dir):
        if model_id in state.archived and not archived:
            continue
        serves = ", ".join(slot for slot, served in state.active.items() if served == model_id)
        notes = [f"serves {serves}" if serves else "", "archived" if model_id in state.archived else ""]
        if isinstance(card, ModelFolderError):
            notes.append(f"cannot be used: {card}")
        else:
            notes.append(_figures(models_dir, card))
        rows.append("; ".join((model_id, *filter(None, notes))))
    return rows


def _figures(models_dir: Path, card: Card) -> str:
    """Return the accuracies in per cent, each with the difference in points from what serves the view."""
    differences = against_serving(models_dir, card.metrics, str(card.data.get("fingerprint")))
    shown = []
    for view in STUDY_VIEWS:
        accuracy, other = figure(card.metrics, view), differences.get(view)
        if accuracy is not None:
            against = f" ({other.difference * 100:+.1f})" if other and other.model != card.id else ""
            shown.append(f"{view.value} {accuracy * 100:.1f} %{against}")
    return ", ".join(shown)


def _line(change: ModelChange) -> str:
    if change.slot is None:
        return f"{change.time}  {change.by}: {WORDS[change.action]} {change.model}"
    before = f" (before: {change.before})" if change.before else ""
    return f"{change.time}  {change.by}: {change.slot} {WORDS[change.action]} {change.model}{before}"
