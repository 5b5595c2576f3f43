"""Model folders: written as a whole or not at all, and trusted only if they are what their card says."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from shared.errors import ModelFolderError
from shared.files import write_atomically
from shared.labels import LABELS
from shared.model_folder import (
    Card,
    list_models,
    message_of,
    model_path,
    read_active,
    read_card,
    split_model_id,
    write_active,
    write_model,
)
from shared.preprocessing import InputSpec

BAD_IDS = [
    "",
    "first",
    "first/",
    "/1",
    "../1",
    "first/..",
    "first/1/2",
    "/etc/passwd",
    "first/1\n",
    "FIRST/1",
    "a\\b/1",
]


def card(**changes: Any) -> dict[str, Any]:
    """Return what a trainer says of a model, with changes."""
    return {
        "name": "first",
        "version": "1",
        "view": "five",
        "input": InputSpec(),
        "architecture": "resnet18",
        "training": {"seed": 0},
        "data": {"name": "fer2013.zip"},
        "metrics": {"accuracy": 0.6},
        "created": "2026-01-01T00:00:00+00:00",
        **changes,
    }


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A file that stands for a network; the folder format does not look into it."""
    path = tmp_path / "exported.onnx"
    path.write_bytes(b"a network")
    return path


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder that does not exist yet."""
    return tmp_path / "models"


@pytest.fixture
def folder(models: Path, network: Path) -> Path:
    """The folder of a model, first/1."""
    write_model(models, {"model.onnx": network}, card())
    return models / "first" / "1"


def change_card(folder: Path, **changes: Any) -> None:
    """Write other values into a card."""
    path = folder / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def names_below(folder: Path) -> set[str]:
    """Return every file and folder below `folder`, by its path in there."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


# --- writing and reading ---------------------------------------------------------------------------------------------


def test_a_model_comes_back_as_it_was_written(models: Path, network: Path) -> None:
    written = write_model(models, {"model.onnx": network}, card(notes="an extra key"))
    read = read_card(models / "first" / "1")
    assert read == written
    assert read.id == "first/1"
    assert read.labels == LABELS
    assert read.input == InputSpec()
    assert (models / "first" / "1" / "model.onnx").read_bytes() == b"a network"
    assert json.loads((models / "first" / "1" / "card.json").read_text())["notes"] == "an extra key"


def test_only_the_model_and_its_card_are_left_behind(models: Path, folder: Path) -> None:
    assert names_below(models) == {"first", "first/1", "first/1/card.json", "first/1/model.onnx"}


def test_a_card_has_the_keys_that_others_rely_on(folder: Path) -> None:
    content = json.loads((folder / "card.json").read_text())
    assert {"format", "name", "version", "view", "file", "sha256", "labels", "input"} <= set(content)
    assert {"architecture", "training", "data", "metrics"} <= set(content)
    assert set(content["input"]) == {"size", "channels", "mean", "std", "scale"}


def test_a_version_never_changes(models: Path, folder: Path, network: Path) -> None:
    network.write_bytes(b"another network")
    with pytest.raises(ModelFolderError, match=r"first/1 exists already.*choose another version"):
        write_model(models, {"model.onnx": network}, card(view="full"))
    assert read_card(folder).view == "five"
    assert write_model(models, {"model.onnx": network}, card(version="2")).id == "first/2"


@pytest.mark.parametrize("key", ["name", "view", "input", "metrics"])
def test_an_incomplete_card_is_refused_by_the_name_of_its_key(models: Path, network: Path, key: str) -> None:
    rest = {name: value for name, value in card().items() if name != key}
    with pytest.raises(ModelFolderError, match=f"mend its {key}") as caught:
        write_model(models, {"model.onnx": network}, rest)
    assert "pydantic" not in str(caught.value)
    assert not models.exists()


@pytest.mark.parametrize("wrong", ["", "..", "a/b", "../out", ".hidden", "Upper", "a" * 65, "a\n"])
@pytest.mark.parametrize("key", ["name", "version"])
def test_a_name_that_would_leave_the_folder_is_refused(models: Path, network: Path, key: str, wrong: str) -> None:
    with pytest.raises(ModelFolderError, match=f"mend its {key}"):
        write_model(models, {"model.onnx": network}, card(**{key: wrong}))
    assert not models.exists()


@pytest.mark.parametrize("name", ["../model.onnx", "a/b.onnx", "card.json"])
def test_a_file_with_a_tricky_name_is_refused(models: Path, network: Path, name: str) -> None:
    with pytest.raises(ModelFolderError, match="plain names"):
        write_model(models, {"model.onnx": network, name: network}, card())
    assert not models.exists()


def test_a_model_without_its_network_is_refused(models: Path, network: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"needs model\.onnx"):
        write_model(models, {"weights.safetensors": network}, card())


def test_a_folder_that_cannot_be_written_is_named(models: Path, network: Path) -> None:
    models.mkdir()
    (models / "first").write_text("a file in the way")
    with pytest.raises(ModelFolderError, match="first/1 could not be written"):
        write_model(models, {"model.onnx": network}, card())


CRASH = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_model_folder import card
from shared.model_folder import write_model
Path.rename = lambda *_: os._exit(9)  # the power fails just before the folder appears
write_model(Path(sys.argv[1]), {"model.onnx": Path(sys.argv[2])}, card())
"""


def test_a_crash_before_the_rename_leaves_no_visible_model(models: Path, network: Path) -> None:
    here = str(Path(__file__).parent)
    crashed = subprocess.run([sys.executable, "-c", CRASH, str(models), str(network), here], check=False)
    assert crashed.returncode == 9
    left = names_below(models)
    assert any(name.endswith("/card.json") for name in left), "the crash came too early to show anything"
    assert list(list_models(models)) == []
    assert not (models / "first" / "1").exists()
    write_model(models, {"model.onnx": network}, card())
    assert [name for name, _ in list_models(models)] == ["first/1"]


def test_a_version_outlives_a_power_cut_once_it_is_written(
    models: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, fsync = [], os.fsync

    def note_and_sync(descriptor: int) -> None:
        kept.append((os.fstat(descriptor).st_ino, (models / "first" / "1").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note_and_sync)
    write_model(models, {"model.onnx": network}, card())
    version = models / "first" / "1"
    its_own, above = [version, *version.iterdir()], [version.parent, models]
    assert {inode for inode, is_there in kept if not is_there} >= {path.stat().st_ino for path in its_own}
    assert {inode for inode, is_there in kept if is_there} == {path.stat().st_ino for path in above}


# --- what is not trusted ---------------------------------------------------------------------------------------------


def test_a_folder_without_a_card_is_no_model(models: Path, folder: Path) -> None:
    (folder / "card.json").unlink()
    with pytest.raises(ModelFolderError, match=r"holds no card\.json, so it is not a model"):
        read_card(folder)
    assert list(list_models(models)) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": 2}'])
def test_a_card_that_cannot_be_read_is_refused(folder: Path, content: bytes) -> None:
    (folder / "card.json").write_bytes(content)
    with pytest.raises(ModelFolderError, match="cannot be read as a card of format 1"):
        read_card(folder)


def test_a_card_of_another_format_is_refused(folder: Path) -> None:
    change_card(folder, format=2)
    with pytest.raises(ModelFolderError, match="card of format 1"):
        read_card(folder)


def test_an_altered_network_is_found_by_its_digest(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"A network")
    with pytest.raises(ModelFolderError, match="SHA-256 differs"):
        read_card(folder)
    assert isinstance(read_card(folder, verify=False), Card)


def test_a_missing_network_is_named(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    with pytest.raises(ModelFolderError, match=r"lacks the file model\.onnx"):
        read_card(folder, verify=False)


@pytest.mark.parametrize("labels", [LABELS[::-1], LABELS[:6], [*LABELS, "contempt"]])
def test_other_labels_than_ours_are_refused(folder: Path, labels: Any) -> None:
    change_card(folder, labels=list(labels))
    with pytest.raises(ModelFolderError, match="lists other labels than angry, disgust"):
        read_card(folder)


def test_a_network_without_a_digest_is_refused(folder: Path) -> None:
    change_card(folder, sha256={})
    with pytest.raises(ModelFolderError, match=r"no digest for model\.onnx"):
        read_card(folder)


@pytest.mark.parametrize("name", ["../1/model.onnx", "..", "", "/etc/hostname"])
def test_a_card_cannot_name_a_file_outside_its_folder(folder: Path, name: str) -> None:
    change_card(folder, file=name, sha256={name: "0" * 64})
    with pytest.raises(ModelFolderError, match="lacks the file"):
        read_card(folder, verify=False)


def test_the_list_gives_a_reason_for_each_model_that_is_broken(models: Path, folder: Path, network: Path) -> None:
    write_model(models, {"model.onnx": network}, card(version="2"))
    shutil.copytree(folder, models / "first" / ".1.staging")
    (folder / "card.json").write_text("{")
    (first, problem), (second, good) = list_models(models)
    assert (first, second) == ("first/1", "first/2")
    assert isinstance(problem, ModelFolderError)
    assert isinstance(good, Card)


def test_a_missing_models_folder_holds_no_models(models: Path) -> None:
    assert list(list_models(models)) == []
    assert read_active(models) == {}


def test_an_id_is_a_name_and_a_version(models: Path) -> None:
    assert split_model_id("first/20260101-full.2") == ("first", "20260101-full.2")
    assert model_path(models, "first/1") == models / "first" / "1"


@pytest.mark.parametrize("model_id", BAD_IDS)
def test_an_id_that_would_leave_the_folder_is_refused(models: Path, model_id: str) -> None:
    with pytest.raises(ModelFolderError, match="write it as <name>/<version>"):
        model_path(models, model_id)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that the system refuses to read")
def test_a_file_that_the_disk_does_not_give_is_a_refusal_and_no_crash(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to("/proc/self/mem")  # reading its first page is an I/O error

    with pytest.raises(ModelFolderError, match=r"model\.onnx cannot be read; check the disk"):
        read_card(folder)


def test_a_sentence_names_places_as_seen_from_the_models_folder(models: Path, folder: Path) -> None:
    (folder / "model.onnx").write_text("altered")

    with pytest.raises(ModelFolderError) as caught:
        read_card(folder)
    assert message_of(caught.value, models).startswith("first/1/model.onnx is not the file")


# --- active.json and atomic files ------------------------------------------------------------------------------------


def test_the_active_models_come_back_as_they_were_written(models: Path) -> None:
    write_active(models, {"full": "first/1", "any": "first/2"})
    assert read_active(models) == {"full": "first/1", "any": "first/2"}
    write_active(models, {})
    assert read_active(models) == {}
    assert names_below(models) == {"active.json"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"active": 3}', b'{"format": 2}', b"\xff"])
def test_an_active_file_that_cannot_be_read_is_named(models: Path, content: bytes) -> None:
    models.mkdir()
    (models / "active.json").write_bytes(content)
    with pytest.raises(ModelFolderError, match=r"active\.json cannot be read"):
        read_active(models)


@pytest.mark.parametrize("model_id", BAD_IDS)
def test_a_bad_id_is_not_promoted_and_the_old_one_stays(models: Path, model_id: str) -> None:
    write_active(models, {"full": "first/1"})
    with pytest.raises(ModelFolderError):
        write_active(models, {"full": model_id})
    assert read_active(models) == {"full": "first/1"}


def test_whoever_reads_while_another_writes_sees_the_old_or_the_new(models: Path) -> None:
    states = [{"full": "first/1"}, {"full": "second/" + "x" * 60, "upper": "third/1"}]
    write_active(models, states[0])

    def promote_back_and_forth() -> None:
        for turn in range(30):
            write_active(models, states[turn % 2])

    writer = threading.Thread(target=promote_back_and_forth)
    writer.start()
    while writer.is_alive():
        assert read_active(models) in states
    writer.join()
    assert names_below(models) == {"active.json"}


def test_an_atomic_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert names_below(tmp_path) == {"state.json"}


def test_an_atomic_file_makes_its_folder_and_may_be_read_by_others(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert path.stat().st_mode & 0o777 == 0o644
