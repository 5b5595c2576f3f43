"""What serves follows the models folder: new versions, bad versions, none at all."""

from pathlib import Path

import pytest

from services.inference.model_store import ModelStore
from shared.model_folder import ACTIVE_FILE, write_active
from shared.web import ApiError
from tests.unit.inference.small_models import projection, write_five, write_projection


def store(folder: Path) -> ModelStore:
    """Return a store that has looked at the folder once."""
    made = ModelStore(folder, threads=1)
    made.refresh()
    return made


def serving(made: ModelStore) -> dict[str, str]:
    """Return slot to version."""
    return {slot: network.card.id for slot, network in made.served().networks.items()}


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


def test_a_bad_version_keeps_the_old_one_until_it_is_mended(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_five(models)
    made = store(models)

    write_active(models, {"full": "full/2", "upper": "upper/1"})
    made.refresh()
    assert serving(made) == {"full": "full/1", "upper": "upper/1"}
    assert made.served().problems[0].startswith("full: full/2 holds no card.json")
    assert str(tmp_path) not in made.served().problems[0]

    write_projection(models, "full/2", projection(9))
    made.refresh()
    assert serving(made)["full"] == "full/2"
    assert made.served().problems == ()


def test_an_unreadable_active_file_changes_nothing(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_five(models)
    made, content = store(models), (models / ACTIVE_FILE).read_text()
    before = serving(made)

    (models / ACTIVE_FILE).write_text("{")
    made.refresh()
    assert serving(made) == before
    assert "cannot be read" in made.served().problems[0]

    (models / ACTIVE_FILE).write_text(content)
    made.refresh()
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
