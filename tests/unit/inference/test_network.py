"""A network is checked against its card before it serves."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from services.inference.network import Network
from shared.errors import ModelFolderError
from shared.model_folder import write_model
from tests.unit.inference.small_models import projection, write_projection


def load(folder: Path, network: onnx.ModelProto) -> Network:
    """Return a network that was written as `small/1`."""
    write_projection(folder / "models", "small/1", network)
    return Network(folder / "models" / "small" / "1", threads=1)


def test_a_batch_of_any_size_gives_seven_logits_a_face(tmp_path: Path) -> None:
    network = load(tmp_path, projection(0))

    for count in (1, 5, 32):
        assert network.logits(np.zeros((count, 3, 48, 48), np.float32)).shape == (count, 7)


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"^The network of small/1 lacks a batch of any size"):
        load(tmp_path, projection(0, batch=1))


def test_another_number_of_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"lacks float32 `logits` of \(N, 7\)"):
        load(tmp_path, projection(0, outputs=6))


def test_another_input_size_is_refused(tmp_path: Path) -> None:
    network = projection(0)
    network.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 64

    with pytest.raises(ModelFolderError, match=r"small/1"):
        load(tmp_path, network)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    network = projection(0)
    weights = network.graph.initializer[0]
    weights.raw_data = np.full(len(weights.raw_data) // 4, np.nan, np.float32).tobytes()

    with pytest.raises(ModelFolderError, match=r"^small/1 fails its self-test: its logits are not finite"):
        load(tmp_path, network)


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    load(tmp_path, projection(0))
    file = tmp_path / "models" / "small" / "1" / "model.onnx"
    file.write_bytes(file.read_bytes() + b"\0")

    with pytest.raises(ModelFolderError, match="SHA-256"):
        Network(file.parent, threads=1)


def test_a_folder_that_was_renamed_is_refused_since_answers_name_the_version(tmp_path: Path) -> None:
    load(tmp_path, projection(0))
    renamed = (tmp_path / "models/small/1").rename(tmp_path / "models/small/2")

    with pytest.raises(ModelFolderError, match=r"small/2 is small/1 by its card"):
        Network(renamed, threads=1)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    card = write_projection(tmp_path / "models", "small/1", projection(0))
    text = tmp_path / "text"
    text.write_text("no network")
    write_model(tmp_path / "models", {"model.onnx": text}, {**card.model_dump(), "version": "2"})

    with pytest.raises(ModelFolderError, match=r"^small/2 is no network that can be run"):
        Network(tmp_path / "models" / "small" / "2", threads=1)
