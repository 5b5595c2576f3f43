"""Real ONNX networks of a few kilobytes: their seven logits are fixed random projections of all that they read."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from services.inference.model_store import ModelStore
from shared.labels import LABELS
from shared.model_folder import Card, write_active, write_model
from shared.preprocessing import InputSpec
from shared.run_folder import utc_now

SPEC = InputSpec()
BAD_LOGITS = {"self_test": {"full": (9.0,) * 7}}
"""What a card may say that no network does."""


def projection(seed: int, *, batch: int | str = "batch", outputs: int = len(LABELS)) -> onnx.ModelProto:
    """Return a network from `input` (batch, 3, 48, 48) to `logits` (batch, outputs): a matrix drawn by the seed."""
    pixels = SPEC.channels * SPEC.size**2
    weights = np.random.default_rng(seed).normal(0, 2 / pixels**0.5, (pixels, outputs)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["input"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "weights"], ["logits"]),
        ],
        "projection",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, SPEC.channels, SPEC.size, SPEC.size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, outputs])],
        [numpy_helper.from_array(weights, "weights")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_projection(models_dir: Path, model_id: str, network: onnx.ModelProto, **changes: Any) -> Card:
    """Write a version with this network to the models folder; `changes` are keys of its card."""
    name, version = model_id.split("/")
    models_dir.mkdir(parents=True, exist_ok=True)
    file = models_dir.parent / f"{name}-{version}.onnx"
    onnx.save(network, file)
    card = {
        "name": name,
        "version": version,
        "view": "five",
        "input": SPEC,
        "architecture": "projection",
        "training": {},
        "data": {},
        "metrics": {},
        "created": utc_now(),
    }
    return write_model(models_dir, {"model.onnx": file}, {**card, **changes})


def write_five(models_dir: Path) -> None:
    """Write five versions, `<view>/1`, each of another projection, and `mixed/1`; each serves its slot."""
    active = {slot: f"{slot}/1" for slot in ("full", "upper", "lower", "left", "right")} | {"any": "mixed/1"}
    for seed, model_id in enumerate(active.values()):
        write_projection(models_dir, model_id, projection(seed))
    write_active(models_dir, active)


def store(folder: Path) -> ModelStore:
    """Return a store that has looked at the folder once."""
    made = ModelStore(folder, threads=1)
    made.refresh()
    return made


def serving(made: ModelStore) -> dict[str, str]:
    """Return slot to version."""
    return {slot: network.card.id for slot, network in made.served().networks.items()}


def passes(card: Card) -> None:
    """Refuse nothing."""


def alter_unseen(path: Path, content: bytes) -> bytes:
    """Write over a file's beginning so that neither its size nor its time tells; return what was there."""
    state, before = path.stat(), path.read_bytes()
    path.write_bytes(content + before[len(content) :])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    return before[: len(content)]
