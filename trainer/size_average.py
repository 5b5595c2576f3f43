"""Answers with the mean over a face that is a little smaller and one that is a little larger, within the exported file:
multi-scale evaluation (Simonyan & Zisserman 2014, section 4.2).

The two sizes were chosen on the validation part (docs/experiments.md): 5/6 of the input, which the network reads as it
is, and 13/12 of it, cut to the input's size around the middle, so that a hidden half stays a half. Both are bilinear.
An ONNX file gets the average after quantisation: its nodes are laid out twice, its weights stay where they are. Or
two networks share the sizes, an ensemble that takes no more time than one network does (Hansen & Salamon 1990).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper
from onnx.utils import Extractor
from torch import Tensor, nn
from torch.nn.functional import interpolate

from trainer.prior_correction import UNCORRECTED_LOGITS

SMALLER: Final = 5 / 6
LARGER: Final = 13 / 12

SMALL: Final = "small"
LARGE: Final = "zoomed"
"""In a file that averages, the smaller face and the cut larger one; `<face>/logits` is what is answered to it."""


def sizes_of(size: int) -> tuple[int, int]:
    """Return the two sizes in pixels, for a network that reads faces of `size`: 40 and 52 for 48."""
    return round(size * SMALLER), round(size * LARGER)


class SizeAverage(nn.Module):
    """A network that answers with the mean of its logits on a face at two sizes.

    Args:
        network: float32 (N, C, S, S) to logits (N, 7), for more than one S. Its weights are shared, not copied.
        other: another such network, which reads the larger size; `network` itself if absent.
    """

    def __init__(self, network: nn.Module, other: nn.Module | None = None) -> None:
        super().__init__()
        self.network, self.other = network, network if other is None else other

    def forward(self, faces: Tensor) -> Tensor:
        """Return the logits (N, 7) of `faces`, float32 (N, C, S, S)."""
        size = faces.shape[-1]
        small, large = sizes_of(size)
        cut = (large - size) // 2
        zoomed = interpolate(faces, size=(large, large), mode="bilinear")[..., cut : cut + size, cut : cut + size]
        on_small: Tensor = self.network(interpolate(faces, size=(small, small), mode="bilinear"))
        on_large: Tensor = self.other(zoomed.contiguous())
        return (on_small + on_large) / 2


def average_sizes(small_reader: Path, large_reader: Path, path: Path) -> None:
    """Write an ONNX file that averages as `SizeAverage` does.

    Args:
        small_reader: `input` (N, C, S, S) to `logits` (N, 7), of a network without weights for a certain S, or one for
            the smaller size.
        large_reader: the same, of the network that reads the larger size of S; where it is `small_reader` too, that
            file's weights are kept once.
        path: the file to write; may be one of them.
    """
    model = onnx.load(large_reader)
    graph = model.graph
    size = graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    smaller, larger = sizes_of(size)
    cut = (larger - size) // 2
    for name, value in {
        "small_size": [smaller, smaller],
        "large_size": [larger, larger],
        "cut_from": [cut, cut],
        "cut_to": [cut + size, cut + size],
        "cut_axes": [2, 3],
    }.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, dtype=np.int64), name))
    inputs = [
        _resize("small_size", SMALL),
        _resize("large_size", "large"),
        helper.make_node("Slice", ["large", "cut_from", "cut_to", "cut_axes"], [LARGE]),
    ]
    constant, network = _split(list(graph.node), {each.name for each in graph.initializer})
    names = {name for node in constant for name in node.output} | {each.name for each in graph.initializer}
    zoomed = [_renamed(node, LARGE, names) for node in network]
    if large_reader == small_reader:
        small = [_renamed(node, SMALL, names) for node in network]
    else:
        other = onnx.load(small_reader).graph
        small = [_renamed(node, SMALL, set()) for node in other.node]
        for weight in other.initializer:
            weight.name = f"{SMALL}/{weight.name}"
            graph.initializer.append(weight)
    mean = helper.make_node("Mean", [_logits(SMALL), _logits(LARGE)], ["logits"])
    del graph.node[:], graph.value_info[:]
    graph.node.extend([*constant, *inputs, *small, *zoomed, mean])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def write_small_reader(source: Path, path: Path) -> None:
    """Write what reads the smaller size in an ONNX file of `average_sizes`, or all of another file, for that size.

    Args:
        source: `input` (N, C, S, S) to `logits` (N, 7), of a network without weights for a certain S.
        path: the file to write: the same, for faces of the smaller size of S, without a correction of its logits.
    """
    model = onnx.load(source)
    smaller, _ = sizes_of(model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value)
    for dimension in model.graph.input[0].type.tensor_type.shape.dim[2:]:
        dimension.dim_value = smaller
    _write_reader(model, SMALL, path)


def write_large_reader(source: Path, path: Path) -> None:
    """Write what reads the larger size in an ONNX file of `average_sizes`, or all of another file.

    Args:
        source: `input` (N, C, S, S) to `logits` (N, 7).
        path: the file to write: the same, for faces that are cut to S already, without a correction of its logits.
    """
    _write_reader(onnx.load(source), LARGE, path)


def _write_reader(model: ModelProto, face: str, path: Path) -> None:
    """Write the part of a file that answers to `face`; all of it but a correction if it does not average."""
    graph = model.graph
    del graph.value_info[:]
    faces, logits = graph.input[0], graph.output[0]
    made = {name for node in graph.node for name in node.output}
    begins = face if _logits(face) in made else faces.name
    ends = next(name for name in (_logits(face), UNCORRECTED_LOGITS, logits.name) if name in made)
    new_names = {begins: faces.name, ends: logits.name}
    for name, like in ((begins, faces), (ends, logits)):
        if name != like.name:
            graph.value_info.append(helper.make_value_info(name, like.type))
    model = Extractor(model).extract_model([begins], [ends])
    for value in (model.graph.input[0], model.graph.output[0]):
        value.name = new_names[value.name]
    for node in model.graph.node:
        node.input[:] = [new_names.get(name, name) for name in node.input]
        node.output[:] = [new_names.get(name, name) for name in node.output]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _logits(face: str) -> str:
    return f"{face}/logits"


def _resize(size: str, name: str) -> NodeProto:
    return helper.make_node(
        "Resize",
        ["input", "", "", size],
        [name],
        axes=[2, 3],
        mode="linear",
        coordinate_transformation_mode="half_pixel",
    )


def _split(nodes: Sequence[NodeProto], initializers: set[str]) -> tuple[list[NodeProto], list[NodeProto]]:
    """Return the nodes that depend on weights alone, and the others."""
    known, constant, others = initializers | {""}, [], []
    for node in nodes:
        if known.issuperset(node.input):
            known |= set(node.output)
            constant.append(node)
        else:
            others.append(node)
    return constant, others


def _renamed(node: NodeProto, of: str, shared: set[str]) -> NodeProto:
    """Return a copy of a node that reads `of` for `input` and whose other names begin with it, but for the shared."""
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.name = f"{of}/{node.name}"
    copy.input[:] = [
        of if name == "input" else name if name in shared | {""} else f"{of}/{name}" for name in node.input
    ]
    copy.output[:] = [f"{of}/{name}" for name in node.output]
    return copy
