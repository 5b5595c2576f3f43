"""A version's zip is a models folder's part, sent in pieces."""

import io
import os
import zipfile
from pathlib import Path

from services.gateway.model_download import CHUNK_BYTES, zipped
from shared.model_folder import read_card, write_model

from .folders import write_small_model


def test_a_zip_unpacks_to_the_version_it_was_made_of(tmp_path: Path) -> None:
    card = write_small_model(tmp_path / "models")

    content = b"".join(zipped(tmp_path / "models/first/1", card))

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
        archive.extractall(tmp_path / "unpacked")
    assert read_card(tmp_path / "unpacked/first/1") == card


def test_a_large_network_is_never_held_whole(tmp_path: Path) -> None:
    network = tmp_path / "large"
    network.write_bytes(os.urandom(5 * CHUNK_BYTES))
    small = write_small_model(tmp_path / "models")
    card = write_model(tmp_path / "models", {"model.onnx": network}, {**small.model_dump(), "version": "2"})

    pieces = list(zipped(tmp_path / "models/first/2", card))

    assert len(pieces) > 5
    assert max(map(len, pieces)) < 2 * CHUNK_BYTES
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.read("first/2/model.onnx") == network.read_bytes()
