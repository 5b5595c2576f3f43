"""From a network's logits to probabilities: one function for training, evaluation, the study and the services."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]
Forward = Callable[[npt.NDArray[np.float32]], Logits]
"""From prepared faces, float32 (N, C, S, S), to logits (N, 7)."""


def softmax(logits: Logits | npt.NDArray[np.float64], temperature: float = 1.0) -> npt.NDArray[np.float64]:
    """Return probabilities (..., K) that sum to 1.

    Args:
        logits: (..., K); each may be any finite number.
        temperature: divides the logits first; a version's card has the one that makes it honest (Guo et al. 2017).
    """
    exact = logits.astype(np.float64) / temperature
    powers = np.exp(exact - exact.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
