"""The study's grid of models by views as HTML: ours, the original's, the difference, for some figures."""

from collections.abc import Callable, Mapping
from typing import Final

from shared.masking import STUDY_VIEWS
from shared.schemas.wire import SLOTS
from shared.study import StudyResult
from trainer.study.html_parts import folded

FIGURES: Final = {
    "accuracy": "Accuracy",
    "macro_f1": "Macro F1",
    "weighted_f1": "Weighted F1",
    "weighted_auc": "Weighted AUC",
    "macro_auc": "Macro AUC",
    "micro_auc": "Micro AUC",
}
"""What the original published too."""

Grid = Mapping[tuple[str, str], float]


def anchor(model: str, view: str) -> str:
    """Return the id of a cell's details on the page."""
    return f"{model}-on-{view}"


def grids(study: StudyResult) -> str:
    """Return the grids of every figure; accuracy is open, the others unfold."""
    shown = [(title, _figure(study, name)) for name, title in FIGURES.items()]
    first, *rest = shown
    return "\n".join([f"<h3>{first[0]}</h3>{first[1]}", *(folded(title, grid) for title, grid in rest)])


def _figure(study: StudyResult, name: str) -> str:
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

    def share(value: float) -> float:
        return (value - low) / (high - low) if high > low else 0.5

    reach = max(0.01, *map(abs, less.values())) if less else 0.01
    parts = [("Ours", _grid(ours, _plain, share, linked=True))]
    if theirs:
        parts.append(("The original's", _grid(theirs, _plain, share)))
        parts.append(("Difference in points", _grid(less, _signed, lambda value: abs(value) / reach)))
    drawn = "".join(f"<div><h3>{title}</h3>{grid}</div>" for title, grid in parts)
    return f"<div class='side'>{drawn}</div>"


def _grid(values: Grid, words: Callable[[float], str], share: Callable[[float], float], *, linked: bool = False) -> str:
    head = "".join(f"<th scope='col'>{view}</th>" for view in STUDY_VIEWS)
    rows = []
    for model in [slot for slot in SLOTS if any(slot == key[0] for key in values)]:
        cells = "".join(
            _cell(values.get((model, view.value)), words, share, (model, view.value), linked) for view in STUDY_VIEWS
        )
        rows.append(f"<tr><th scope='row'>{model}</th>{cells}</tr>")
    return (
        "<div class='wide'><table class='grid-of-models'><thead><tr><th scope='col'>trained \\ hidden in the test</th>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(
    value: float | None,
    words: Callable[[float], str],
    share: Callable[[float], float],
    key: tuple[str, str],
    linked: bool,
) -> str:
    if value is None:
        return "<td>–</td>"
    text = f"<a href='#{anchor(*key)}'>{words(value)}</a>" if linked else words(value)
    kind = " class='below'" if words is _signed and value < 0 else ""
    return f"<td{kind} style='--share:{100 * share(value):.0f}%'>{text}</td>"


def _plain(value: float) -> str:
    return f"{value * 100:.1f}"


def _signed(value: float) -> str:
    return f"{round(value * 100, 1) + 0.0:+.1f}"
