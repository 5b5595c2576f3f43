"""An average over two sizes answers as the mean of both would, in torch and in ONNX, and weighs no more."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from shared.preprocessing import InputSpec, prepare
from trainer.data import Dataset
from trainer.evaluation import logits_of, torch_forward
from trainer.export import ExportSettings, export_model, onnx_forward, write_float32
from trainer.network import as_served
from trainer.size_average import SizeAverage, average_sizes, sizes_of


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
    average_sizes(path, averaged)
    expected = torch_forward(SizeAverage(mirrored), torch.device("cpu"))
    for faces in (drawn_data.test.faces[:1], drawn_data.test.faces[:7]):
        batch = prepare(faces, "lower", spec)
        assert np.allclose(onnx_forward(averaged)(batch), expected(batch), atol=1e-4)
        assert not np.allclose(onnx_forward(path)(batch), expected(batch), atol=1e-4)
    assert averaged.stat().st_size < path.stat().st_size * 1.01
    assert len(onnx.load(averaged).graph.output) == 1


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
    assert (got.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.99
    assert exported["size_bytes"] == path.stat().st_size
