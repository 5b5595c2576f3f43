"""A study as a folder: `report.html` (see `trainer.study.html_study`) and its figures as `study.json`."""

from pathlib import Path

from shared.study import STUDY_FILE, StudyResult, write_study
from trainer.study.html_study import study_page
from trainer.study.report_files import PAGE_FILE


def write_study_report(study: StudyResult, folder: Path) -> None:
    """Write both files into `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PAGE_FILE).write_text(study_page(study), encoding="utf-8")
    write_study(study, folder / STUDY_FILE)
