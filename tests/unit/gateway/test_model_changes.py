"""Changes of what serves: tried by inference first, and refused with a status."""

from pathlib import Path

import pytest

from scripts.processes import free_port
from services.gateway.inference_client import InferenceClient
from services.gateway.model_changes import ModelChanges
from shared.model_folder import read_active, read_active_models
from shared.model_registry import LOCK_FILE
from shared.web import ApiError

from .folders import write_small_model
from .small_inference import SmallInference


@pytest.fixture
def models(folder: Path) -> Path:
    """Give a models folder with first/1 and first/2."""
    write_small_model(folder / "models", "2")
    return folder / "models"


@pytest.fixture
def changes(models: Path, inference: SmallInference) -> ModelChanges:
    """Give the changes over the folder, tried by a small inference service."""
    return ModelChanges(models, InferenceClient(inference.url, timeout_s=10))


def test_a_version_is_tried_promoted_and_rolled_back(
    changes: ModelChanges, models: Path, inference: SmallInference
) -> None:
    changes.promote("first/1", ["full"], "ada")
    changes.promote("first/2", ["full"], "ada")

    assert changes.roll_back("full", "bob") == "first/1"
    assert inference.bodies == [f'{{"model":"first/{version}"}}'.encode() for version in (1, 2, 1)]
    assert [change.by for change in read_active_models(models).history] == ["ada", "ada", "bob"]


def test_a_version_that_fails_its_self_test_is_refused_with_the_reason(
    changes: ModelChanges, models: Path, inference: SmallInference
) -> None:
    changes.promote("first/1", ["full"], "ada")
    inference.failing.add("first/2")

    with pytest.raises(ApiError) as caught:
        changes.promote("first/2", ["full"], "ada")

    assert (caught.value.status, caught.value.code) == (409, "self_test_failed")
    assert caught.value.message == "first/2 fails its self-test."
    assert caught.value.field is None  # inference's `model` is no field of a promotion
    assert read_active(models) == {"full": "first/1"}


def test_without_inference_nothing_is_promoted(models: Path) -> None:
    changes = ModelChanges(models, InferenceClient(f"http://127.0.0.1:{free_port()}", timeout_s=2))

    with pytest.raises(ApiError) as caught:
        changes.promote("first/1", ["full"], "ada")

    assert (caught.value.status, caught.value.code) == (503, "inference_unavailable")
    assert read_active(models) == {}


def test_what_is_not_possible_is_refused_with_a_status_and_no_place_of_the_server(
    changes: ModelChanges, models: Path
) -> None:
    changes.promote("first/1", ["full"], "ada")
    (models / "first/2/model.onnx").write_text("altered")
    refusals = []
    for change in (
        lambda: changes.promote("first/9", ["full"], "ada"),
        lambda: changes.promote("first/2", ["full"], "ada"),
        lambda: changes.archive("first/1", "ada"),
        lambda: changes.restore("../data", "ada"),
        lambda: changes.roll_back("left", "ada"),
    ):
        with pytest.raises(ApiError) as caught:
            change()
        refusals.append((caught.value.status, caught.value.code))
        assert str(models) not in caught.value.message

    assert refusals == [
        (404, "model_not_found"),
        (409, "model_broken"),
        (409, "model_change_refused"),
        (404, "model_not_found"),
        (409, "model_change_refused"),
    ]


def test_a_models_folder_that_cannot_be_written_is_unavailable(changes: ModelChanges, models: Path) -> None:
    (models / LOCK_FILE).mkdir()

    with pytest.raises(ApiError, match="cannot be changed") as caught:
        changes.archive("first/2", "ada")

    assert (caught.value.status, caught.value.code) == (503, "models_unavailable")


def test_a_version_is_archived_and_restored(changes: ModelChanges, models: Path) -> None:
    changes.archive("first/2", "ada")
    assert read_active_models(models).archived == ("first/2",)

    changes.restore("first/2", "ada")
    assert read_active_models(models).archived == ()
