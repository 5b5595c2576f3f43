"""What serves follows the models folder: new versions, bad versions, none at all."""

from pathlib import Path

import pytest

from services.inference import model_store
from shared.errors import ModelFolderError, SelfTestError, UnknownModelError
from shared.model_folder import write_active
from shared.model_registry import promote
from shared.web import ApiError
from tests.unit.inference.small_models import (
    BAD_LOGITS,
    alter_unseen,
    passes,
    projection,
    serving,
    store,
    write_five,
    write_projection,
)


def test_slots_with_the_same_version_share_one_network(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_projection(models, "small/1", projection(0))
    write_active(models, {"full": "small/1", "upper": "small/1"})

    networks = store(models).served().networks

    assert networks["full"] is networks["upper"]


@pytest.mark.parametrize("slots", [None, ["full"]])
def test_without_models_nothing_is_ready_and_a_sentence_says_so(tmp_path: Path, slots: list[str] | None) -> None:
    served = store(tmp_path / "nowhere").served()

    assert served.why_not_ready() == "No model is active; put one into the models folder and promote it."
    with pytest.raises(ApiError) as caught:
        served.choose(slots)
    assert (caught.value.status, caught.value.code) == (503, "model_missing")


def test_a_slot_that_nothing_serves_is_named_with_those_there_are(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_projection(models, "small/1", projection(0))
    write_active(models, {"full": "small/1"})

    with pytest.raises(ApiError, match=r"^No model serves upper now; choose from full, or promote one\.$"):
        store(models).served().choose(["upper"])


def test_a_promoted_version_replaces_the_old_one_and_a_request_keeps_what_it_began_with(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_five(models)
    made = store(models)
    before = made.served()
    write_projection(models, "full/2", projection(9))

    write_active(models, {"full": "full/2", "upper": "upper/1"})
    made.refresh()

    assert serving(made) == {"full": "full/2", "upper": "upper/1"}
    assert made.served().networks["upper"] is before.networks["upper"]
    assert before.networks["full"].card.id == "full/1"


def test_a_promotion_reads_the_files_of_no_other_version(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_five(models)
    made = store(models)
    write_projection(models, "full/2", projection(9))
    alter_unseen(models / "upper/1/model.onnx", b"\0" * 100)

    promote(models, "full/2", ["full"], "ada", passes)
    made.refresh()

    assert serving(made)["full"] == "full/2"
    assert made.served().problems == ()


def test_a_version_written_anew_under_its_old_name_is_loaded(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_five(models)
    made = store(models)
    before = made.served().networks["full"]

    (models / "full").rename(tmp_path / "away")
    write_projection(models, "full/1", projection(9))
    made.refresh()

    assert made.served().networks["full"].card.sha256 != before.card.sha256


def test_unknown_slots_serve_nothing(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_projection(models, "small/1", projection(0))
    write_active(models, {"sideways": "small/1", "any": "small/1"})

    assert serving(store(models)) == {"any": "small/1"}


@pytest.mark.parametrize(("kept_s", "serves"), [(60, "full/2"), (0, "full/1")])
def test_a_version_that_was_tried_is_promoted_as_it_was_loaded_unless_that_is_long_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept_s: float, serves: str
) -> None:
    monkeypatch.setattr(model_store, "KEEP_TRIED_S", kept_s)
    models = tmp_path / "models"
    write_five(models)
    made = store(models)
    write_projection(models, "full/2", projection(9))
    made.try_out("full/2")
    promote(models, "full/2", ["full"], "ada", passes)
    alter_unseen(models / "full/2/model.onnx", b"\0" * 100)

    made.refresh()

    assert serving(made)["full"] == serves


def test_a_version_is_tried_without_touching_what_serves(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_five(models)
    made = store(models)
    before = made.served()
    write_projection(models, "full/2", projection(9))
    write_projection(models, "full/3", projection(9), **BAD_LOGITS)
    write_projection(models, "full/4", projection(9, outputs=6))

    made.try_out("full/2")
    with pytest.raises(SelfTestError, match=r"^full/3 fails its self-test"):
        made.try_out("full/3")
    with pytest.raises(ModelFolderError, match=r"^The network of full/4 lacks"):
        made.try_out("full/4")
    with pytest.raises(UnknownModelError, match=r"^full/5 holds no card.json"):
        made.try_out("full/5")
    assert made.served() is before
