"""Asks an ONNX file on the CPU. No torch, which takes seconds to load."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from shared.probabilities import Forward, Logits


def onnx_forward(path: Path, threads: int = 0) -> Forward:
    """Return a function from prepared float32 (N, C, S, S) to logits (N, 7) by the ONNX file.

    Args:
        path: of the file.
        threads: CPU threads; 0 for as many as there are cores.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def forward(batch: npt.NDArray[np.float32]) -> Logits:
        return np.asarray(session.run(["logits"], {"input": batch})[0], dtype=np.float32)

    return forward
