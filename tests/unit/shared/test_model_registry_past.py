"""The way back of a slot, and slots that follow a release; each with its record."""

import json
from pathlib import Path

import pytest

from shared import model_registry
from shared.errors import ModelChangeError, SelfTestError
from shared.model_folder import Card, read_active, write_active
from tests.unit.shared.small_registry import add, fails, passes, promote, roll_back, told

# --- roll back -------------------------------------------------------------------------------------------------------


def test_each_roll_back_goes_one_further_back_until_there_is_nothing(models: Path) -> None:
    for version in "123":
        promote(models, f"first/{version}")

    assert roll_back(models) == "first/2"
    assert roll_back(models) == "first/1"
    with pytest.raises(ModelChangeError, match=r"^No earlier version of full can serve"):
        roll_back(models)
    assert told(models)[3:] == [
        ("ada", "roll_back", "full", "first/2", "first/3"),
        ("ada", "roll_back", "full", "first/1", "first/2"),
    ]


def test_after_a_roll_back_and_a_promotion_the_version_rolled_away_is_gone_from_the_way_back(models: Path) -> None:
    promote(models, "first/1")
    promote(models, "first/2")
    roll_back(models)
    promote(models, "first/3")

    assert roll_back(models) == "first/1"


def test_a_version_that_served_twice_is_gone_back_to_twice(models: Path) -> None:
    for version in "121":
        promote(models, f"first/{version}")

    assert [roll_back(models), roll_back(models)] == ["first/2", "first/1"]


def test_a_slot_goes_back_to_what_served_before_there_was_a_history(models: Path) -> None:
    write_active(models, {"full": "first/1", "upper": "first/1"})
    promote(models, "first/2", "full")

    assert roll_back(models) == "first/1"
    with pytest.raises(ModelChangeError):
        roll_back(models, "upper")


def test_a_slot_that_was_edited_by_hand_goes_back_to_what_the_history_knows(models: Path) -> None:
    promote(models, "first/1")
    content = json.loads((models / "active.json").read_text())
    content["active"]["full"] = "first/4"
    (models / "active.json").write_text(json.dumps(content))

    assert roll_back(models) == "first/1"


def test_archived_and_deleted_versions_are_passed_over(models: Path) -> None:
    for version in "1234":
        promote(models, f"first/{version}")
    model_registry.archive(models, "first/3", "ada")
    (models / "first/2").rename(models.parent / "away")

    assert roll_back(models) == "first/1"


def test_a_roll_back_to_a_version_that_fails_its_self_test_is_refused(models: Path) -> None:
    promote(models, "first/1")
    promote(models, "first/2")

    with pytest.raises(SelfTestError):
        model_registry.roll_back(models, "full", "ada", fails)
    assert read_active(models) == {"full": "first/2"}


def test_a_roll_back_during_which_somebody_else_changes_the_slot_is_refused(models: Path) -> None:
    promote(models, "first/1")
    promote(models, "first/2")

    def meanwhile(card: Card) -> None:
        promote(models, "first/3")

    with pytest.raises(ModelChangeError, match=r"^Somebody changed full at this moment"):
        model_registry.roll_back(models, "full", "bob", meanwhile)
    assert read_active(models) == {"full": "first/3"}


# --- release ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """Give a release in which `first/2` serves two slots, promoted by its maker."""
    folder = tmp_path / "released"
    add(folder, "first/1", "first/2")
    model_registry.promote(folder, "first/2", ["full", "upper"], "maker", passes)
    return folder


def test_an_empty_folder_follows_the_release(models: Path, released: Path) -> None:
    model_registry.follow_release(models, released, passes)

    assert read_active(models) == {"full": "first/2", "upper": "first/2"}
    assert told(models) == [
        ("release", "release", "full", "first/2", None),
        ("release", "release", "upper", "first/2", None),
    ]


def test_slots_of_an_older_release_follow_and_a_persons_choice_stays(models: Path, released: Path) -> None:
    write_active(models, {"full": "first/1"})
    promote(models, "first/1", "upper")

    model_registry.follow_release(models, released, passes)
    state = model_registry.follow_release(models, released, passes)

    assert state.active == {"full": "first/2", "upper": "first/1"}
    assert [change.action for change in state.history] == ["promote", "release"]


def test_a_released_version_that_a_person_promotes_stays(models: Path, released: Path) -> None:
    model_registry.follow_release(models, released, passes)
    promote(models, "first/2", "full")
    model_registry.promote(released, "first/1", ["full", "upper"], "maker", passes)

    state = model_registry.follow_release(models, released, passes)

    assert state.active == {"full": "first/2", "upper": "first/1"}
    assert [(change.action, change.slot) for change in state.history][2:] == [("promote", "full"), ("release", "upper")]


def test_a_release_that_was_rolled_back_stays_rolled_back(models: Path, released: Path) -> None:
    write_active(models, {"full": "first/1"})
    model_registry.follow_release(models, released, passes)
    assert roll_back(models) == "first/1"

    assert model_registry.follow_release(models, released, passes).active["full"] == "first/1"


def test_slots_follow_although_the_release_dropped_the_version_that_an_earlier_one_brought(
    models: Path, released: Path, tmp_path: Path
) -> None:
    model_registry.follow_release(models, released, passes)
    later = tmp_path / "later"
    add(later, "upper/1")
    add(models, "upper/1")
    write_active(later, {"full": "upper/1", "upper": "upper/1"})

    state = model_registry.follow_release(models, later, passes)

    assert state.active == {"full": "upper/1", "upper": "upper/1"}
    assert told(models)[2:] == [
        ("release", "release", "full", "upper/1", "first/2"),
        ("release", "release", "upper", "upper/1", "first/2"),
    ]
    assert roll_back(models, "upper") == "first/2"
    assert model_registry.follow_release(models, later, passes).active == {"full": "upper/1", "upper": "first/2"}


def test_an_earlier_release_is_followed_back(models: Path, released: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    add(earlier, "first/1")
    write_active(earlier, {"full": "first/1"})
    model_registry.follow_release(models, released, passes)

    state = model_registry.follow_release(models, earlier, passes)

    assert state.active == {"full": "first/1", "upper": "first/2"}


def test_what_releases_brought_before_there_was_a_history_follows_one_that_dropped_it_and_ones_own_stays(
    models: Path, tmp_path: Path
) -> None:
    later = tmp_path / "later"
    add(later, "upper/1", "any/1")
    add(models, "upper/1", "any/1", "mine/1")
    write_active(later, {"full": "upper/1", "upper": "upper/1", "lower": "upper/1", "any": "any/1"})
    write_active(models, {"full": "mine/1", "upper": "first/1", "lower": "first/1"})
    promote(models, "first/1", "left")
    promote(models, "first/2", "lower")
    promote(models, "first/1", "lower")

    state = model_registry.follow_release(models, later, passes)

    assert state.active == {
        "full": "mine/1",  # promoted when promotions were not noted
        "upper": "upper/1",
        "lower": "first/1",
        "left": "first/1",
        "any": "any/1",
    }


def test_a_slot_that_followed_and_was_then_edited_by_hand_stays(models: Path, released: Path) -> None:
    model_registry.follow_release(models, released, passes)
    content = json.loads((models / "active.json").read_text())
    content["active"] |= {"full": "first/4", "upper": "first/1"}
    (models / "active.json").write_text(json.dumps(content))

    assert model_registry.follow_release(models, released, passes).active == {"full": "first/4", "upper": "first/1"}


def test_a_slot_that_the_release_no_longer_serves_stays(models: Path, released: Path, tmp_path: Path) -> None:
    model_registry.follow_release(models, released, passes)
    later = tmp_path / "later"
    add(later, "first/3")
    write_active(later, {"full": "first/3"})

    assert model_registry.follow_release(models, later, passes).active == {"full": "first/3", "upper": "first/2"}


def test_a_version_of_ones_own_from_before_there_was_a_history_stays(models: Path, released: Path) -> None:
    write_active(models, {"full": "first/4", "upper": "first/1"})

    assert model_registry.follow_release(models, released, passes).active == {"full": "first/4", "upper": "first/2"}


def test_a_released_version_that_is_absent_or_archived_is_not_followed(models: Path, released: Path) -> None:
    model_registry.archive(models, "first/2", "ada")

    assert model_registry.follow_release(models, released, passes).active == {}


def test_a_released_version_that_does_not_pass_here_is_not_followed_and_the_old_one_stays(
    models: Path, released: Path
) -> None:
    write_active(models, {"full": "first/1"})
    assert model_registry.follow_release(models, released, fails).active == {"full": "first/1"}

    (models / "first/2/model.onnx").write_text("altered")
    assert model_registry.follow_release(models, released, passes).active == {"full": "first/1"}
