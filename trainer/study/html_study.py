"""The page of a whole study: answers, grids, every cell on a click, and the rest (`trainer.study.html_tables`)."""

from html import escape
from typing import Final

from shared.masking import STUDY_VIEWS
from shared.schemas.wire import SLOTS
from shared.study import Cell, Hypothesis, StudyResult, Subset
from trainer.study import html_tables
from trainer.study.html_cell import cell_details
from trainer.study.html_grid import anchor, grids
from trainer.study.html_parts import METRIC_TITLES, document, folded, percent, table

SUBSETS: Final = {
    Subset.ALL: "all test images",
    Subset.PUBLIC: "PublicTest",
    Subset.PRIVATE: "PrivateTest",
    Subset.CLEAN: "not in the training split",
}


def study_page(study: StudyResult) -> str:
    """Return the page: HTML that needs no other file."""
    images = study.protocol.subsets.get(Subset.ALL, 0)
    words = (
        f"<p>{images:,} test images of {escape(study.protocol.data)}. A model and a view are named after what is "
        "hidden. In per cent; below a figure its 95 % interval over images (bootstrap). A number of the first grid "
        "leads to its curves.</p>"
    )
    return document(
        "What each half of the face is worth",
        [
            words,
            *map(_finding, study.hypotheses),
            f"<h2>Every model on every view</h2>{grids(study)}",
            f"<h2>Every cell</h2>{_cells(study)}",
            *html_tables.sections(study),
        ],
    )


def _finding(hypothesis: Hypothesis) -> str:
    limits = "".join(f"<li>{escape(limit)}</li>" for limit in hypothesis.limits)
    return (
        f"<div class='finding'><p><b>{hypothesis.id}. {escape(hypothesis.question)}</b> {escape(hypothesis.answer)}</p>"
        f"{folded('What this cannot say', f'<ul>{limits}</ul>')}</div>"
    )


def _cells(study: StudyResult) -> str:
    found = [study.cell(model, view.value) for model in SLOTS for view in STUDY_VIEWS]
    return "\n".join(_cell(study, cell) for cell in found if cell)


def _cell(study: StudyResult, cell: Cell) -> str:
    parts = [study.cell(cell.trained_on, cell.evaluated_on, subset) for subset in SUBSETS]
    rows = [
        [SUBSETS[part.subset], f"{part.count:,}"]
        + [percent(getattr(part.metrics, name)) for name in METRIC_TITLES]
        + [percent(part.calibration.ece_before), percent(part.calibration.ece_after)]
        for part in parts
        if part
    ]
    overview = table(["part", "images", *METRIC_TITLES.values(), "ECE", "ECE, scaled"], rows)
    summary = f"{cell.trained_on} on {cell.evaluated_on}: accuracy {cell.metrics.accuracy.value * 100:.1f}"
    return folded(summary, overview + cell_details(cell), anchor(cell.trained_on, cell.evaluated_on))
