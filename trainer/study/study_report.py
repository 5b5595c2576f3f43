"""A study as a folder: `report.html` (see `trainer.study.pages`) and its figures as `study.json`."""

from pathlib import Path

from shared.files import write_atomically
from shared.study import STUDY_FILE, StudyResult, write_study
from trainer.study.pages import study_page
from trainer.study.report_files import PAGE_FILE


def write_study_report(study: StudyResult, folder: Path) -> None:
    """Write both files into `folder`, which is made if need be."""
    write_atomically(folder / PAGE_FILE, study_page(study))
    write_study(study, folder / STUDY_FILE)
