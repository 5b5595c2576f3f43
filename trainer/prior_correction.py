"""Takes the class weights of a training back out of the answers: prior correction (King & Zeng 2001, section 4).

A network whose loss weighs a class by w learns as if that class were so much more frequent, and answers with w times
what is true of it. Its logits less log w, at the temperature that validation images then choose, say how likely each
class is among faces like those that it was trained on. It costs nothing when it answers: one addition, the last node
of the ONNX file.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import helper, numpy_helper

from shared.exports import PRIOR_CORRECTION
from trainer.optimisation import class_weights

UNCORRECTED_LOGITS: Final = "uncorrected/logits"
"""In a file that corrects them, what it answered before."""


def log_weights(counts: Mapping[str, int]) -> npt.NDArray[np.float64]:
    """Return the logarithms (7,) of the class weights that a training part of these classes is weighed by."""
    weights: npt.NDArray[np.float64] = class_weights(dict(counts), torch.device("cpu")).double().numpy()
    return np.log(weights)


def correct_logits(path: Path, added: npt.NDArray[np.float64]) -> None:
    """Let an ONNX file add `added` (7,) to its `logits` (N, 7)."""
    model = onnx.load(path)
    graph = model.graph
    for node in graph.node:
        node.output[:] = [UNCORRECTED_LOGITS if name == "logits" else name for name in node.output]
    graph.initializer.append(numpy_helper.from_array(added.astype(np.float32), PRIOR_CORRECTION))
    graph.node.append(helper.make_node("Add", [UNCORRECTED_LOGITS, PRIOR_CORRECTION], ["logits"]))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
