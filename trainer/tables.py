"""The README's tables: from the study where there is one, else from the cards of the active models."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.copies import Known, knowing_copies
from shared.errors import HalffaceError, ModelFolderError
from shared.files import write_atomically
from shared.masking import STUDY_VIEWS, View
from shared.model_folder import model_path, read_active, read_card
from shared.schemas.wire import SLOTS
from shared.study import STUDY_FILE, Cell, Estimate, PublishedCell, StudyResult, read_study
from trainer.study.comparisons import ALPHA
from trainer.study.paired_tests import holm

COLUMNS: Final = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "weighted_auc": "weighted AUC",
}
Z_95: Final = 1.96
BEGIN: Final = "<!-- table: python -m trainer table -->"
END: Final = "<!-- end of table -->"


def metrics_table(rows: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """Return a Markdown table: what is read to (model, its figures on it), accuracies and F1 in per cent."""
    lines = [f"| view | model | {' | '.join(COLUMNS.values())} |", f"|---|---|{'---:|' * len(COLUMNS)}"]
    for view, (model, figures) in rows.items():
        cells = ["–" if figures[key] is None else f"{figures[key] * 100:.1f}" for key in COLUMNS]
        lines.append(f"| {view} | {model} | {' | '.join(cells)} |")
    return "\n".join(lines)


def released_table(models_dir: Path) -> str:
    """Return the table of what each slot's active model reached on the test split, as its card says: on the slot's own
    view, in the slot `any` on each of the study's views.

    Raises:
        ModelFolderError: an active model is missing or has no figures for its view.
    """
    rows = {}
    for slot, model_id in read_active(models_dir).items():
        card = read_card(model_path(models_dir, model_id))
        views = {f"{view}, any": view.value for view in STUDY_VIEWS} if slot == "any" else {slot: slot}
        for row, view in views.items():
            try:
                rows[row] = (model_id, card.metrics["test"][view])
            except KeyError as error:
                raise ModelFolderError(f"The card of {model_id} has no figures for the view {view}.") from error
    return metrics_table(rows)


def study_tables(study: StudyResult) -> str:
    """Return the study's figures on all test images as Markdown: accuracy of models (rows) by views, accuracy
    and macro F1 of each view's own model beside the original's, how many cells are at or above the original's, and on
    which views the two are apart."""
    lines = [f"| trained on | {' | '.join(STUDY_VIEWS)} |", f"|---|{'---:|' * len(STUDY_VIEWS)}"]
    for slot in SLOTS:
        found = [study.cell(slot, view.value) for view in STUDY_VIEWS]
        lines.append(f"| {slot} | {' | '.join(_percent(_figure(cell, 'accuracy')) for cell in found)} |")
    for name in Known._fields:
        lines += ["", *_diagonal(study, name)]
    if study.published:
        lines += ["", f"{_count_above(study)} {_apart(study)}".rstrip()]
    return "\n".join(lines)


def _diagonal(study: StudyResult, name: str) -> list[str]:
    """Return the lines of the table of each view's own model, ours and the original's, by the figure of this name."""
    versions: dict[str, str] = {model.slot: model.version for model in study.models}
    head = [
        "hidden",
        "model",
        COLUMNS[name],
        "95 % interval",
        "original",
        "difference",
        "`any`",
        "clean",
        "copies known",
    ]
    lines = [f"| {' | '.join(head)} |", f"|---|---|{'---:|' * (len(head) - 2)}"]
    for view in STUDY_VIEWS:
        ours = _figure(study.cell(view.value, view.value), name)
        theirs = study.published_cell(view, view)
        original: float | None = getattr(theirs, name) if theirs else None
        known = knowing_copies(study, view.value, view.value)
        cells = [
            view.value if view != View.FULL else "nothing",
            versions.get(view.value, "–"),
            _percent(ours),
            _interval(ours),
            "–" if original is None else f"{original * 100:.1f}",
            f"{round((ours.value - original) * 100, 1) + 0.0:+.1f}" if ours and original is not None else "–",
            _percent(_figure(study.cell("any", view.value), name)),
            _percent(_figure(study.cell(view.value, view.value, "clean"), name)),
            f"{getattr(known, name) * 100:.1f}" if known else "–",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _count_above(study: StudyResult) -> str:
    """Return how many of the published cells ours reach, by figure, and how many on the diagonal, in a sentence."""
    parts = []
    for name, words in COLUMNS.items():
        reached = [
            (ours is not None and ours.value >= getattr(one, name), one.trained_on == one.evaluated_on)
            for one in _cells(study)
            for ours in [_figure(study.cell(one.trained_on, one.evaluated_on), name)]
        ]
        own = [is_reached for is_reached, is_own in reached if is_own]
        parts.append(
            f"{words} {sum(each for each, _ in reached)} of {len(reached)} (own view: {sum(own)} of {len(own)})"
        )
    return f"Cells of the five specialists at or above the original's: {', '.join(parts)}."


def _apart(study: StudyResult) -> str:
    """Return on which views our own model and the original's are apart, by each figure of `Known`, in a sentence; or
    nothing where no figure of both is known with an interval.

    The original's answers are not known, so its figures are taken as those of independent images, as uncertain as ours.
    """
    parts = []
    for name in Known._fields:
        gaps: dict[str, tuple[float, float]] = {}
        for view in STUDY_VIEWS:
            ours, theirs = _figure(study.cell(view.value, view.value), name), study.published_cell(view, view)
            if ours and theirs and ours.low is not None and ours.high is not None:
                gap, error = ours.value - getattr(theirs, name), math.sqrt(2) * (ours.high - ours.low) / (2 * Z_95)
                gaps[view.value] = gap, math.erfc(abs(gap) / error / math.sqrt(2))
        corrected = holm([p for _, p in gaps.values()])
        shown = {view: gap for (view, (gap, _)), p in zip(gaps.items(), corrected, strict=True) if p < ALPHA}
        sides = [
            f"{side} on {', '.join(views)}"
            for side, views in (
                ("above", [view for view, gap in shown.items() if gap > 0]),
                ("below", [view for view, gap in shown.items() if gap < 0]),
            )
            if views
        ]
        if gaps:
            parts.append(f"{COLUMNS[name]} {' and '.join(sides) or 'is not shown to differ on any'}")
    if not parts:
        return ""
    return (
        "On their own views, with the original's figures taken as those of other images, as uncertain as ours, and p "
        f"corrected over the five views (Holm): {'; '.join(parts)}."
    )


def _cells(study: StudyResult) -> tuple[PublishedCell, ...]:
    return study.published.cells if study.published else ()


def _figure(cell: Cell | None, name: str) -> Estimate | None:
    value: Estimate | None = getattr(cell.metrics, name) if cell else None
    return value


def _percent(estimate: Estimate | None) -> str:
    return "–" if estimate is None else f"{estimate.value * 100:.1f}"


def _interval(estimate: Estimate | None) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "–"
    return f"{estimate.low * 100:.1f} to {estimate.high * 100:.1f}"


def readme_table(models_dir: Path) -> str:
    """Return the README's tables: the study's if there is one, else that of the active models' cards.

    Raises:
        StudyError: the study cannot be read.
        ModelFolderError: see `released_table`.
    """
    path = models_dir / STUDY_FILE
    return study_tables(read_study(path)) if path.exists() else released_table(models_dir)


def write_between_marks(path: Path, table: str) -> None:
    """Replace what stands between the marks in a Markdown file by `table`.

    Raises:
        HalffaceError: there is no such file, or it does not hold both marks once, in their order.
        OSError: it cannot be written; what was there is untouched.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HalffaceError(f"{path} cannot be read; name the Markdown file to write to.") from error
    pattern = re.compile(f"({re.escape(BEGIN)}\n).*?(\n{re.escape(END)})", re.DOTALL)
    changed, places = pattern.subn(lambda found: f"{found[1]}{table}{found[2]}", text)
    if places != 1:
        raise HalffaceError(f"{path} needs the lines '{BEGIN}' and '{END}', once each, around the table.")
    write_atomically(path, changed)
