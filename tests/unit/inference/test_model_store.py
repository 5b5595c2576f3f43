"""What serves follows the models folder: new versions, bad versions, none at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from services.inference import model_store
from services.inference.model_store import ModelStore
from shared.errors import ModelFolderError, SelfTestError, UnknownModelError
from shared.model_folder import ACTIVE_FILE, Card, write_active
from shared.model_registry import promote
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


def test_what_serves_goes_on_where_the_active_file_is_taken_away(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_five(models)
    made, content = store(models), (models / ACTIVE_FILE).read_text()
    before = serving(made)

    (models / ACTIVE_FILE).unlink()
    made.refresh()
    assert serving(made) == before
    assert made.served().problems[0].startswith("active.json is gone; put a copy of it back")

    (models / ACTIVE_FILE).write_text(content)
    made.refresh()
    assert (serving(made), made.served().problems) == (before, ())


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


def passes(card: Card) -> None:
    """Refuse nothing."""


def alter_unseen(path: Path, content: bytes) -> bytes:
    """Write over a file's beginning so that neither its size nor its time tells; return what was there."""
    state, before = path.stat(), path.read_bytes()
    path.write_bytes(content + before[len(content) :])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return before[: len(content)]


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


def test_what_could_not_be_loaded_is_tried_again_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "models"
    write_five(models)
    made = store(models)
    write_projection(models, "full/2", projection(9))
    promote(models, "full/2", ["full"], "ada", passes)
    good = alter_unseen(models / "full/2/model.onnx", b"\0" * 100)
    made.refresh()
    alter_unseen(models / "full/2/model.onnx", good)
    made.refresh()
    assert serving(made)["full"] == "full/1"

    monkeypatch.setattr(model_store, "RETRY_LOADING_S", 0)
    made.refresh()

    assert serving(made)["full"] == "full/2"
    assert made.served().problems == ()


def test_a_process_that_starts_on_a_bad_version_serves_the_one_before_until_it_is_mended(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_five(models)
    write_projection(models, "full/2", projection(9))
    promote(models, "full/2", ["full", "upper"], "ada", passes)
    content = (models / "full/2/model.onnx").read_bytes()
    (models / "full/2/model.onnx").write_bytes(content[:100])

    made = store(models)
    assert (serving(made)["full"], serving(made)["upper"]) == ("full/1", "upper/1")
    assert [problem.split(": ")[0] for problem in made.served().problems] == ["full", "upper"]
    assert made.served().problems[0].endswith(" full/1 serves in its place.")

    (models / "full/2/model.onnx").write_bytes(content)
    made.refresh()
    assert (serving(made)["full"], serving(made)["upper"]) == ("full/2", "full/2")
    assert made.served().problems == ()


BAD_LOGITS = {"self_test": {"full": (9.0,) * 7}}


def test_a_version_that_fails_its_self_test_keeps_the_old_one(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_five(models)
    made = store(models)
    write_projection(models, "full/2", projection(9), **BAD_LOGITS)

    write_active(models, {"full": "full/2", "upper": "upper/1"})
    made.refresh()

    assert serving(made) == {"full": "full/1", "upper": "upper/1"}
    assert made.served().problems[0].startswith("full: full/2 fails its self-test: with the view full")


def spoil_network(folder: Path) -> None:
    """Leave the network's first half."""
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])


def spoil_card(folder: Path) -> None:
    """Leave the card's first half."""
    content = (folder / "card.json").read_bytes()
    (folder / "card.json").write_bytes(content[: len(content) // 2])


def spoil_labels(folder: Path) -> None:
    """Give the card other labels."""
    content = (folder / "card.json").read_text()
    (folder / "card.json").write_text(content.replace('"angry"', '"cross"'))


def remove_network(folder: Path) -> None:
    """Take the network away."""
    (folder / "model.onnx").unlink()


def make_folder_of_network(folder: Path) -> None:
    """Put a folder in the network's place."""
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").mkdir()


def make_folder_of_card(folder: Path) -> None:
    """Put a folder in the card's place."""
    (folder / "card.json").unlink()
    (folder / "card.json").mkdir()


@pytest.mark.parametrize(
    "spoil",
    [spoil_network, spoil_card, spoil_labels, remove_network, make_folder_of_network, make_folder_of_card],
)
def test_files_that_go_bad_never_take_the_service_down(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    models = tmp_path / "models"
    write_five(models)
    made = store(models)
    before = serving(made)

    spoil(models / "left/1")
    made.refresh()
    started_anew = store(models)

    assert serving(made) == before
    assert len(made.served().problems) == 1
    assert serving(started_anew) == {slot: model for slot, model in before.items() if slot != "left"}


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
