"""A job is left within seconds in any phase, and goes on from what it had."""

from pathlib import Path

import pytest

from shared.model_folder import list_models
from shared.run_folder import RunFolder
from shared.schemas import JobRequest, JobState, TrainSettings
from trainer.runs import execute
from trainer.settings import Settings


@pytest.mark.parametrize("phase", ["loading", "exporting"])
def test_a_job_that_is_cancelled_before_or_after_its_training_is_left_and_can_be_resumed(
    phase: str, drawn_folder: Path, quick_settings: TrainSettings, tmp_path: Path
) -> None:
    settings = Settings(
        data_dir=drawn_folder.parent,
        runs_dir=tmp_path / "runs",
        models_dir=tmp_path / "models",
        device="cpu",
        threads=1,
    )
    asked = JobRequest(dataset=drawn_folder.name, settings=quick_settings.model_copy(update={"epochs": 1}))
    run = RunFolder.create(settings.runs_dir, asked)

    def cancel_in_phase() -> bool:
        if run.progress().phase == phase:
            run.ask_to_cancel()
        return False

    end = execute(run, settings, cancel_in_phase)
    assert end.state == JobState.CANCELLED
    assert (end.message or "").startswith("Stopped ")
    assert list(list_models(settings.models_dir)) == []

    run.withdraw_cancel()
    run.set_state(end.model_copy(update={"state": JobState.QUEUED}))
    assert execute(run, settings).state == JobState.FINISHED
    assert len(list(list_models(settings.models_dir))) == 1
