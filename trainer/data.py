"""Reads a data set into memory: grayscale uint8 faces, labels, a fixed validation part, a fingerprint.

Training images that are nearly a test image (see `trainer.duplicates`) are left out, and of equal ones with the same
label one is kept. The validation part is then taken from the training split by a hash of the pixels, class by class, so
it is the same on every machine and in whatever form the data comes; one that is nearly a training image becomes one.
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.dataset_images import FaceImage, fingerprint, read_images
from shared.errors import DatasetError
from shared.labels import LABEL_INDEX, LABELS
from shared.preprocessing import resize
from shared.study import Leaks
from trainer.duplicates import closest, thumbnails
from trainer.study.leaks import find_leaks, with_copies

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
    test_digests: tuple[str, ...]
    """The `shared.dataset_images.pixel_digest` of each test image, as it is in the data set."""
    leaks: Leaks
    left_out: LeftOut
    fingerprint: str
    test_fingerprint: str
    """That of the test images alone."""
    division: str
    """SHA-256 over the images of the training part, in their order, and of the validation part."""

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
    images, likeness = _read(path, size)
    test = [image for image in images if image.split == "test"]
    all_train = [image for image in images if image.split == "train"]
    test_digests, train_digests = ([image.digest for image in part] for part in (test, all_train))
    clean, leaks = find_leaks(test_digests, train_digests, likeness.of(test, all_train), duplicate_similarity)
    candidates, left_out = _apart_from(test, all_train, likeness, duplicate_similarity)
    train, validation = _split(candidates, validation_share, likeness, duplicate_similarity)
    lost = [label for label in LABELS if all(image.label != label for image in train)]
    if lost:
        raise DatasetError(
            f"{path.name} has too few training images of {', '.join(lost)} to hold out a validation part; add some "
            "(copies of one another and of test images do not count)."
        )
    return Dataset(
        name=path.name,
        train=part_of(train, size),
        validation=part_of(validation, size),
        test=part_of(test, size),
        clean=clean,
        test_digests=tuple(test_digests),
        leaks=with_copies(leaks, images, asdict(left_out)),
        left_out=left_out,
        fingerprint=fingerprint(images),
        test_fingerprint=fingerprint(test),
        division=_division(train, validation),
    )


def _division(*parts: list[FaceImage]) -> str:
    lines = [f"{number} {image.label} {image.digest}" for number, part in enumerate(parts) for image in part]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


class _Likeness:
    """How similar images are, by the thumbnails of the pictures as they were read; equal images share theirs."""

    def __init__(self) -> None:
        self._thumbnails: dict[str, npt.NDArray[np.float32]] = {}

    def note(self, image: FaceImage) -> None:
        """Keep an image's thumbnail."""
        if image.digest not in self._thumbnails:
            self._thumbnails[image.digest] = thumbnails([image.face])[0]

    def of(self, images: list[FaceImage], others: list[FaceImage]) -> npt.NDArray[np.float32]:
        """Return how similar each image is to that of `others` which is most like it: see `similarity`."""
        return closest(self._stacked(images), self._stacked(others))

    def _stacked(self, images: list[FaceImage]) -> npt.NDArray[np.float32]:
        return np.array([self._thumbnails[image.digest] for image in images], np.float32)


def _read(path: Path, size: int) -> tuple[list[FaceImage], _Likeness]:
    """Return the images, at `size` x `size` pixels: whole photographs would fill the memory; and their likeness."""
    images, likeness = [], _Likeness()
    for image in read_images(path):
        likeness.note(image)
        images.append(replace(image, face=resize(image.face, size)))
    return images, likeness


def _apart_from(
    test: list[FaceImage], train: list[FaceImage], likeness: _Likeness, threshold: float
) -> tuple[list[FaceImage], LeftOut]:
    """Return the images of `train` that are no copy of a test image, and of equal ones with one label the last."""
    digests = {image.digest for image in test}
    unequal = [image for image in train if image.digest not in digests]
    apart = [image for image, near in zip(unequal, likeness.of(unequal, test) >= threshold, strict=True) if not near]
    kept = list({(image.digest, image.label): image for image in apart}.values())
    return kept, LeftOut(len(train) - len(unequal), len(unequal) - len(apart), len(apart) - len(kept))


def _split(
    images: list[FaceImage], share: float, likeness: _Likeness, threshold: float
) -> tuple[list[FaceImage], list[FaceImage]]:
    """Return (training, validation): what is held out and nearly a training image becomes one, and what is nearly that.

    Of a class of which all that are left would, they stay held out.
    """
    held_out = validation_digests(images, share)
    train = [image for image in images if image.digest not in held_out]
    validation = [image for image in images if image.digest in held_out]
    near, held = np.zeros(len(validation), dtype=bool), np.ones(len(validation), dtype=bool)
    newest = train
    while newest:
        near |= likeness.of(validation, newest) >= threshold
        apart = {image.label for image, keeps in zip(validation, held & ~near, strict=True) if keeps}
        moves = held & near & np.array([image.label in apart for image in validation], dtype=bool)
        newest = [image for image, is_moved in zip(validation, moves, strict=True) if is_moved]
        train, held = [*train, *newest], held & ~moves
    return train, [image for image, keeps in zip(validation, held, strict=True) if keeps]


def validation_digests(images: list[FaceImage], share: float) -> set[str]:
    """Return the digests of the images to hold out: the lowest ones of each class, at least one a class."""
    held_out: set[str] = set()
    for label in LABELS:
        digests = sorted(image.digest for image in images if image.label == label)
        held_out.update(digests[: max(1, round(len(digests) * share))])
    return held_out


def part_of(images: list[FaceImage], size: int) -> Part:
    """Return the part that these images make, faces at `size` x `size` pixels."""
    faces = np.stack([resize(image.face, size) for image in images])
    labels = np.array([LABEL_INDEX[image.label] for image in images], dtype=np.int64)
    return Part(faces, labels, [image.name for image in images])
