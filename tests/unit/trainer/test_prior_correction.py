"""Class weights are taken out of what a file answers, and what an ensemble is made of is taken out uncorrected."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from shared.preprocessing import InputSpec, prepare
from shared.probabilities import softmax
from trainer.data import Dataset
from trainer.export import export_file, write_float32
from trainer.onnx_forward import onnx_forward
from trainer.prior_correction import correct_logits, log_weights
from trainer.size_average import average_sizes, write_large_reader, write_small_reader
from trainer.study.calibration import fit_temperature


def test_a_class_weighs_as_the_inverse_square_root_of_its_images() -> None:
    logs = log_weights({"angry": 400, "disgust": 4, "fear": 400, "happy": 900, "neutral": 400, "sad": 400, "x": 1})
    assert logs[1] - logs[0] == pytest.approx(np.log(10))
    assert logs[3] - logs[0] == pytest.approx(np.log(2 / 3))


def test_less_the_logarithms_of_the_weights_the_answers_are_the_true_probabilities() -> None:
    generator = np.random.default_rng(0)
    truth = generator.dirichlet((8, 0.3, 4, 10, 6, 6, 4), size=20_000)
    labels = np.array([generator.choice(7, p=row) for row in truth])
    added = -log_weights(dict(enumerate(np.bincount(labels))))
    weighed = 0.5 * (np.log(truth + 1e-12) - added)  # a network that is half as sure as it should be
    found = fit_temperature(weighed, labels, added)
    assert found == pytest.approx(0.5, abs=0.02)
    off = np.abs(softmax(weighed + found * added, found) - truth).mean()
    assert off < np.abs(softmax(weighed, fit_temperature(weighed, labels)) - truth).mean() / 10


@pytest.fixture
def file(learnt: tuple[Path, nn.Module], spec: InputSpec, tmp_path: Path) -> Path:
    """A float32 file that averages over two sizes."""
    path = tmp_path / "model.onnx"
    write_float32(learnt[1], spec, path)
    average_sizes(path, path, path)
    return path


ADDED = np.arange(7.0)


def test_the_file_adds_to_its_logits_for_any_batch(file: Path, drawn_data: Dataset, spec: InputSpec) -> None:
    batches = [prepare(drawn_data.test.faces[:faces], "full", spec) for faces in (1, 5)]
    before = [onnx_forward(file)(batch) for batch in batches]
    correct_logits(file, ADDED)
    for batch, logits in zip(batches, before, strict=True):
        assert np.allclose(onnx_forward(file)(batch), logits + ADDED, atol=1e-5)


@pytest.mark.parametrize("averages", [True, False])
def test_the_networks_of_an_ensemble_are_taken_out_of_files_without_their_correction(
    averages: bool, file: Path, learnt: tuple[Path, nn.Module], drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    before, both = tmp_path / "before.onnx", tmp_path / "both.onnx"
    write_float32(learnt[1], spec, before)
    average_sizes(before, before, both)
    source = file
    if not averages:
        write_float32(learnt[1], spec, source)
    correct_logits(source, ADDED)
    small, large, again = (tmp_path / name for name in ("small.onnx", "large.onnx", "again.onnx"))
    write_small_reader(source, small)
    write_large_reader(source, large)
    average_sizes(small, large, again)
    batch = prepare(drawn_data.test.faces[:5], "left", spec)
    assert np.allclose(onnx_forward(again)(batch), onnx_forward(both)(batch), atol=1e-4)


def test_a_file_is_exported_anew_with_another_that_reads_the_smaller_size(
    file: Path, learnt: tuple[Path, nn.Module], drawn_data: Dataset, spec: InputSpec, tmp_path: Path
) -> None:
    other, path = tmp_path / "other.onnx", tmp_path / "export" / "model.onnx"
    write_float32(learnt[1], spec, other)
    correct_logits(other, ADDED)
    exported = export_file(file, other, spec, drawn_data, "full", path)
    assert exported["parity"]["file"]["agreement"] == 1
    assert exported["size_bytes"] == path.stat().st_size
    batch = prepare(drawn_data.test.faces[:5], "full", spec)
    assert np.allclose(onnx_forward(path)(batch), onnx_forward(file)(batch), atol=1e-4)
    export_file(file, None, spec, drawn_data, "full", path)
    assert path.read_bytes() == file.read_bytes()
