"""A storage keeps files whole, and writes conditionally in each kind of store."""

from pathlib import Path

import pytest

from tests.s3_server import S3Server
from trainer.errors import FileChangedError, StorageError
from trainer.settings import Settings
from trainer.storage.store import PIECE_BYTES, Storage, open_storage


def test_what_is_put_is_listed_read_and_removed(storage: Storage) -> None:
    version = storage.put("runs/a/state.json", b"{}")
    storage.put("runs/a/checkpoints/step-1", b"12")
    assert storage.read("runs/a/state.json") == (b"{}", version)
    assert {name: item.size for name, item in storage.files("runs/a/").items()} == {
        "state.json": 2,
        "checkpoints/step-1": 2,
    }
    assert storage.files("runs/a/")["state.json"].version == version
    assert storage.folders("runs/") == ["a"]
    storage.delete(["runs/a/state.json", "runs/a/never-was"])
    assert storage.read("runs/a/state.json") is None
    assert not storage.exists("runs/a/state.json")
    assert storage.exists("runs/a/checkpoints/step-1")


def test_a_folder_whose_name_begins_like_another_is_not_listed_with_it(storage: Storage) -> None:
    storage.put("runs/a/state.json", b"")
    storage.put("runs/ab/state.json", b"")
    assert list(storage.files("runs/a/")) == ["state.json"]


def test_a_file_is_created_once(storage: Storage) -> None:
    assert storage.create("lease", b"first") is not None
    assert storage.create("lease", b"second") is None
    found = storage.read("lease")
    assert found is not None
    assert found[0] == b"first"


def test_a_file_is_replaced_only_while_it_is_as_it_was_seen(storage: Storage) -> None:
    seen = storage.put("lease", b"first")
    version = storage.replace("lease", b"second", seen)
    assert version is not None
    assert storage.replace("lease", b"third", seen) is None
    assert storage.read("lease") == (b"second", version)
    assert storage.replace("nothing", b"", seen) is None


def test_a_server_without_conditional_writes_is_looked_at_first(
    s3_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    storage = open_storage(s3_settings)
    version = storage.create("lease", b"first")
    assert version is not None
    assert storage.create("lease", b"second") is None
    assert storage.replace("lease", b"third", version) is not None
    assert storage.replace("lease", b"fourth", version) is None
    found = storage.read("lease")
    assert found is not None
    assert found[0] == b"third"


@pytest.mark.parametrize("size", [0, 5, PIECE_BYTES, 2 * PIECE_BYTES + 3])
def test_a_file_of_any_size_comes_back_as_it_was(size: int, s3_settings: Settings, tmp_path: Path) -> None:
    storage = open_storage(s3_settings)
    source, target = tmp_path / "source", tmp_path / "deep" / "target"
    source.write_bytes(bytes(i % 251 for i in range(1000)) * (size // 1000 + 1))
    with source.open("rb+") as file:
        file.truncate(size)
    version = storage.put_file("big", source)
    item = storage.files("")["big"]
    assert (item.size, item.version) == (size, version)
    assert storage.fetch("big", item, target) == version
    assert target.read_bytes() == source.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["target"]


def test_a_large_file_that_is_replaced_while_it_is_fetched_is_never_a_mixture(storage: Storage, tmp_path: Path) -> None:
    storage.put("file", b"o" * (PIECE_BYTES + 1))
    item = storage.files("")["file"]
    storage.put("file", b"n" * (PIECE_BYTES + 1))
    (tmp_path / "target").write_bytes(b"here")
    with pytest.raises(FileChangedError):
        storage.fetch("file", item, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"here"


def test_a_small_file_that_was_replaced_since_it_was_listed_comes_as_it_is_now(
    storage: Storage, tmp_path: Path
) -> None:
    storage.put("file", b"old")
    item = storage.files("")["file"]
    version = storage.put("file", b"new")
    assert storage.fetch("file", item, tmp_path / "target") == version
    assert (tmp_path / "target").read_bytes() == b"new"
    storage.delete(["file"])
    with pytest.raises(FileChangedError):
        storage.fetch("file", item, tmp_path / "target")


@pytest.mark.parametrize("url", ["", "bucket/folder", "s3://", "ftp://server/folder"])
def test_an_address_that_is_none_is_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(StorageError, match="write it like s3://bucket/folder"):
        open_storage(Settings(storage_url=url))


def test_a_server_that_does_not_answer_is_said_in_a_sentence_of_one_line(s3_settings: Settings, s3: S3Server) -> None:
    storage = open_storage(s3_settings)
    with s3.away(), pytest.raises(StorageError) as told:
        storage.read("file")
    assert str(told.value).startswith("file could not be read from the storage: ")
    assert "\n" not in str(told.value)
    assert storage.read("file") is None
