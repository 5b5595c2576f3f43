"""Promote, archive and restore; each with its record, and by one process at a time."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from shared import model_registry
from shared.errors import ModelChangeError, ModelFolderError, SelfTestError, UnknownModelError
from shared.model_folder import Card, read_active, read_active_models, write_active
from shared.schemas.wire import Slot
from tests.unit.shared.small_registry import fails, promote, told

ROOT = Path(__file__).parents[3]


# --- promote ---------------------------------------------------------------------------------------------------------


def test_a_promotion_serves_its_slots_and_is_noted_with_who_and_when(models: Path) -> None:
    write_active(models, {"full": "first/1", "left": "first/1"})

    state = promote(models, "first/2", "upper", "full")

    assert state == read_active_models(models)
    assert state.active == {"full": "first/2", "upper": "first/2", "left": "first/1"}
    assert told(models) == [
        ("ada", "promote", "upper", "first/2", None),
        ("ada", "promote", "full", "first/2", "first/1"),
    ]
    since = model_registry.serving_since(state)
    assert since == {"full": state.history[1].time, "upper": state.history[0].time}


def test_a_version_that_serves_already_is_not_noted_again(models: Path) -> None:
    promote(models, "first/1", "full")

    promote(models, "first/1", "full", "upper", "upper")

    assert [(slot, model) for _, _, slot, model, _ in told(models)] == [("full", "first/1"), ("upper", "first/1")]


def test_a_version_in_a_folder_that_was_renamed_is_refused(models: Path) -> None:
    (models / "first/2").rename(models / "first/5")

    with pytest.raises(ModelFolderError, match=r"first/5 is first/2 by its card"):
        promote(models, "first/5")
    assert read_active(models) == {}


def test_a_version_that_is_deleted_during_its_self_test_is_not_promoted(models: Path) -> None:
    def meanwhile(card: Card) -> None:
        (models / card.id).rename(models.parent / "away")

    with pytest.raises(UnknownModelError):
        model_registry.promote(models, "first/2", ["full"], "ada", meanwhile)
    assert read_active(models) == {}


@pytest.mark.parametrize("model_id", ["first/9", "nonsense", "../first/1"])
def test_a_version_that_does_not_exist_is_refused(models: Path, model_id: str) -> None:
    with pytest.raises(UnknownModelError, match=r"^There is no model"):
        promote(models, model_id)
    assert read_active(models) == {}


def test_an_altered_version_is_refused_and_the_old_one_stays(models: Path) -> None:
    promote(models, "first/1")
    (models / "first/2/model.onnx").write_text("altered")

    with pytest.raises(ModelFolderError, match="SHA-256"):
        promote(models, "first/2")
    assert read_active(models) == {"full": "first/1"}


def test_a_version_that_fails_its_self_test_is_refused_and_the_old_one_stays(models: Path) -> None:
    promote(models, "first/1")
    before = told(models)

    with pytest.raises(SelfTestError):
        model_registry.promote(models, "first/2", ["full"], "ada", fails)
    assert read_active(models) == {"full": "first/1"}
    assert told(models) == before


def test_nothing_is_promoted_over_a_list_that_cannot_be_read(models: Path) -> None:
    (models / "active.json").write_text("{")

    with pytest.raises(ModelFolderError, match="put a good copy back"):
        promote(models, "first/1")
    assert (models / "active.json").read_text() == "{"


def test_a_folder_in_which_nobody_can_write_is_named(models: Path) -> None:
    (models / ".active.lock").mkdir()

    with pytest.raises(ModelFolderError, match=r"^The models folder cannot be changed \(.+\); make it writable"):
        promote(models, "first/1")


def test_changes_at_the_same_time_take_turns_and_none_is_lost(models: Path) -> None:
    slots: list[Slot] = ["full", "upper", "lower", "left", "right", "any"]

    def change(slot: Slot) -> None:
        for turn in range(10):
            promote(models, f"first/{turn % 2 + 1}", slot)

    threads = [threading.Thread(target=change, args=(slot,)) for slot in slots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(told(models)) == 60
    assert read_active(models) == dict.fromkeys(slots, "first/2")


def test_changes_of_several_processes_take_turns_and_one_that_is_killed_holds_up_nobody(models: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from shared.model_registry import promote\n"
        "folder, by, slot, end = Path(sys.argv[1]), *sys.argv[2:]\n"
        "for turn in range(int(end)):\n"
        "    promote(folder, f'first/{turn % 2 + 1}', [slot], by, lambda card: None)\n"
        "    print(turn, flush=True)\n"
    )

    def start(by: str, slot: Slot, turns: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, str(models), by, slot, str(turns)]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    with start("gateway", "full", 20) as gateway, start("command", "upper", 20) as command:
        with start("killed", "lower", 100_000) as killed:
            assert killed.stdout is not None
            killed.stdout.readline()
            killed.kill()
        gateway.communicate()
        command.communicate()

    assert (gateway.returncode, command.returncode) == (0, 0)
    changes = [(by, slot) for by, _, slot, _, _ in told(models)]
    assert (changes.count(("gateway", "full")), changes.count(("command", "upper"))) == (20, 20)
    assert ("killed", "lower") in changes
    assert promote(models, "first/3", "any").active["any"] == "first/3"


def test_the_newest_thousand_changes_and_each_slots_last_one_are_kept(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_registry, "KEPT_CHANGES", 3)
    promote(models, "first/1", "upper")
    for turn in range(5):
        promote(models, f"first/{turn % 2 + 1}", "full")

    kept = [(slot, model) for _, _, slot, model, _ in told(models)]
    assert kept == [("upper", "first/1"), ("full", "first/1"), ("full", "first/2"), ("full", "first/1")]


# --- archive and restore ---------------------------------------------------------------------------------------------


def test_an_archived_version_is_not_promoted_until_it_is_restored(models: Path) -> None:
    model_registry.archive(models, "first/2", "ada")
    model_registry.archive(models, "first/2", "ada")
    with pytest.raises(ModelChangeError, match=r"^first/2 is archived; restore it"):
        promote(models, "first/2")

    model_registry.restore(models, "first/2", "bob")
    model_registry.restore(models, "first/2", "bob")
    promote(models, "first/2")

    assert told(models)[:2] == [
        ("ada", "archive", None, "first/2", None),
        ("bob", "restore", None, "first/2", None),
    ]
    assert read_active_models(models).archived == ()


def test_a_version_in_service_is_not_archived(models: Path) -> None:
    promote(models, "first/1", "full", "left")

    with pytest.raises(ModelChangeError, match=r"^first/1 serves full, left; promote another"):
        model_registry.archive(models, "first/1", "ada")


@pytest.mark.parametrize("change", [model_registry.archive, model_registry.restore])
def test_only_a_version_that_exists_is_put_away_or_taken_out(
    models: Path, change: Callable[[Path, str, str], object]
) -> None:
    with pytest.raises(UnknownModelError):
        change(models, "first/9", "ada")


# --- the file --------------------------------------------------------------------------------------------------------


def test_a_damaged_history_keeps_nobody_from_reading_what_serves(models: Path) -> None:
    content = {"format": 1, "active": {"full": "first/1"}, "history": [{"action": "dance"}]}
    (models / "active.json").write_text(json.dumps(content))

    assert read_active(models) == {"full": "first/1"}
    with pytest.raises(ModelFolderError):
        read_active_models(models)


def test_every_slot_is_listed_in_the_studys_order_and_the_file_may_be_read_by_others(models: Path) -> None:
    promote(models, "first/1", "right", "any", "full")

    assert list(read_active(models)) == ["full", "right", "any"]
    assert (models / "active.json").stat().st_mode & 0o777 == 0o644
