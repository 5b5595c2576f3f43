"""The ONNX file answers as the network does, for any batch; one that does not is refused."""

from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from torch import nn

from shared.masking import View
from shared.model_folder import sha256_of
from shared.preprocessing import InputSpec, prepare
from shared.probabilities import Logits
from trainer import export
from trainer.data import Dataset
from trainer.errors import ExportError
from trainer.evaluation import accuracy, logits_of, torch_forward
from trainer.export import (
    FLOAT_SHARES,
    MAX_ACCURACY_LOSS,
    MIN_AGREEMENT,
    ExportSettings,
    _Calibration,
    export_model,
    parity,
    require_parity,
    write_float32,
    write_int8,
)
from trainer.onnx_forward import onnx_forward

CPU = torch.device("cpu")


def small_network(seed: int) -> nn.Sequential:
    """Return a network that is quick to export."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 11 * 11, 7)).eval()


@pytest.fixture(scope="module")
def float32(learnt: tuple[Path, nn.Module], spec: InputSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the learnt network as float32 ONNX."""
    path = tmp_path_factory.mktemp("onnx") / "float32.onnx"
    write_float32(learnt[1], spec, path)
    return path


@pytest.fixture(scope="module")
def exported(
    learnt: tuple[Path, nn.Module], drawn_data: Dataset, spec: InputSpec, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """Return the file that is shipped for the learnt network, and its figures."""
    path = tmp_path_factory.mktemp("export") / "new" / "model.onnx"
    return path, export_model(learnt[1], spec, drawn_data, "full", path)


def test_a_network_that_is_exported_twice_is_the_same_file(
    exported: tuple[Path, dict[str, Any]],
    learnt: tuple[Path, nn.Module],
    drawn_data: Dataset,
    spec: InputSpec,
    tmp_path: Path,
) -> None:
    export_model(learnt[1], spec, drawn_data, "full", tmp_path / "model.onnx")
    assert sha256_of(tmp_path / "model.onnx") == sha256_of(exported[0])  # what it answered before it was killed counts


def answers(*predicted: int) -> Logits:
    """Return logits that predict these classes."""
    return np.eye(7, dtype=np.float32)[list(predicted)]


def agrees(figures: dict[str, float]) -> bool:
    """Return whether a file with these figures may be shipped."""
    loss = figures["accuracy_before"] - figures["accuracy"]
    return figures["agreement"] >= MIN_AGREEMENT and loss <= MAX_ACCURACY_LOSS


def whole_number_weights(path: Path) -> list[npt.NDArray[np.int64]]:
    """Return the weights of each convolution that are held in 8 bits."""
    tensors = onnx.load(path).graph.initializer
    chosen = [tensor for tensor in tensors if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4]
    return [onnx.numpy_helper.to_array(tensor).astype(np.int64) for tensor in chosen]


# --- float32 ---------------------------------------------------------------------------------------------------------


def test_input_and_logits_have_the_names_and_shapes_that_the_card_promises(float32: Path, spec: InputSpec) -> None:
    model = onnx.load(float32)
    (source,), (result,) = model.graph.input, model.graph.output
    places = {value.name: value.type.tensor_type.shape.dim for value in (source, result)}
    assert list(places) == ["input", "logits"]
    assert [place.dim_value for place in places["input"]][1:] == [3, spec.size, spec.size]
    assert places["logits"][1].dim_value == 7
    assert all(place[0].dim_param for place in places.values())


def test_the_file_is_whole_and_sound(float32: Path) -> None:
    onnx.checker.check_model(float32, full_check=True)
    assert [path.name for path in float32.parent.iterdir()] == [float32.name]


@pytest.mark.parametrize("batch", [1, 2, 5, 33])
def test_any_batch_is_answered_as_torch_answers_it(
    batch: int, float32: Path, learnt: tuple[Path, nn.Module], drawn_data: Dataset, spec: InputSpec
) -> None:
    prepared = prepare(drawn_data.train.faces[:batch], View.UPPER, spec)
    expected, got = torch_forward(learnt[1], CPU)(prepared), onnx_forward(float32, threads=1)(prepared)
    assert got.shape == (batch, 7)
    assert got.dtype == np.float32
    assert np.allclose(expected, got, atol=1e-3)


# --- what is shipped -------------------------------------------------------------------------------------------------


def test_the_parity_of_each_file_is_measured_on_the_validation_part(
    exported: tuple[Path, dict[str, Any]], drawn_data: Dataset
) -> None:
    figures = exported[1]["parity"]
    assert list(figures)[:2] == ["float32", "int8"]
    assert {each["faces"] for each in figures.values()} == {len(drawn_data.validation)}
    assert figures["float32"]["agreement"] == 1
    assert figures["float32"]["largest_difference"] < 1e-3
    assert 0.8 < figures["int8"]["agreement"] <= 1
    assert figures["int8"]["largest_difference"] > figures["float32"]["largest_difference"]


def test_the_parity_is_measured_and_int8_calibrated_on_faces_as_they_were_trained_on(
    learnt: tuple[Path, nn.Module], drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    part, network = drawn_data.validation, torch_forward(learnt[1], CPU)
    right = {view: accuracy(logits_of(network, part.faces, view, spec), part.labels) for view in (View.FULL, View.LEFT)}
    told = export_model(learnt[1], spec, drawn_data, "left", tmp_path / "model.onnx", ExportSettings("float32"))
    assert told["parity"]["float32"]["accuracy_before"] == right[View.LEFT] != right[View.FULL]

    calibration = _Calibration(drawn_data, "left", spec)
    fed = np.concatenate([batch["input"] for batch in iter(calibration.get_next, None)])
    np.testing.assert_array_equal(fed, prepare(drawn_data.train.faces, View.LEFT, spec))


def test_the_first_int8_file_that_agrees_is_shipped_else_float32(exported: tuple[Path, dict[str, Any]]) -> None:
    path, told = exported
    *refused, last = [name for name in told["parity"] if name != "float32"]
    assert not any(agrees(told["parity"][name]) for name in refused)
    assert told["shipped"] == (last if agrees(told["parity"][last]) else "float32")
    kinds = Counter(node.op_type for node in onnx.load(path).graph.node)
    assert bool(kinds["QuantizeLinear"]) == (told["shipped"] != "float32")
    assert told["size_bytes"] == path.stat().st_size


@pytest.mark.parametrize("refusals", [0, 1, 2, 9])
def test_file_after_file_is_tried_until_one_agrees_and_float32_is_the_last_resort(
    refusals: int,
    learnt: tuple[Path, nn.Module],
    drawn_data: Dataset,
    spec: InputSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[str] = []

    def refuse_first(name: str, figures: dict[str, float]) -> None:
        judged.append(name)
        if name != "float32" and len(judged) <= 1 + refusals:
            raise ExportError(f"The {name} file was refused.")

    monkeypatch.setattr(export, "require_parity", refuse_first)
    told = export_model(learnt[1], spec, drawn_data, "full", tmp_path / "model.onnx")
    names = ["float32", "int8"]
    names += [f"int8, first {share:.0%} of the convolutions in float32" for share in FLOAT_SHARES[1:]]
    assert judged == names[: 2 + refusals] == list(told["parity"])
    assert told["shipped"] == (judged[-1] if refusals < len(FLOAT_SHARES) else "float32")
    kinds = Counter(node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node)
    assert bool(kinds["QuantizeLinear"]) == (told["shipped"] != "float32")


def test_the_shipped_file_gives_the_accuracy_that_was_told_and_lies_alone(
    exported: tuple[Path, dict[str, Any]], drawn_data: Dataset, spec: InputSpec
) -> None:
    path, told = exported
    part = drawn_data.validation
    logits = logits_of(onnx_forward(path, threads=1), part.faces, View.FULL, spec)
    measured = float((logits.argmax(axis=1) == part.labels).mean())
    assert measured == pytest.approx(told["parity"][told["shipped"]]["accuracy"])
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("float_share", "quantised"), [(0.0, 20), (0.5, 10), (0.55, 9)])
def test_int8_keeps_to_seven_bits_for_as_many_convolutions_as_asked_and_takes_any_batch(
    float_share: float, quantised: int, float32: Path, drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    write_int8(float32, drawn_data, "five", spec, path, float_share=float_share)
    weights = whole_number_weights(path)
    assert len(weights) == quantised
    assert max(int(np.abs(values).max()) for values in weights) <= 64  # so that no CPU saturates
    assert path.stat().st_size < float32.stat().st_size / 2
    for batch in (1, 3):
        faces = drawn_data.test.faces[:batch]
        assert onnx_forward(path, threads=1)(prepare(faces, View.LEFT, spec)).shape == (batch, 7)


class Counting(nn.Module):
    """Answers 0 to all, and notes how many faces it was shown at once."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[int] = []

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        self.shown.append(len(faces))
        return torch.zeros(len(faces), 7)


def test_a_file_for_large_faces_is_made_with_no_more_memory_than_one_for_small_ones(drawn_data: Dataset) -> None:
    network, large = Counting(), InputSpec(size=96)
    export._Check(network, large, drawn_data, "full", threads=1)
    calibrating = export._Calibration(drawn_data, "full", large).get_next()
    assert max(network.shown) == 16
    assert calibrating is not None
    assert len(calibrating["input"]) == 8


# --- what is refused -------------------------------------------------------------------------------------------------


def test_the_file_of_another_network_is_refused(drawn_data: Dataset, spec: InputSpec, tmp_path: Path) -> None:
    part, path = drawn_data.validation, tmp_path / "other.onnx"
    write_float32(small_network(seed=2), spec, path)
    expected = logits_of(torch_forward(small_network(seed=1), CPU), part.faces, View.FULL, spec)
    figures = parity(expected, logits_of(onnx_forward(path, threads=1), part.faces, View.FULL, spec), part.labels)
    assert figures["agreement"] < MIN_AGREEMENT
    with pytest.raises(
        ExportError, match=rf"The float32 file was refused: .* of {len(part)} validation faces keep their class"
    ):
        require_parity("float32", figures)


def test_a_network_whose_weights_are_no_numbers_is_refused_and_nothing_is_written(
    drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    network = small_network(seed=1)
    network.state_dict()["3.bias"].fill_(float("nan"))
    with pytest.raises(ExportError, match="float32 file was refused"):
        export_model(network, spec, drawn_data, "full", tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_parity_counted_by_hand() -> None:
    labels = np.array([0, 1, 2, 3], dtype=np.int64)
    figures = parity(answers(0, 1, 2, 6), answers(0, 1, 5, 6) * 3, labels)
    assert figures == {
        "faces": 4,
        "agreement": 0.75,
        "accuracy_before": 0.75,
        "accuracy": 0.5,
        "largest_difference": 3.0,
    }


FINE = {"faces": 2000, "agreement": 0.995, "accuracy_before": 0.7, "accuracy": 0.698, "largest_difference": 0.4}


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({}, False),
        ({"accuracy": 0.71}, False),
        ({"agreement": 0.989}, True),
        ({"accuracy": 0.696}, True),
        ({"largest_difference": float("nan")}, True),
        ({"largest_difference": float("inf")}, True),
    ],
    ids=["fine", "better", "other classes", "less accurate", "no number", "infinite"],
)
def test_files_that_differ_too_far_are_refused(change: dict[str, float], refused: bool) -> None:
    expectation = pytest.raises(ExportError, match="The int8 file was refused") if refused else nullcontext()
    with expectation:
        require_parity("int8", {**FINE, **change})
