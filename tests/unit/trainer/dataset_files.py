"""Writes the same images in every form in which a data set may come."""

import csv
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.dataset_layout import SPLITS
from shared.labels import FER_CSV_LABELS, LABELS

Pixels = npt.NDArray[np.uint8]


class Picture(NamedTuple):
    """One image, uint8 (S, S), and where it belongs."""

    split: str
    label: str
    name: str
    face: Pixels


def pictures(per_class: int = 10, tests_per_class: int = 2, size: int = 8, seed: int = 0) -> list[Picture]:
    """Return images of random pixels: enough for what never looks at them."""
    rng = np.random.default_rng(seed)
    counts = dict(zip(SPLITS, (per_class, tests_per_class), strict=True))
    return [
        Picture(split, label, f"{label}-{number:03d}", rng.integers(0, 256, (size, size), dtype=np.uint8))
        for split, count in counts.items()
        for label in LABELS
        for number in range(count)
    ]


def png(face: Pixels) -> bytes:
    """Return the PNG of a face."""
    content = io.BytesIO()
    Image.fromarray(face).save(content, "PNG")
    return content.getvalue()


def write_folder(path: Path, images: Iterable[Picture]) -> Path:
    """Write split/label/NAME.png."""
    for image in images:
        file = path / image.split / image.label / f"{image.name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(image.face))
    return path


def write_zip(path: Path, images: Iterable[Picture]) -> Path:
    """Write the same as a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for image in images:
            archive.writestr(f"fer/{image.split}/{image.label}/{image.name}.png", png(image.face))
    return path


def write_csv(path: Path, images: Iterable[Picture], header: tuple[str, str, str]) -> Path:
    """Write the same in Kaggle's columns (in the order emotion, pixels, Usage or emotion, Usage, pixels)."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for number, image in enumerate(images):
            usage = "Training" if image.split == "train" else ("PublicTest", "PrivateTest")[number % 2]
            values = {
                "emotion": FER_CSV_LABELS.index(image.label),
                "pixels": " ".join(map(str, image.face.flatten())),
                "usage": usage,
            }
            writer.writerow([values[column.strip().lower()] for column in header])
    return path
