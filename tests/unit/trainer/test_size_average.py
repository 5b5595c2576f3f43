"""An average over two sizes answers as the mean of both would, in torch and in ONNX, and weighs no more."""

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from shared.preprocessing import InputSpec, prepare
from trainer import export
from trainer.data import Dataset
from trainer.evaluation import logits_of, torch_forward
from trainer.export import ExportSettings, export_model, write_float32
from trainer.network import as_served, build_network
from trainer.onnx_forward import onnx_forward
from trainer.size_average import SizeAverage, average_sizes, sizes_of, write_small_reader


class Brightness(nn.Module):
    """A network for any size: the mean of the pixels, seven times."""

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return faces.mean(dim=(1, 2, 3))[:, None].repeat(1, 7)


@pytest.mark.parametrize(("size", "sizes"), [(48, (40, 52)), (16, (13, 17)), (224, (187, 243))])
def test_one_size_is_a_little_smaller_and_one_a_little_larger(size: int, sizes: tuple[int, int]) -> None:
    assert sizes_of(size) == sizes


def test_the_larger_face_is_cut_around_the_middle_so_that_a_hidden_half_stays_one() -> None:
    seen: list[torch.Tensor] = []

    class Watch(Brightness):
        def forward(self, faces: torch.Tensor) -> torch.Tensor:
            seen.append(faces)
            return super().forward(faces)

    faces = torch.zeros(1, 3, 48, 48)
    faces[..., :24, :] = 1.0
    SizeAverage(Watch())(faces)
    small, zoomed = seen
    assert (small.shape[-2:], zoomed.shape[-2:]) == ((40, 40), (48, 48))
    for each in seen:
        middle = each.shape[-2] // 2
        assert each[..., : middle - 1, :].min() > 0.999
        assert each[..., middle + 1 :, :].max() == 0


def test_the_answer_is_the_mean_of_the_networks_own_on_both_sizes() -> None:
    faces = torch.rand(4, 3, 48, 48)
    small = nn.functional.interpolate(faces, size=(40, 40), mode="bilinear")
    zoomed = nn.functional.interpolate(faces, size=(52, 52), mode="bilinear")[..., 2:50, 2:50]
    network = Brightness()
    assert torch.allclose(SizeAverage(network)(faces), (network(small) + network(zoomed)) / 2)


def test_the_file_answers_as_the_network_does_for_any_batch_and_keeps_its_weights_once(
    learnt: tuple[Path, nn.Module], drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    mirrored, path, averaged = as_served(learnt[1], mirror_average=True), tmp_path / "one.onnx", tmp_path / "two.onnx"
    write_float32(mirrored, spec, path)
    average_sizes(path, path, averaged)
    expected = torch_forward(SizeAverage(mirrored), torch.device("cpu"))
    for faces in (drawn_data.test.faces[:1], drawn_data.test.faces[:7]):
        batch = prepare(faces, "lower", spec)
        assert np.allclose(onnx_forward(averaged)(batch), expected(batch), atol=1e-4)
        assert not np.allclose(onnx_forward(path)(batch), expected(batch), atol=1e-4)
    assert averaged.stat().st_size < path.stat().st_size * 1.01
    assert len(onnx.load(averaged).graph.output) == 1


def test_two_networks_share_the_sizes_in_one_file(
    learnt: tuple[Path, nn.Module], drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    one, other = (as_served(each, mirror_average=True) for each in (learnt[1], build_network("resnet18").eval()))
    files = [tmp_path / name for name in ("one.onnx", "other.onnx", "both.onnx")]
    for network, path in zip((one, other), files[:2], strict=True):
        write_float32(network, spec, path)
    average_sizes(*files)
    batch = prepare(drawn_data.test.faces[:5], "upper", spec)
    got = onnx_forward(files[2])(batch)
    assert np.allclose(got, torch_forward(SizeAverage(one, other), torch.device("cpu"))(batch), atol=1e-3)
    assert not np.allclose(got, torch_forward(SizeAverage(other, one), torch.device("cpu"))(batch), atol=1e-3)
    assert files[2].stat().st_size == pytest.approx(files[0].stat().st_size + files[1].stat().st_size, rel=0.01)


def test_what_reads_the_smaller_size_is_taken_out_of_a_file_and_a_file_without_sizes_is_taken_whole(
    learnt: tuple[Path, nn.Module], drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    torch.manual_seed(4)
    networks = (learnt[1], build_network("resnet18", width=0.25, small_stem=True).eval())
    files, taken = (tmp_path / "one.onnx", tmp_path / "other.onnx"), tmp_path / "taken.onnx"
    for network, path in zip(networks, files, strict=True):
        write_float32(network, spec, path)
    faces = prepare(drawn_data.test.faces[:3], "left", spec)
    smaller, _ = sizes_of(spec.size)
    batch = nn.functional.interpolate(torch.from_numpy(faces), size=(smaller, smaller), mode="bilinear")

    def is_small_reader(network: nn.Module, file: Path) -> bool:
        with torch.inference_mode():
            return np.allclose(onnx_forward(taken)(batch.numpy()), network(batch).numpy(), atol=1e-4) and (
                taken.stat().st_size == pytest.approx(file.stat().st_size, rel=0.02)
            )

    averaged = tmp_path / "averaged.onnx"
    for small, large in ((0, 1), (1, 0), (0, 0)):
        average_sizes(files[small], files[large], averaged)
        write_small_reader(averaged, taken)
        assert is_small_reader(networks[small], files[small])
    write_small_reader(files[1], taken)
    assert is_small_reader(networks[1], files[1])


@pytest.fixture
def _lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ship int8 although one of so few faces flips: what an export must reach is tested with it."""
    monkeypatch.setattr(export, "MIN_AGREEMENT", 0.8)
    monkeypatch.setattr(export, "MAX_ACCURACY_LOSS", 1.0)


@pytest.mark.usefixtures("_lenient")
def test_an_export_of_two_networks_is_compared_with_the_mean_of_both(
    learnt: tuple[Path, nn.Module], drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    path, other, network = tmp_path / "model.onnx", tmp_path / "other.onnx", copy.deepcopy(learnt[1])
    with torch.no_grad():
        network.fc.bias[0] += 100.0  # so that the mean is another class than the first network's
    write_float32(network, spec, other)
    settings = ExportSettings(size_average=True)
    exported = export_model(learnt[1], spec, drawn_data, "full", path, settings, other)
    assert exported["shipped"].startswith("int8")
    got = logits_of(onnx_forward(path), drawn_data.validation.faces, "full", spec)
    assert (got.argmax(axis=1) == 0).all()


@pytest.mark.usefixtures("_lenient")
def test_an_export_with_the_average_is_compared_with_the_network_that_averages(
    learnt: tuple[Path, nn.Module], drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    exported = export_model(learnt[1], spec, drawn_data, "full", path, ExportSettings(size_average=True))
    assert exported["shipped"].startswith("int8")
    served = torch_forward(as_served(learnt[1], mirror_average=False, size_average=True), torch.device("cpu"))
    validation = drawn_data.validation
    got = logits_of(onnx_forward(path), validation.faces, "full", spec)
    expected = logits_of(served, validation.faces, "full", spec)
    told = exported["parity"][exported["shipped"]]["agreement"]
    assert (got.argmax(axis=1) == expected.argmax(axis=1)).mean() == pytest.approx(told, abs=1e-4)
    assert exported["size_bytes"] == path.stat().st_size
