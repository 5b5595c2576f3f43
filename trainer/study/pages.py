"""The pages of an evaluation and of a study, from the templates beside this module. Each needs no other file."""

from collections.abc import Sequence
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.schemas.wire import SLOTS
from shared.study import Cell, StudyResult, Subset
from trainer.study import page_charts, page_rows
from trainer.study.page_grids import grids

TITLE: Final = "What each half of the face is worth"

_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("trainer.study"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_ENVIRONMENT.globals |= {"labels": LABELS, "rows": page_rows, "charts": page_charts}
_ENVIRONMENT.filters |= {"hundredths": page_rows.hundredths, "thousands": "{:,}".format}


def evaluation_page(title: str, images: int, cells: Sequence[Cell]) -> str:
    """Return the page of one model's evaluation: tables, confusion matrices, curves and reliability.

    Args:
        title: its heading.
        images: how many test images were read.
        cells: the figures of each view, curves and reliability bins included.
    """
    return _ENVIRONMENT.get_template("evaluation.html").render(title=title, images=images, cells=cells)


def study_page(study: StudyResult) -> str:
    """Return the page of a whole study: answers, grids, every cell on a click, and the rest."""
    cells = [study.cell(model, view.value) for model in SLOTS for view in STUDY_VIEWS]
    return _ENVIRONMENT.get_template("study.html").render(
        title=TITLE,
        study=study,
        images=study.protocol.subsets.get(Subset.ALL, 0),
        views=STUDY_VIEWS,
        grids=grids(study),
        cells=[cell for cell in cells if cell],
    )
