"""What a study is made of."""

import errno
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from shared.run_folder import RunFolder
from shared.schemas.jobs import JobRequest
from shared.schemas.training import TrainSettings
from shared.study_plan import FINE_TUNED, base_step, create_study, fine_tuning_steps

STUDY = JobRequest(
    kind="study", dataset="faces.zip", name="lab", settings=TrainSettings(epochs=10, learning_rate=0.01, grow_from=32)
)


def test_the_first_training_has_the_studys_own_settings() -> None:
    step = base_step(STUDY)
    assert (step.name, step.request.kind, step.request.view, step.request.name) == ("full", "train", "full", "lab-full")
    assert step.request.settings == STUDY.settings


def test_the_others_start_from_the_first_and_are_taught_by_it_in_less_time() -> None:
    steps = fine_tuning_steps(STUDY, "base")
    assert [step.name for step in steps] == list(FINE_TUNED) == ["upper", "lower", "left", "right", "any"]
    for step in steps:
        asked = step.request
        assert (asked.base_model, asked.teacher, asked.waits_for()) == ("run:base", "run:base", ["base"])
        assert (asked.settings.epochs, asked.settings.grow_from, asked.settings.distill_weight) == (4, None, 0.7)
        assert asked.settings.learning_rate == 0.004
        assert asked.name == f"lab-{step.name}"


def test_a_share_of_the_loss_for_the_teacher_is_that_of_the_fine_tunings() -> None:
    study = STUDY.model_copy(update={"settings": TrainSettings(distill_weight=0.3)})
    assert base_step(study).request.settings.distill_weight == 0
    assert {step.request.settings.distill_weight for step in fine_tuning_steps(study, "base")} == {0.3}


def test_a_teacher_that_is_asked_once_is_needed_by_all_but_the_first_of_a_study() -> None:
    asked_once = TrainSettings(fixed_teacher=True)
    study = STUDY.model_copy(update={"settings": asked_once})
    assert not base_step(study).request.settings.fixed_teacher
    assert all(step.request.settings.fixed_teacher for step in fine_tuning_steps(study, "base"))
    with pytest.raises(ValidationError) as refused:
        JobRequest(dataset="faces.zip", settings=asked_once)
    assert [error["ctx"]["field"] for error in refused.value.errors()] == ["teacher"]


def test_a_fine_tuning_has_an_epoch_at_least() -> None:
    one = STUDY.model_copy(update={"settings": TrainSettings(epochs=1)})
    assert {step.request.settings.epochs for step in fine_tuning_steps(one, "base")} == {1}


@pytest.mark.parametrize(("name", "value"), [("freeze_statistics", True), ("start_share", 0.5)])
def test_what_is_kept_of_the_start_needs_one(name: str, value: object) -> None:
    frozen = TrainSettings.model_validate({name: value})
    study = STUDY.model_copy(update={"settings": frozen})
    assert not getattr(base_step(study).request.settings, name)
    assert all(getattr(step.request.settings, name) == value for step in fine_tuning_steps(study, "base"))
    with pytest.raises(ValidationError) as refused:
        JobRequest(dataset="faces.zip", settings=frozen)
    assert [error["ctx"]["field"] for error in refused.value.errors()] == ["base_model"]


def test_the_longest_name_of_a_study_fits_its_models_and_a_longer_one_is_refused_by_field(tmp_path: Path) -> None:
    longest = STUDY.model_copy(update={"name": "a" * 34})
    assert len(create_study(tmp_path, JobRequest.model_validate(longest.model_dump()))) == 7
    with pytest.raises(ValidationError) as refused:
        JobRequest(kind="study", dataset="faces.zip", name="a" * 35)
    assert [error["ctx"]["field"] for error in refused.value.errors()] == ["name"]


def test_a_study_that_cannot_be_made_wholly_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[RunFolder] = []
    create = RunFolder.create

    def fill_the_disk(*arguments: Any, **more: Any) -> RunFolder:
        if len(made) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        made.append(create(*arguments, **more))
        return made[-1]

    monkeypatch.setattr(RunFolder, "create", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        create_study(tmp_path, STUDY)
    assert len(made) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_part_knows_whether_its_study_is_there(tmp_path: Path) -> None:
    *parts, study = create_study(tmp_path, STUDY)
    assert not any(run.is_without_its_study() for run in (*parts, study))
    study.path.rename(tmp_path / "elsewhere")
    assert all(part.is_without_its_study() for part in parts)
