"""Reads a data set into memory: grayscale uint8 faces, labels, a fixed validation part, a fingerprint.

Training images that are nearly a test image (see `trainer.duplicates`) are left out, and of equal ones with the same
label one is kept. The validation part is then taken from the training split by a hash of the pixels, class by class, so
it is the same on every machine and in whatever form the data comes; no image of it is nearly a training image.
"""

import hashlib
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from shared.dataset_layout import Entry, iterate_csv, list_images, require_complete, require_kind
from shared.errors import DatasetError
from shared.labels import LABEL_INDEX, LABELS
from shared.preprocessing import resize, to_gray
from shared.study import Leaks
from trainer.duplicates import similarity
from trainer.study.leaks import find_leaks

MAX_PIXELS: Final = 40_000_000
MAX_NAMED: Final = 5
UNREADABLE: Final = (
    OSError,
    EOFError,
    RuntimeError,  # an encrypted member of a zip
    ValueError,
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)
"""What reading a broken image raises."""

Faces = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Part:
    """Faces of one part: `faces` uint8 (N, S, S), `labels` int64 (N,), `names` of the files or CSV lines."""

    faces: Faces
    labels: npt.NDArray[np.int64]
    names: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self) -> dict[str, int]:
        """Return label to number of faces."""
        return {label: int((self.labels == index).sum()) for index, label in enumerate(LABELS)}


@dataclass(frozen=True)
class LeftOut:
    """How many images of the training split are not trained on, and why; each is counted once, in this order."""

    equal_to_test: int
    """Pixel for pixel in the test split too."""
    nearly_test: int
    """Not equal, but so similar to a test image that it is likely the same photograph."""
    repeated: int
    """Equal to another training image with the same label, of which one is kept."""


@dataclass(frozen=True)
class Dataset:
    """A data set ready to train on, and what a card says of it."""

    name: str
    train: Part
    validation: Part
    test: Part
    clean: npt.NDArray[np.bool_]
    """bool (N,): the test images of which the training split holds no copy, nor nearly one."""
    leaks: Leaks
    left_out: LeftOut
    fingerprint: str

    def describe(self) -> dict[str, Any]:
        """Return name, counts and fingerprint, for a model's card."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        return {
            "name": self.name,
            "counts": {name: part.counts() for name, part in parts.items()},
            "left_out": asdict(self.left_out),
            "test_images_in_train": {"equal": self.leaks.equal, "nearly": self.leaks.near},
            "fingerprint": self.fingerprint,
        }


@dataclass(frozen=True)
class _Image:
    split: str
    label: str
    name: str
    face: Faces
    digest: str


def load_dataset(
    path: Path, *, size: int = 48, validation_share: float = 0.1, duplicate_similarity: float = 0.96
) -> Dataset:
    """Read a zip, folder or CSV (see `shared.dataset_layout`).

    Args:
        path: the data set.
        size: faces are held at `size` x `size` pixels.
        validation_share: part of each class of the training split that is held out.
        duplicate_similarity: two images at least this similar (`trainer.duplicates.similarity`) are taken for one
            photograph; above 1, only equal ones are.

    Raises:
        DatasetError: missing, incomplete, or with images that cannot be read (named, with their number).
    """
    images = list(_read_csv(path) if require_kind(path) == "csv" else _read_files(path))
    test = [image for image in images if image.split == "test"]
    all_train = [image for image in images if image.split == "train"]
    clean, leaks = find_leaks([image.face for image in test], [image.face for image in all_train], duplicate_similarity)
    candidates, left_out = _apart_from(test, all_train, duplicate_similarity)
    train, validation = _split(candidates, validation_share, duplicate_similarity)
    lost = [label for label in LABELS if all(image.label != label for image in train)]
    if lost:
        raise DatasetError(
            f"{path.name} has too few training images of {', '.join(lost)} to hold out a validation part; add some "
            "(copies of one another and of test images do not count)."
        )
    return Dataset(
        name=path.name,
        train=_part(train, size),
        validation=_part(validation, size),
        test=_part(test, size),
        clean=clean,
        leaks=leaks,
        left_out=left_out,
        fingerprint=_fingerprint(images),
    )


def _apart_from(test: list[_Image], train: list[_Image], threshold: float) -> tuple[list[_Image], LeftOut]:
    """Return the images of `train` that are no copy of a test image nor of one before them with the same label."""
    digests = {image.digest for image in test}
    unequal = [image for image in train if image.digest not in digests]
    apart = [image for image, near in zip(unequal, _similarity(unequal, test) >= threshold, strict=True) if not near]
    kept = list({(image.digest, image.label): image for image in apart}.values())
    return kept, LeftOut(len(train) - len(unequal), len(unequal) - len(apart), len(apart) - len(kept))


def _split(images: list[_Image], share: float, threshold: float) -> tuple[list[_Image], list[_Image]]:
    """Return (training, validation); of a class whose validation images are all nearly training images, they stay."""
    held_out = validation_digests(images, share)
    train = [image for image in images if image.digest not in held_out]
    validation = [image for image in images if image.digest in held_out]
    near = {
        id(image) for image, value in zip(validation, _similarity(validation, train), strict=True) if value >= threshold
    }
    apart = {image.label for image in validation if id(image) not in near}
    moved = [image for image in validation if id(image) in near and image.label in apart]
    gone = {id(image) for image in moved}
    return [*train, *moved], [image for image in validation if id(image) not in gone]


def _similarity(images: list[_Image], others: list[_Image]) -> npt.NDArray[np.float32]:
    return similarity([image.face for image in images], [image.face for image in others])


def validation_digests(images: list[_Image], share: float) -> set[str]:
    """Return the digests of the images to hold out: the lowest ones of each class, at least one a class."""
    held_out: set[str] = set()
    for label in LABELS:
        digests = sorted(image.digest for image in images if image.label == label)
        held_out.update(digests[: max(1, round(len(digests) * share))])
    return held_out


def _part(images: list[_Image], size: int) -> Part:
    faces = np.stack([resize(image.face, size) for image in images])
    labels = np.array([LABEL_INDEX[image.label] for image in images], dtype=np.int64)
    return Part(faces, labels, [image.name for image in images])


def _fingerprint(images: list[_Image]) -> str:
    """Return a SHA-256 over split, label and pixels of all images, whatever their order and container."""
    lines = sorted(f"{image.split} {image.label} {image.digest}" for image in images)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def pixel_digest(face: Faces) -> str:
    """Return the SHA-256 of a face's shape and pixels."""
    return hashlib.sha256(repr(face.shape).encode() + np.ascontiguousarray(face).tobytes()).hexdigest()


def _image(split: str, label: str, name: str, face: Faces) -> _Image:
    return _Image(split, label, name, face, pixel_digest(face))


def _read_files(path: Path) -> Iterator[_Image]:
    """Yield the images of a zip or folder; raise once, with names and number, for all that cannot be read."""
    entries, unreadable = list_images(path), []
    archive = zipfile.ZipFile(path) if path.is_file() else None
    try:
        for entry in entries:
            try:
                content = archive.read(entry.name) if archive else (path.parent / entry.name).read_bytes()
                yield _image(entry.split, entry.label, entry.name, _decode(content))
            except UNREADABLE:
                unreadable.append(entry)
    finally:
        if archive:
            archive.close()
    if unreadable:
        raise DatasetError(_unreadable(path.name, unreadable))


def _decode(content: bytes) -> Faces:
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            return to_gray(image)
    except (UnidentifiedImageError, SyntaxError) as error:
        raise ValueError("not an image") from error


def _unreadable(name: str, entries: list[Entry]) -> str:
    listed = ", ".join(entry.name for entry in entries[:MAX_NAMED])
    more = f" and {len(entries) - MAX_NAMED} more" if len(entries) > MAX_NAMED else ""
    return f"{name} has {len(entries)} images that cannot be read: {listed}{more}. Remove or replace them."


def _read_csv(path: Path) -> Iterator[_Image]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in iterate_csv(path):
        values = np.array(row.pixels.split(), dtype=np.str_)
        side = int(len(values) ** 0.5)
        try:
            pixels = values.astype(np.int64)
        except (ValueError, OverflowError) as error:
            raise DatasetError(f"{path.name}, line {row.line}: the pixels are not all numbers.") from error
        if side == 0 or side * side != len(pixels) or pixels.min() < 0 or pixels.max() > 255:
            raise DatasetError(
                f"{path.name}, line {row.line}: {len(pixels)} pixels are no square face of values 0 to 255."
            )
        counts[row.split, row.label] += 1
        yield _image(row.split, row.label, f"{row.usage}:{row.line}", pixels.astype(np.uint8).reshape(side, side))
    require_complete(path.name, counts)
