"""From bytes, base64 or a data URL to an upright picture. Judges by content, never by a name; trusts nothing.

JPEG, PNG, WebP and BMP are taken. Everything else, files that are cut off, and pictures of more pixels than allowed
(known from the header, before anything is decoded) become an `ApiError` whose sentence says what to do.
"""

import base64
import binascii
import io
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from shared.preprocessing import to_gray, to_rgb, upright
from shared.web import MIB, ApiError

Image.MAX_IMAGE_PIXELS = None  # Pillow only warns, at 89 million; `_open` refuses by our own limit, before decoding

MAX_SCANS: Final = 100
"""Of a JPEG. Each goes over all of the picture, in as little as 65 bytes; progressive files have about ten."""

_NEXT_MARKER: Final = re.compile(rb"\xff+[^\x00\x01\xff\xd0-\xd7]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_RLE: Final = frozenset({1, 2})
"""The compressions of a BMP that Pillow undoes in Python: a few bytes could keep it busy for minutes."""
_MAGIC: Final = {
    "JPEG": (0, b"\xff\xd8\xff"),
    "PNG": (0, b"\x89PNG\r\n\x1a\n"),
    "WEBP": (8, b"WEBP"),
    "BMP": (0, b"BM"),
}


@dataclass(frozen=True)
class Limits:
    """What one picture may be."""

    image_bytes: int
    """Largest file."""
    pixels: int
    """Most pixels, width by height."""


@dataclass(frozen=True)
class Picture:
    """A decoded, upright picture."""

    image: Image.Image

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.image.width

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.image.height

    @cached_property
    def gray(self) -> npt.NDArray[np.uint8]:
        """Luma as uint8 (H, W): by the function that training and evaluation use."""
        return to_gray(self.image)

    @cached_property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """Colour as uint8 (H, W, 3), for the face detector; transparency lies on black."""
        return to_rgb(self.image)


def decode_text(text: str, limits: Limits, field: str) -> Picture:
    """Return the picture in a data URL or in base64.

    Raises:
        ApiError: see `read_base64` and `decode_bytes`.
    """
    return decode_bytes(read_base64(text, max_bytes=limits.image_bytes, field=field), limits, field)


def read_base64(text: str, *, max_bytes: int, field: str) -> bytes:
    """Return the bytes of a data URL or of plain base64 (also its URL-safe form, also without padding).

    Raises:
        ApiError: 400 `image_missing` or `image_encoding`, 413 `image_too_large`.
    """
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise _bad_encoding(field)
    body = "".join(text.split()).rstrip("=")
    if not body:
        raise _missing(field)
    if len(body) * 3 // 4 > max_bytes:
        raise _too_large(max_bytes, field)
    try:
        padded = (body + "=" * (-len(body) % 4)).encode("ascii").translate(bytes.maketrans(b"-_", b"+/"))
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise _bad_encoding(field) from error


def decode_bytes(data: bytes, limits: Limits, field: str) -> Picture:
    """Return the picture in `data`, upright; of an animation the first frame.

    Raises:
        ApiError: 400 `image_missing`, 413 `image_too_large` or `image_too_many_pixels`, 415 `image_format`,
            422 `image_truncated` or `image_unreadable`.
    """
    if not data:
        raise _missing(field)
    if len(data) > limits.image_bytes:
        raise _too_large(limits.image_bytes, field)
    name = _format_of(data)
    if name is None:
        raise ApiError(
            status=415,
            code="image_format",
            message="This is not a picture that can be read; send a JPEG, PNG, WebP or BMP file.",
            field=field,
        )
    image = _open(data, name, field)
    if name == "BMP" and image.info.get("compression") in _RLE:
        raise ApiError(
            status=415,
            code="image_format",
            message="BMP files with run-length compression are not taken; save the picture as PNG and send that.",
            field=field,
        )
    if image.width * image.height > limits.pixels:
        raise ApiError(
            status=413,
            code="image_too_many_pixels",
            message=f"The picture has {image.width} x {image.height} pixels, more than the {limits.pixels / 1e6:.3g} "
            "million allowed; make it smaller.",
            field=field,
        )
    if name == "JPEG" and _has_more_scans(data, MAX_SCANS):
        message = f"This JPEG goes over its picture more than {MAX_SCANS} times; save it again and send that."
        raise ApiError(status=422, code="image_unreadable", message=message, field=field)
    picture = Picture(_load(image, data, name, field))
    try:
        _ = picture.gray
    except Exception as error:  # a mode or palette that Pillow reads and cannot convert
        raise _damaged(data, name, field) from error
    return picture


def _format_of(data: bytes) -> str | None:
    return next((name for name, (at, magic) in _MAGIC.items() if data[at : at + len(magic)] == magic), None)


def _open(data: bytes, name: str, field: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=(name,))
    except Exception as error:  # whatever Pillow raises on a damaged header
        raise _damaged(data, name, field) from error


def _load(image: Image.Image, data: bytes, name: str, field: str) -> Image.Image:
    try:
        image.load()
    except Exception as error:  # OSError, SyntaxError, ValueError, struct.error, zlib.error and more
        raise _damaged(data, name, field, hint=str(error)) from error
    if image.width == 0 or image.height == 0:
        raise _damaged(data, name, field)
    return upright(image)


def _has_more_scans(data: bytes, most: int) -> bool:
    """Return whether a JPEG has more scans than that, as a decoder would meet them: not those of a thumbnail in it."""
    place, scans = 2, 0
    while scans <= most:
        marker = _NEXT_MARKER.search(data, place)
        if marker is None or (kind := data[marker.end() - 1]) == _END_OF_IMAGE:
            return False
        scans += kind == _START_OF_SCAN
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return True


def _is_whole(data: bytes, name: str) -> bool:
    """Return whether a file that could not be read seems to have its end."""
    if name == "JPEG":
        return b"\xff\xd9" in data[-1024:]
    if name == "PNG":
        return b"IEND" in data[-1024:]
    at, plus = (4, 8) if name == "WEBP" else (2, 0)
    return len(data) >= 12 and len(data) >= int.from_bytes(data[at : at + 4], "little") + plus


def _damaged(data: bytes, name: str, field: str, hint: str = "") -> ApiError:
    if not _is_whole(data, name) or "truncated" in hint:
        message = "The picture is cut off: its end is missing. Send the whole file again."
        return ApiError(status=422, code="image_truncated", message=message, field=field)
    message = "The picture is damaged and cannot be read; save it again as JPEG or PNG and send that."
    return ApiError(status=422, code="image_unreadable", message=message, field=field)


def _missing(field: str) -> ApiError:
    message = "There is no picture here; send a JPEG, PNG, WebP or BMP file."
    return ApiError(status=400, code="image_missing", message=message, field=field)


def _too_large(max_bytes: int, field: str) -> ApiError:
    message = f"The picture is larger than {max_bytes / MIB:.3g} MB; send a smaller file."
    return ApiError(status=413, code="image_too_large", message=message, field=field)


def _bad_encoding(field: str) -> ApiError:
    message = "The picture is not valid base64; send base64 or a data URL such as data:image/png;base64,..."
    return ApiError(status=400, code="image_encoding", message=message, field=field)
