"""From a trained network to the ONNX file that is served: float32, then int8, each checked before it is trusted.

int8 is static quantisation (QDQ, weights per channel), calibrated on training faces. Activations are unsigned and
weights signed 8 bit; weights keep to 7 of their 8 bits (`reduce_range`), since on CPUs without VNNI the product of two
pairs is added up in 16 bits and would saturate (ONNX Runtime's guide, "Quantize ONNX models"). The classifier stays in
float32, being tiny. Early layers are the sensitive ones (docs/experiments.md), so an int8 file that does not answer as
the network does is refused and made again with a growing share of the first convolutions in float32. If none passes,
the float32 file is shipped: training is not lost.
"""

import contextlib
import io
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from shared.preprocessing import InputSpec, prepare
from shared.probabilities import Forward, Logits
from shared.schemas.jobs import Precision
from trainer.augmentation import view_mix
from trainer.data import Dataset
from trainer.errors import ExportError
from trainer.evaluation import accuracy, batch_size_at, logits_of, torch_forward
from trainer.onnx_forward import onnx_forward
from trainer.size_average import SizeAverage, average_sizes, write_large_reader, write_small_reader
from trainer.stopping import unbroken

log = logging.getLogger(__name__)

CALIBRATION_FACES: Final = 1024
PARITY_FACES: Final = 2000
MIN_AGREEMENT: Final = 0.99
MAX_ACCURACY_LOSS: Final = 0.003
FLOAT_SHARES: Final = (0.0, 0.25, 0.5, 0.55, 0.75)
"""Shares of the convolutions, from the input on, that stay in float32; tried in turn until the parity check passes. The
eleventh convolution of a ResNet18 is small: with it in float32 too, the file is 0.1 MB larger, with fifteen 6 MB."""

OPSET: Final = 18


class FileNetwork(nn.Module):
    """A network that answers from its ONNX file, where its weights are not at hand.

    Args:
        path: `input` (N, C, S, S) to `logits` (N, 7).
        threads: on the CPU; 0: as many as cores.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        super().__init__()
        self._answer = onnx_forward(path, threads)

    def forward(self, faces: Tensor) -> Tensor:
        """Return the logits (N, 7) of `faces`, float32 (N, C, S, S)."""
        return torch.from_numpy(self._answer(faces.float().numpy()))


@dataclass(frozen=True)
class ExportSettings:
    """How to export: the arithmetic to try for, the CPU threads of what is measured (0: as many as cores), and whether
    the file averages over two sizes."""

    precision: Precision = "int8"
    threads: int = 0
    size_average: bool = False


def export_model(
    network: nn.Module,
    spec: InputSpec,
    data: Dataset,
    train_on: str,
    path: Path,
    settings: ExportSettings = ExportSettings(),
    other: Path | None = None,
) -> dict[str, Any]:
    """Write the network as ONNX with a dynamic batch: int8 if asked for and if it passes the parity check, or float32.

    Args:
        network: float32, on the CPU; it averages over mirror images itself, if it is to.
        spec: what it reads.
        data: its training part calibrates, its validation part checks.
        train_on: what was hidden while training.
        path: the file to write; its folder is made.
        settings: precision, threads, and whether to average over two sizes.
        other: another version's ONNX file, which reads the smaller of the two sizes in the network's place.

    Returns:
        What was shipped and the parity figures, for the card.

    Raises:
        ExportError: the float32 file, too, does not answer as the network does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        beside = None
        if other is not None:
            beside = Path(folder, "other.onnx")
            write_small_reader(other, beside)
        small = network if beside is None else FileNetwork(beside, settings.threads)
        served = SizeAverage(small, network) if settings.size_average else network
        check = _Check(served, spec, data, train_on, settings.threads)
        float32, int8 = Path(folder, "float32.onnx"), Path(folder, "int8.onnx")
        write_float32(network, spec, float32)
        shipped, file = "float32", _answering(float32, beside, averaged=settings.size_average)
        figures = {"float32": check.figures(file)}
        require_parity("float32", figures["float32"])
        for share in FLOAT_SHARES if settings.precision == "int8" else ():
            write_int8(float32, data, train_on, spec, int8, float_share=share)
            quantised = _answering(int8, beside, averaged=settings.size_average)
            name = "int8" if share == 0 else f"int8, first {share:.0%} of the convolutions in float32"
            figures[name] = check.figures(quantised)
            try:
                require_parity(name, figures[name])
            except ExportError as error:
                log.warning("%s", error)
            else:
                shipped, file = name, quantised
                break
        shutil.copyfile(file, path)
    return {"shipped": shipped, "size_bytes": path.stat().st_size, "parity": figures}


def export_file(
    source: Path,
    other: Path | None,
    spec: InputSpec,
    data: Dataset,
    train_on: str,
    path: Path,
    threads: int = 0,
) -> dict[str, Any]:
    """Write the network in a version's ONNX file anew, where its weights are not at hand, in the arithmetic it has.

    Args:
        source: the version's file.
        other: another version's, which reads the smaller of two sizes in its network's place; None: a plain copy.
        spec: what both read.
        data: its validation part checks.
        train_on: what was hidden while training.
        path: the file to write; its folder is made.
        threads: on the CPU, of what is measured; 0: as many as cores.

    Returns:
        The parity figures, for the card.

    Raises:
        ExportError: the file does not answer as the networks do.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        small, large = Path(folder, "small.onnx"), Path(folder, "large.onnx")
        if other is None:
            shutil.copyfile(source, path)
            network: nn.Module = FileNetwork(source, threads)
        else:
            write_small_reader(other, small)
            write_large_reader(source, large)
            average_sizes(small, large, path)
            network = SizeAverage(FileNetwork(small, threads), FileNetwork(large, threads))
        figures = _Check(network, spec, data, train_on, threads).figures(path)
    require_parity("joined", figures)
    return {"size_bytes": path.stat().st_size, "parity": {"file": figures}}


def _answering(file: Path, beside: Path | None, *, averaged: bool) -> Path:
    """Return the file that answers: `file` itself, or another in its folder that averages over two sizes."""
    if not averaged:
        return file
    path = file.with_stem(f"{file.stem}-averaged")
    average_sizes(beside or file, file, path)
    return path


class _Check:
    """Compares files with the network on faces spread over the validation part."""

    def __init__(self, network: nn.Module, spec: InputSpec, data: Dataset, train_on: str, threads: int) -> None:
        self.threads = threads
        count = min(PARITY_FACES, len(data.validation))
        chosen = np.linspace(0, len(data.validation) - 1, count).astype(int)
        self.faces, self.labels = data.validation.faces[chosen], data.validation.labels[chosen]
        self.hidden, self.spec = view_mix(train_on).fixed(count), spec
        self.expected = self._logits(torch_forward(network, torch.device("cpu")))

    def _logits(self, forward: Forward) -> Logits:
        return logits_of(forward, self.faces, self.hidden, self.spec)

    def figures(self, path: Path) -> dict[str, float]:
        """Return the parity figures of an ONNX file."""
        return parity(self.expected, self._logits(onnx_forward(path, self.threads)), self.labels)


def write_float32(network: nn.Module, spec: InputSpec, path: Path) -> None:
    """Write `network` as float32 ONNX: `input` (N, C, S, S) to `logits` (N, 7), any N."""
    example = torch.zeros(2, spec.channels, spec.size, spec.size)
    batch = torch.export.Dim("batch", min=1)
    with unbroken(), _quiet():
        torch.onnx.export(
            network.eval(),
            (example,),
            path,
            input_names=["input"],
            output_names=["logits"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: batch},),
            external_data=False,
            verbose=False,
        )


def write_int8(
    source: Path, data: Dataset, train_on: str, spec: InputSpec, path: Path, *, float_share: float = 0.0
) -> None:
    """Quantise a float32 ONNX file, calibrated on training faces under the views that were trained on.

    Args:
        source: as `write_float32` makes it.
        data: its training part calibrates.
        train_on: what was hidden while training.
        spec: what the network reads.
        path: the file to write.
        float_share: this share of the convolutions, from the input on, stays in float32.
    """
    prepared = path.with_name("prepared.onnx")
    with _quiet():
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(path),
            _Calibration(data, train_on, spec),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_float_nodes(prepared, float_share),
        )


def _float_nodes(path: Path, share: float) -> list[str]:
    """Return the names of the nodes before the first convolution that is quantised, and of the classifier."""
    nodes = list(onnx.load(path).graph.node)
    convolutions = [index for index, node in enumerate(nodes) if node.op_type == "Conv"]
    first = convolutions[int(len(convolutions) * share)]
    return [node.name for index, node in enumerate(nodes) if index < first or node.op_type in ("Gemm", "MatMul")]


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Feeds training faces, spread over the whole part, half a batch at a time."""

    def __init__(self, data: Dataset, train_on: str, spec: InputSpec) -> None:
        count = min(CALIBRATION_FACES, len(data.train))
        chosen = np.linspace(0, len(data.train) - 1, count).astype(int)
        hidden = view_mix(train_on).fixed(count)
        faces, step = data.train.faces[chosen], max(1, batch_size_at(spec.size) // 2)
        self._batches: Iterator[npt.NDArray[np.float32]] = (
            prepare(faces[start : start + step], hidden[start : start + step], spec) for start in range(0, count, step)
        )

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """Return the next batch, None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {"input": batch}


def parity(expected: Logits, got: Logits, labels: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return how far `got` (N, 7) answers as `expected` (N, 7) does: faces, agreement, accuracy of both, all 0 to 1."""
    return {
        "faces": len(labels),
        "agreement": float((expected.argmax(axis=1) == got.argmax(axis=1)).mean()),
        "accuracy_before": accuracy(expected, labels),
        "accuracy": accuracy(got, labels),
        "largest_difference": float(np.abs(expected - got).max()),
    }


def require_parity(what: str, figures: dict[str, float]) -> None:
    """Refuse an export that does not answer as the network does.

    Raises:
        ExportError: fewer than 99 % of the faces keep their class, accuracy falls by more than 0.3 points, or a logit
            is not finite.
    """
    if not np.isfinite(figures["largest_difference"]):
        raise ExportError(f"The {what} file was refused: it answers with numbers that are not finite.")
    loss = figures["accuracy_before"] - figures["accuracy"]
    if figures["agreement"] < MIN_AGREEMENT or loss > MAX_ACCURACY_LOSS:
        raise ExportError(
            f"The {what} file was refused: {figures['agreement']:.2%} of {figures['faces']} validation faces keep "
            f"their class (99 % needed) and accuracy falls by {loss * 100:.2f} points (0.3 allowed)."
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' chatter and deprecation notes off the terminal and the log."""
    root = logging.getLogger()
    level = root.level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            root.setLevel(level)
