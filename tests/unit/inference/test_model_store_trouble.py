"""What serves when files are bad, away or back again: the old version wherever there is one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from services.inference import model_store
from shared.model_folder import ACTIVE_FILE, write_active
from shared.model_registry import promote
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


def test_slots_whose_version_is_damaged_share_the_one_that_served_before(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_projection(models, "small/1", projection(0))
    write_projection(models, "small/2", projection(9))
    for version in ("small/1", "small/2"):
        promote(models, version, ["full", "upper"], "ada", passes)
    alter_unseen(models / "small/2/model.onnx", b"\0" * 100)

    served = store(models).served()

    assert served.networks["full"].card.id == "small/1"
    assert served.networks["full"] is served.networks["upper"]


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
