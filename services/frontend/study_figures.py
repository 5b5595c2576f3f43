"""Tables of the study as the page needs them: a figure for each model and view, ours, published and their difference.

Pure functions; figures are shares of 1.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

from shared.masking import STUDY_VIEWS
from shared.schemas.wire import SLOTS
from shared.study import Cell, Estimate, Metrics, PublishedCell, StudyResult, Subset

Grid: TypeAlias = dict[tuple[str, str], Estimate | None]
"""(model, view) to a figure, None where it was not measured; models and views in the study's order."""

PUBLISHED_FIGURES: Final = frozenset(PublishedCell.model_fields) & frozenset(Metrics.model_fields)


def figure_of(cell: Cell, name: str) -> Estimate | None:
    """Return a figure of a cell: a field of `Metrics`, or `ece`, the calibration error after temperature scaling."""
    if name == "ece":
        return cell.calibration.ece_after
    value: Estimate | None = getattr(cell.metrics, name)
    return value


def our_grid(study: StudyResult, name: str, subset: str = Subset.ALL) -> Grid:
    """Return our figures on a part of the test set."""
    grid: Grid = {}
    for model in SLOTS:
        for view in STUDY_VIEWS:
            cell = study.cell(model, view, subset)
            grid[model, view.value] = figure_of(cell, name) if cell else None
    return grid


def published_grid(study: StudyResult, name: str) -> Grid:
    """Return the published figures of the five models that the original study had, on all its test images."""
    grid: Grid = {}
    for model in STUDY_VIEWS:
        for view in STUDY_VIEWS:
            cell = study.published_cell(model, view) if name in PUBLISHED_FIGURES else None
            grid[model.value, view.value] = Estimate(value=getattr(cell, name)) if cell else None
    return grid


def difference_grid(ours: Mapping[tuple[str, str], Estimate | None], published: Grid) -> Grid:
    """Return ours less the published, with our interval moved along: the published figures have none."""
    return {key: _less(ours.get(key), theirs) for key, theirs in published.items()}


def _less(ours: Estimate | None, theirs: Estimate | None) -> Estimate | None:
    if ours is None or theirs is None:
        return None
    moved = (None if end is None else end - theirs.value for end in (ours.low, ours.high))
    low, high = moved
    return Estimate(value=ours.value - theirs.value, low=low, high=high)


def domain_of(*grids: Grid) -> tuple[float, float]:
    """Return the smallest and the largest figure, so that grids drawn together share their colours."""
    values = [figure.value for grid in grids for figure in grid.values() if figure]
    return (min(values), max(values)) if values else (0.0, 1.0)


def balanced_domain(grid: Grid) -> tuple[float, float]:
    """Return a domain about 0 that holds every figure, at least a point to each side."""
    reach = max((abs(figure.value) for figure in grid.values() if figure), default=0.0)
    return -max(reach, 0.01), max(reach, 0.01)
