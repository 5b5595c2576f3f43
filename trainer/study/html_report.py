"""The page of one model's evaluation: tables, confusion matrices, curves and reliability."""

from collections.abc import Sequence

from shared.masking import View
from shared.study import Cell
from trainer.study.html_cell import cell_details
from trainer.study.html_parts import METRIC_TITLES, document, percent, table


def page(title: str, images: int, cells: Sequence[Cell]) -> str:
    """Return the page: HTML that needs no other file.

    Args:
        title: its heading.
        images: how many test images were read.
        cells: the figures of each view, curves and reliability bins included.
    """
    words = (
        f"<p>{images:,} test images, each seen once. A view is named after what it hides. In per cent; below each "
        "figure its 95 % interval over images (bootstrap). AUC and AP (average precision): one emotion against the "
        "rest. ECE: expected calibration error, before and after the logits are scaled.</p>"
    )
    return document(title, [words, _overview(cells), *map(_section, cells)])


def _overview(cells: Sequence[Cell]) -> str:
    rows = [
        [f"<a href='#{cell.evaluated_on}'>{cell.evaluated_on}</a>"]
        + [percent(getattr(cell.metrics, name)) for name in METRIC_TITLES]
        + [percent(cell.calibration.ece_before), percent(cell.calibration.ece_after)]
        for cell in cells
    ]
    return table(["view", *METRIC_TITLES.values(), "ECE", "ECE, scaled"], rows)


def _section(cell: Cell) -> str:
    hidden = "nothing hidden" if cell.evaluated_on == View.FULL else f"{cell.evaluated_on} part hidden"
    heading = f"<h2>{cell.evaluated_on}: {hidden}</h2>"
    return f"<section id='{cell.evaluated_on}'>{heading}{cell_details(cell)}</section>"
