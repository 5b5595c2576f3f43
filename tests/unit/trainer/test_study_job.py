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


def begun(root: Path, models_dir: Path, drawn_dataset: Path) -> tuple[Settings, list[RunFolder]]:
    """Return a study whose six trainings made the tiny network; its own job is still to be done."""
    shutil.copytree(models_dir, root / "models")
    settings = Settings(data_dir=drawn_dataset.parent, runs_dir=root / "runs", models_dir=root / "models", threads=1)
    jobs = create_study(settings.runs_dir, JobRequest(kind="study", dataset=drawn_dataset.name, settings=TINY))
    version = read_active(models_dir)["full"]
    for training in jobs[:-1]:
        training.set_state(RunState(state=JobState.FINISHED, model=version))
    return settings, jobs


@pytest.fixture(scope="module")
def done(models_dir: Path, drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Give a study's job whose six trainings made the tiny network, done."""
    settings, jobs = begun(tmp_path_factory.mktemp("study-job"), models_dir, drawn_dataset)
    end = execute(jobs[-1], settings)
    assert end.state == JobState.FINISHED, end.message
    return jobs[-1]


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


def test_a_study_of_which_a_part_is_missing_says_which_and_how_to_go_on(
    models_dir: Path, drawn_dataset: Path, tmp_path: Path
) -> None:
    settings, jobs = begun(tmp_path, models_dir, drawn_dataset)
    jobs[1].set_state(RunState(state=JobState.INTERRUPTED))
    end = execute(jobs[-1], settings)
    assert end.state == JobState.FAILED
    part = jobs[1].request().step
    assert (end.message or "").startswith(f"The study's parts {part} have not finished, or were deleted.")


def test_a_study_whose_data_was_changed_meanwhile_is_refused(
    models_dir: Path, drawn_dataset: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data" / drawn_dataset.name
    shutil.copytree(drawn_dataset, data)
    next(data.glob("train/happy/*")).unlink()
    settings, jobs = begun(tmp_path, models_dir, data)
    end = execute(jobs[-1], settings)
    assert end.state == JobState.FAILED
    assert "holds other images than" in (end.message or "")
    assert "study --anew" in (end.message or "")
