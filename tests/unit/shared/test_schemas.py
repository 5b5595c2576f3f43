"""The wire: what a request may say, and how answers outlive a newer server."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from shared.masking import STUDY_VIEWS
from shared.schemas.jobs import OPEN_STATES, JobRequest, JobState
from shared.schemas.predictions import Box, Detect, PredictRequest
from shared.schemas.training import TrainSettings, setting_help
from shared.schemas.wire import SLOTS, ErrorAnswer, Slot


def test_the_default_training_settings_keep_their_own_rules() -> None:
    defaults = TrainSettings()
    assert TrainSettings.model_validate(defaults.model_dump()) == defaults
    assert TrainSettings.model_validate_json(defaults.model_dump_json()) == defaults


def test_training_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainSettings().epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("epochs", 1001),
        ("batch_size", 1),
        ("optimizer", "adam"),
        ("architecture", "vgg"),
        ("learning_rate", 0),
        ("learning_rate", "fast"),
        ("momentum", 1),
        ("ema_decay", 1.0),
        ("size", 15),
        ("size", 225),
        ("validation_share", 0),
        ("validation_share", 0.5),
        ("precision", "fp8"),
        ("seed", -1),
        ("seed", 2**31),
        ("checkpoint_seconds", 301),
    ],
)
def test_a_setting_out_of_its_range_is_refused_by_its_name(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        JobRequest.model_validate({"dataset": "fer2013.zip", "settings": {field: value}})
    assert [error["loc"] for error in caught.value.errors()] == [("settings", field)]


@pytest.mark.parametrize(
    ("model", "content"),
    [
        (PredictRequest, {"images": ["x"]}),
        (JobRequest, {"dataset": "fer2013.zip"}),
        (TrainSettings, {}),
    ],
)
def test_an_unknown_field_of_a_request_is_refused_by_its_name(model: Any, content: dict[str, Any]) -> None:
    model.model_validate(content)
    with pytest.raises(ValidationError) as caught:
        model.model_validate({**content, "epoch": 3})
    assert caught.value.errors()[0]["loc"] == ("epoch",)


def test_an_unknown_key_of_an_answer_is_ignored() -> None:
    box = {"x": 1, "y": 2, "width": 3, "height": 4}
    assert Box.model_validate({**box, "angle": 0.5}) == Box(**box)
    error = {"error": {"code": "c", "message": "m", "hint": "h"}, "request_id": "r", "more": 1}
    assert ErrorAnswer.model_validate(error).error.field is None


def test_a_prediction_asks_all_models_with_the_hidden_half_hidden_unless_told_otherwise() -> None:
    asked = PredictRequest(images=["x"])
    assert (asked.models, asked.mask, asked.detect, asked.crops) == (None, True, Detect.AUTO, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"images": []},
        {"images": "x"},
        {"images": ["x"], "models": []},
        {"images": ["x"], "models": ["top"]},
        {"images": ["x"], "detect": "sometimes"},
    ],
)
def test_a_prediction_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PredictRequest.model_validate(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"dataset": ""},
        {"dataset": "x" * 256},
        {"dataset": "d", "view": "top"},
        {"dataset": "d", "kind": "shell"},
        {"dataset": "d", "name": "../models"},
        {"dataset": "d", "name": "a/b"},
        {"dataset": "d", "name": "Upper"},
        {"dataset": "d", "name": "a\n"},
        {"dataset": "d", "name": ""},
        {"dataset": "d", "base_model": ""},
        {"dataset": "d", "kind": "fine-tune", "base_model": ""},
        {"dataset": "d", "kind": "evaluate", "model": ""},
        {"dataset": "d", "teacher": "", "settings": {"distill_weight": 0.7}},
    ],
)
def test_a_job_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JobRequest.model_validate(wrong)


def test_a_job_comes_back_from_json_unchanged() -> None:
    job = JobRequest(dataset="d", view="five", name="mine-2", base_model="first/1", settings=TrainSettings(epochs=2))
    assert JobRequest.model_validate_json(job.model_dump_json()) == job


def test_models_serve_under_the_five_views_and_any() -> None:
    assert get_args(Slot) == SLOTS == (*(view.value for view in STUDY_VIEWS), "any")


def test_a_job_is_open_until_it_is_cancelled_failed_or_finished() -> None:
    assert set(JobState) - OPEN_STATES == {JobState.CANCELLED, JobState.FAILED, JobState.FINISHED}


def test_a_command_line_says_a_settings_values_and_only_defaults_that_hold() -> None:
    assert setting_help("select").endswith("One of accuracy, loss. (default: accuracy)")
    assert setting_help("seed") == "Seed. (default: 0)"
    assert setting_help("width").endswith("(default: 1.0; in a fine-tuning its base version says)")
    assert "default" not in setting_help("distill_weight")
