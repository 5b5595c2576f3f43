"""Pictures for the pages: numbered boxes on the upright photo, and the small faces enlarged. Pure functions."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from shared.errors import HalffaceError
from shared.masking import hide
from shared.preprocessing import to_rgb
from shared.preprocessing import upright as as_seen
from shared.schemas.predictions import Box

LONGEST_SIDE = 1100
"""Pixels to which a photo is reduced for the page."""

FACE_SIDE = 336
"""Pixels to which the network's small face is enlarged."""

CHOSEN, OTHER, FRAME = (20, 184, 166), (148, 163, 184), 128


class PictureError(HalffaceError):
    """Bytes that cannot be shown as a picture."""


def upright(content: bytes) -> Image.Image:
    """Return the picture as inference reads it, RGB: EXIF orientation applied, transparency on black, 16 bits scaled.

    Raises:
        PictureError: the bytes are no whole picture.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            return Image.fromarray(to_rgb(as_seen(image)))
    except Exception as error:  # whatever Pillow raises on a damaged file
        raise PictureError("This picture cannot be shown; save it as JPEG or PNG and choose it again.") from error


def reduced(image: Image.Image) -> Image.Image:
    """Return a copy of at most LONGEST_SIDE pixels each way."""
    scale = min(1.0, LONGEST_SIDE / max(image.size))
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))


def with_boxes(image: Image.Image, boxes: Sequence[Box], chosen: int, scale: float = 1.0) -> Image.Image:
    """Return a copy with the boxes drawn and numbered from 1; one of them stands out.

    Args:
        image: the picture, perhaps reduced.
        boxes: in pixels of the whole picture.
        chosen: which stands out.
        scale: a pixel of the whole picture in pixels of `image`.
    """
    shown = image.copy()
    draw = ImageDraw.Draw(shown)
    width = max(2, round(max(shown.size) / 220))
    font = ImageFont.load_default(size=max(12, round(max(shown.size) / 32)))
    order = [index for index in range(len(boxes)) if index != chosen] + [chosen]
    for index in order if boxes else []:
        box, colour = boxes[index], CHOSEN if index == chosen else OTHER
        left, top = round(box.x * scale), round(box.y * scale)
        right, bottom = round((box.x + box.width) * scale) - 1, round((box.y + box.height) * scale) - 1
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=width)
        if len(boxes) > 1:
            _tag(draw, str(index + 1), left, top, colour, font)
    return shown


def _tag(
    draw: ImageDraw.ImageDraw,
    text: str,
    left: int,
    top: int,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    _, _, x1, y1 = draw.textbbox((left + 6, top + 3), text, font=font)
    draw.rectangle((left, top, x1 + 6, y1 + 5), fill=colour)
    draw.text((left + 6, top + 3), text, fill=(10, 25, 30), font=font)


def decode_crop(data_url: str) -> np.ndarray:
    """Return the face of an answer, uint8 (H, W), as the network reads it before hiding.

    Raises:
        PictureError: no data URL of a picture.
    """
    try:
        content = base64.b64decode(data_url.partition(",")[2], validate=True)
    except ValueError as error:
        raise PictureError("The gateway's picture of the face cannot be read.") from error
    return np.asarray(upright(content).convert("L"), dtype=np.uint8)


def enlarged(face: np.ndarray, hidden: str) -> Image.Image:
    """Return the face, uint8 (H, W), with its part hidden, enlarged so that each pixel stays a square."""
    small = Image.fromarray(hide(face, hidden))
    return ImageOps.expand(small.resize((FACE_SIDE, FACE_SIDE), Image.Resampling.NEAREST), border=2, fill=FRAME)


def png(image: Image.Image) -> bytes:
    """Return the picture as PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
