"""The images of a data set in any of its forms: decoded to gray faces, each with the digest of its pixels.

`shared.dataset_layout` says where they lie. Training reads all of them; the gateway only the test images that the
study's readers got wrong.
"""

import errno
import hashlib
import io
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from shared.dataset_layout import (
    MAX_NAME,
    CsvRow,
    Entry,
    cannot_be_read,
    first_of,
    iterate_csv,
    list_images,
    require_complete,
    require_kind,
)
from shared.errors import DatasetError
from shared.preprocessing import to_gray, upright

MAX_PIXELS: Final = 40_000_000
MAX_FILE_BYTES: Final = 64 << 20
"""No image is larger: a small zip may unpack to more than the memory holds."""

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

Face = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FaceImage:
    """One image: its place, its name (of a file, or usage and line of a CSV), uint8 (H, W), its `pixel_digest`."""

    split: str
    label: str
    name: str
    face: Face
    digest: str


def read_images(path: Path, split: str | None = None) -> Iterator[FaceImage]:
    """Yield the images of a zip, folder or CSV.

    Args:
        path: the data set.
        split: `train` or `test`; both if absent.

    Raises:
        DatasetError: missing, incomplete, or with images that are damaged (named, with their number).
        UnreadableDatasetError: a file is there and cannot be read now.
    """
    return _read_csv(path, split) if require_kind(path) == "csv" else _read_files(path, split)


def pixel_digest(face: Face) -> str:
    """Return the SHA-256 of a face's shape and pixels."""
    return hashlib.sha256(repr(face.shape).encode() + np.ascontiguousarray(face).tobytes()).hexdigest()


def fingerprint(images: Iterable[FaceImage]) -> str:
    """Return a SHA-256 over split, label and pixels of the images, whatever their order and container."""
    lines = sorted(f"{image.split} {image.label} {image.digest}" for image in images)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _image(split: str, label: str, name: str, face: Face) -> FaceImage:
    return FaceImage(split, label, name, face, pixel_digest(face))


def _read_files(path: Path, split: str | None) -> Iterator[FaceImage]:
    """Yield the images of a zip or folder; raise once, with names and number, for all that cannot be read."""
    entries = [entry for entry in list_images(path) if split in (None, entry.split)]
    unreadable = []
    archive = zipfile.ZipFile(path) if path.is_file() else None
    try:
        for entry in entries:
            try:
                content = _content(archive or path.parent, entry.name)
                yield _image(entry.split, entry.label, entry.name, _decode(content))
            except UNREADABLE:
                unreadable.append(entry)
    finally:
        if archive:
            archive.close()
    if unreadable:
        raise DatasetError(_unreadable(path.name, unreadable))


def _content(container: zipfile.ZipFile | Path, name: str) -> bytes:
    """Return a file of a zip or below a folder, never more than `MAX_FILE_BYTES`.

    Raises:
        ValueError: it is larger, whatever the zip says of it.
        UnreadableDatasetError: the disk does not give it.
    """
    try:
        if isinstance(container, zipfile.ZipFile):
            size, file = container.getinfo(name).file_size, container.open(name)
        else:
            size, file = (container / name).stat().st_size, (container / name).open("rb")
        with file:
            content = b"" if size > MAX_FILE_BYTES else file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        if error.errno == errno.EINVAL:  # a place before the zip's beginning: the zip is damaged
            raise
        raise cannot_be_read(name, error) from error
    if max(size, len(content)) > MAX_FILE_BYTES:
        raise ValueError("too large")
    return content


def _decode(content: bytes) -> Face:
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            return to_gray(upright(image))
    except (UnidentifiedImageError, SyntaxError) as error:
        raise ValueError("not an image") from error


def _unreadable(name: str, entries: list[Entry]) -> str:
    files = first_of([entry.name[:MAX_NAME] for entry in entries])
    return f"{name} has {len(entries)} images that cannot be read: {files}. Remove or replace them."


def _read_csv(path: Path, split: str | None) -> Iterator[FaceImage]:
    counts: Counter[tuple[str, str]] = Counter()
    for row in iterate_csv(path):
        counts[row.split, row.label] += 1
        if split in (None, row.split):
            yield _image(row.split, row.label, f"{row.usage}:{row.line}", _face_of(path.name, row))
    require_complete(path.name, counts)


def _face_of(file: str, row: CsvRow) -> Face:
    values = np.array(row.pixels.split(), dtype=np.str_)
    side = int(len(values) ** 0.5)
    try:
        pixels = values.astype(np.int64)
    except (ValueError, OverflowError) as error:
        raise DatasetError(f"{file}, line {row.line}: the pixels are not all numbers.") from error
    if side == 0 or side * side != len(pixels) or pixels.min() < 0 or pixels.max() > 255:
        raise DatasetError(f"{file}, line {row.line}: {len(pixels)} pixels are no square face of values 0 to 255.")
    return np.asarray(pixels.astype(np.uint8).reshape(side, side))
