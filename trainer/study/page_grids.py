"""The study's grid of models by views: ours, the original's, the difference, for some figures. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from shared.masking import STUDY_VIEWS
from shared.schemas.wire import SLOTS
from shared.study import StudyResult
from trainer.study.page_rows import anchor, hundredths

FIGURES: Final = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "weighted_f1": "Weighted F1",
    "weighted_auc": "Weighted AUC",
    "macro_auc": "Macro AUC",
    "micro_auc": "Micro AUC",
}
"""What the original published too."""

Numbers = Mapping[tuple[str, str], float]
"""Model and view to a share."""


@dataclass(frozen=True)
class GridCell:
    """One number. share: how deep its colour is, 0 to 100. is_below: ours is below the original's."""

    words: str
    share: str
    anchor: str = ""
    is_below: bool = False


@dataclass(frozen=True)
class Grid:
    """Models to their cells, one for each view."""

    title: str
    rows: Mapping[str, list[GridCell | None]]


@dataclass(frozen=True)
class FigureGrids:
    """The grids of one figure."""

    title: str
    parts: list[Grid]


def grids(study: StudyResult) -> list[FigureGrids]:
    """Return the grids of every figure."""
    return [FigureGrids(title, _parts(study, name)) for name, title in FIGURES.items()]


def _parts(study: StudyResult, name: str) -> list[Grid]:
    ours = {}
    for model in SLOTS:
        for view in STUDY_VIEWS:
            cell = study.cell(model, view.value)
            estimate = getattr(cell.metrics, name) if cell else None
            if estimate:
                ours[model, view.value] = estimate.value
    cells = study.published.cells if study.published else ()
    theirs = {(cell.trained_on.value, cell.evaluated_on.value): getattr(cell, name) for cell in cells}
    less = {key: ours[key] - value for key, value in theirs.items() if key in ours}
    values = [*ours.values(), *theirs.values()]
    low, high = min(values, default=0.0), max(values, default=1.0)

    def plain(key: tuple[str, str], value: float) -> GridCell:
        return GridCell(hundredths(value), _depth((value - low) / (high - low) if high > low else 0.5))

    def linked(key: tuple[str, str], value: float) -> GridCell:
        shown = plain(key, value)
        return GridCell(shown.words, shown.share, anchor(*key))

    reach = max(0.01, *map(abs, less.values())) if less else 0.01

    def signed(key: tuple[str, str], value: float) -> GridCell:
        words = f"{round(value * 100, 1) + 0.0:+.1f}"
        return GridCell(words, _depth(abs(value) / reach), is_below=value < 0)

    parts = [_grid("Ours", ours, linked)]
    if theirs:
        parts += [_grid("The original's", theirs, plain), _grid("Difference in points", less, signed)]
    return parts


def _depth(share: float) -> str:
    return f"{100 * share:.0f}"


def _grid(title: str, values: Numbers, cell: Callable[[tuple[str, str], float], GridCell]) -> Grid:
    rows = {}
    for model in (slot for slot in SLOTS if any(slot == key[0] for key in values)):
        keys = [(model, view.value) for view in STUDY_VIEWS]
        rows[model] = [cell(key, values[key]) if key in values else None for key in keys]
    return Grid(title, rows)
