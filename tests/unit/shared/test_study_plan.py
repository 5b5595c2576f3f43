"""What a study is made of."""

from shared.schemas import JobRequest, TrainSettings
from shared.study_plan import FINE_TUNED, base_step, fine_tuning_steps

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


def test_a_fine_tuning_has_an_epoch_at_least() -> None:
    one = STUDY.model_copy(update={"settings": TrainSettings(epochs=1)})
    assert {step.request.settings.epochs for step in fine_tuning_steps(one, "base")} == {1}
