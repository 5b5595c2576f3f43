"""Measures a network on a view: accuracy, macro and weighted F1, weighted AUC, accuracy per class."""

import warnings
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import f1_score, roc_auc_score
from torch import nn

from shared.labels import LABELS
from shared.masking import Hidden
from shared.preprocessing import InputSpec, prepare
from shared.probabilities import Forward, Logits, softmax

BATCH_SIZE: Final = 64
"""Faces of up to 48 x 48 pixels that are read at once; larger batches gain nothing on a CPU."""


def batch_size_at(size: int) -> int:
    """Return how many faces of `size` x `size` pixels to read at once: `BATCH_SIZE`, or as many as have no more pixels.

    A network's memory grows with them, to gigabytes for a batch of large faces that averages double.
    """
    return max(1, min(BATCH_SIZE, BATCH_SIZE * 48**2 // size**2))


def torch_forward(network: nn.Module, device: torch.device) -> Forward:
    """Return a function from prepared float32 (N, C, S, S) to logits (N, 7), by a torch network, as it computes."""

    def forward(batch: npt.NDArray[np.float32]) -> Logits:
        network.eval()
        with torch.inference_mode():
            tensor = torch.from_numpy(batch).to(device, memory_format=torch.channels_last)
            return np.asarray(network(tensor).float().cpu().numpy(), dtype=np.float32)

    return forward


def logits_of(
    forward: Forward,
    faces: npt.NDArray[np.uint8],
    hidden: Hidden | Sequence[Hidden],
    spec: InputSpec,
    *,
    batch_size: int | None = None,
) -> Logits:
    """Return the logits (N, 7) of `faces`, uint8 (N, H, W), each with its part hidden; see `batch_size_at`."""
    rows, step = [], batch_size or batch_size_at(spec.size)
    for start in range(0, len(faces), step):
        part = slice(start, start + step)
        rows.append(forward(prepare(faces[part], hidden[part] if isinstance(hidden, list) else hidden, spec)))
    return np.concatenate(rows)


def losses(probabilities: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return each image's negative log-likelihood (N,), in nats."""
    return np.asarray(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)))


def cross_entropy(logits: Logits, labels: npt.NDArray[np.int64]) -> float:
    """Return the mean negative log-likelihood, in nats."""
    return float(losses(softmax(logits), labels).mean())


def accuracy(logits: Logits, labels: npt.NDArray[np.int64]) -> float:
    """Return top-1 accuracy, 0 to 1."""
    return float((logits.argmax(axis=1) == labels).mean())


def measure(logits: Logits, labels: npt.NDArray[np.int64], temperature: float = 1.0) -> dict[str, Any]:
    """Return the figures of one view.

    Args:
        logits: float32 (N, 7).
        labels: int64 (N,).
        temperature: the card's; areas are of the divided logits.

    Returns:
        count, accuracy, macro_f1, weighted_f1, weighted_auc (one against the rest, weighted by class; None if a class
        is missing) and class_accuracy, all 0 to 1.
    """
    predicted = logits.argmax(axis=1)
    classes = list(range(len(LABELS)))
    per_class = {
        label: float((predicted[labels == index] == index).mean()) if (labels == index).any() else None
        for index, label in enumerate(LABELS)
    }
    return {
        "count": len(labels),
        "accuracy": float((predicted == labels).mean()),
        "macro_f1": float(f1_score(labels, predicted, labels=classes, average="macro", zero_division=0)),
        "weighted_f1": float(f1_score(labels, predicted, labels=classes, average="weighted", zero_division=0)),
        "weighted_auc": _weighted_auc(logits, labels, temperature),
        "class_accuracy": per_class,
    }


def _weighted_auc(logits: Logits, labels: npt.NDArray[np.int64], temperature: float) -> float | None:
    if len(set(labels.tolist())) < len(LABELS):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(roc_auc_score(labels, softmax(logits, temperature), multi_class="ovr", average="weighted"))
