"""A study's own job: the report on the versions that its trainings made, as a page, figures and answers."""

import shutil
from pathlib import Path

import pytest

from shared.model_folder import read_active
from shared.run_folder import RunFolder, RunState
from shared.schemas.jobs import JobRequest, JobState
from shared.schemas.wire import SLOTS
from shared.study import read_study
from shared.study_answers import read_answers
from shared.study_plan import create_study
from tests.conftest import TINY
from trainer.runs import execute
from trainer.settings import Settings


@pytest.fixture(scope="module")
def done(models_dir: Path, drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Give a study's job whose six trainings made the tiny network, done."""
    root = tmp_path_factory.mktemp("study-job")
    shutil.copytree(models_dir, root / "models")
    settings = Settings(data_dir=drawn_dataset.parent, runs_dir=root / "runs", models_dir=root / "models", threads=1)
    *trainings, study = create_study(
        settings.runs_dir, JobRequest(kind="study", dataset=drawn_dataset.name, settings=TINY)
    )
    version = read_active(models_dir)["full"]
    for training in trainings:
        training.set_state(RunState(state=JobState.FINISHED, model=version))
    end = execute(study, settings)
    assert end.state == JobState.FINISHED, end.message
    return study


def test_the_report_is_a_page_with_its_figures_and_the_answers(done: RunFolder) -> None:
    folder = done.path / "report"
    assert {file.name for file in folder.iterdir()} == {"report.html", "study.json", "study_answers.npz"}
    study, answers = read_study(folder / "study.json"), read_answers(folder / "study_answers.npz")
    assert answers.models == tuple(model.slot for model in study.models) == SLOTS
    cell = study.cell("any", "lower")
    assert cell is not None
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"<a href='#any-on-lower'>{cell.metrics.accuracy.value * 100:.1f}</a>" in page
    assert "Top left and bottom right hidden" in page


def test_it_is_done_and_has_a_report_to_show(done: RunFolder) -> None:
    assert done.progress().phase == "done"
    assert done.job().has_report
