"""Folders as users have them: a data set with one image of each class and split, a model, settings."""

import zipfile
from pathlib import Path
from typing import Any

from shared.labels import LABELS
from shared.model_folder import Card, write_model
from shared.preprocessing import InputSpec
from shared.run_folder import utc_now


def write_zip(path: Path, labels: tuple[str, ...] = LABELS, splits: tuple[str, ...] = ("train", "test")) -> Path:
    """Write a data set's zip: names only, since the gateway counts images and decodes none."""
    with zipfile.ZipFile(path, "w") as archive:
        for split in splits:
            for label in labels:
                archive.writestr(f"{split}/{label}/1.png", b"")
    return path


def write_small_model(models_dir: Path, version: str = "1", *, weights: bool = True, **changes: Any) -> Card:
    """Write `first/<version>`, whose network is a text: the gateway checks digests and runs no network."""
    network = models_dir.parent / "network"
    network.write_text("a network")
    card = {
        "name": "first",
        "version": version,
        "view": "five",
        "input": InputSpec(),
        "architecture": "resnet18",
        "training": {},
        "data": {},
        "metrics": {"accuracy": 0.6},
        "created": utc_now(),
    }
    names = ("model.onnx", "weights.safetensors") if weights else ("model.onnx",)
    return write_model(models_dir, dict.fromkeys(names, network), {**card, **changes})
