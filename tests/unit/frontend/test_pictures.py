"""Boxes on the upright picture, and the small faces enlarged."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from services.frontend.pictures import (
    CHOSEN,
    FACE_SIDE,
    LONGEST_SIDE,
    PictureError,
    decode_crop,
    enlarged,
    reduced,
    upright,
)
from services.frontend.pictures import with_boxes as draw
from services.inference.decoding import Limits, decode_bytes
from shared.schemas.predictions import Box

from .answers import a_face, png


def test_a_picture_taken_sideways_is_shown_upright():
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    Image.new("RGB", (40, 20)).save(buffer, "JPEG", exif=exif)
    assert upright(buffer.getvalue()).size == (20, 40)


def exif_of(*entries: tuple[int, int, int, bytes]) -> bytes:
    """Return EXIF data of (tag, type, count, value of at most four bytes), as they stand in TIFF."""
    fields = b"".join(struct.pack(">HHI4s", tag, kind, count, value) for tag, kind, count, value in entries)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, len(entries)) + fields + bytes(4)


@pytest.mark.parametrize(
    "odd",
    [
        (0x0128, 4, 1, struct.pack(">I", 70_000)),  # the unit of resolution, too large for its kind
        (0x0128, 2, 2, b"2\0"),  # and as a text
        (0x0213, 9, 1, struct.pack(">i", -1)),  # where colours were sampled, below 0
        (0x0115, 11, 1, struct.pack(">f", 3.0)),  # the number of channels, as a fraction
    ],
)
def test_exif_data_of_an_odd_kind_neither_break_the_page_nor_part_it_from_inference(odd: tuple[int, int, int, bytes]):
    buffer, sideways = io.BytesIO(), (0x0112, 3, 1, struct.pack(">H", 6))
    Image.new("RGB", (40, 20)).save(buffer, "JPEG", exif=exif_of(*sorted((sideways, odd))))
    read = decode_bytes(buffer.getvalue(), Limits(1 << 20, 1 << 20), "image")
    assert upright(buffer.getvalue()).size == (read.width, read.height) == (20, 40)


@pytest.mark.parametrize("kind", ["I;16", "RGBA", "LA", "P", "CMYK"])
def test_a_picture_is_shown_as_inference_reads_it(kind: str):
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 4, (32, 1))
    if kind == "I;16":
        image = Image.fromarray(ramp.astype(np.uint16) * 257)
    elif kind == "P":
        image = Image.fromarray(ramp).convert("P")
        image.info["transparency"] = 8
    else:
        image = Image.fromarray(ramp).convert(kind)
        if "A" in kind:
            image.putalpha(Image.fromarray(ramp))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG" if kind == "CMYK" else "PNG")
    read = decode_bytes(buffer.getvalue(), Limits(1 << 20, 1 << 20), "image")
    np.testing.assert_array_equal(np.asarray(upright(buffer.getvalue())), read.rgb)


@pytest.mark.parametrize("content", [b"", b"no picture", png()[:60]])
def test_bytes_that_are_no_whole_picture_are_refused_with_a_sentence(content: bytes):
    with pytest.raises(PictureError, match="choose it again"):
        upright(content)


def test_a_box_lies_where_the_face_is_and_the_picture_is_left_alone():
    image = Image.new("RGB", (100, 80))
    shown = draw(image, [Box(x=10, y=20, width=30, height=40)], chosen=0)
    assert shown.getpixel((10, 20)) == shown.getpixel((39, 59)) == CHOSEN
    assert shown.getpixel((25, 40)) == (0, 0, 0)
    assert image.getbbox() is None


def test_a_large_picture_is_reduced_and_its_boxes_with_it():
    small = reduced(Image.new("RGB", (LONGEST_SIDE * 2, 200)))
    shown = draw(small, [Box(x=100, y=100, width=60, height=60)], chosen=0, scale=0.5)
    assert shown.size == (LONGEST_SIDE, 100)
    assert shown.getpixel((50, 50)) == CHOSEN


def test_boxes_beyond_the_edge_and_pictures_without_a_face_are_drawn_without_a_fault():
    image = Image.new("RGB", (30, 30))
    assert draw(image, [Box(x=-20, y=-20, width=90, height=90), Box(x=29, y=29, width=0, height=0)], 1).size == (30, 30)
    assert draw(image, [], 0).getbbox() is None


def test_the_face_of_an_answer_is_read_back():
    crop = a_face().crop
    assert crop is not None
    np.testing.assert_array_equal(decode_crop(crop), np.full((48, 48), 120, np.uint8))
    with pytest.raises(PictureError):
        decode_crop("data:image/png;base64,§")


def test_the_hidden_half_is_black_and_each_pixel_stays_a_square():
    face = np.random.default_rng(0).integers(1, 255, (48, 48), dtype=np.uint8)
    inner = np.asarray(enlarged(face, "upper"))[2:-2, 2:-2]
    assert inner.shape == (FACE_SIDE, FACE_SIDE)
    assert not inner[: FACE_SIDE // 2].any()
    factor = FACE_SIDE // 48
    np.testing.assert_array_equal(inner[FACE_SIDE // 2 :: factor, ::factor], face[24:])
    np.testing.assert_array_equal(inner[FACE_SIDE // 2 + factor - 1 :: factor, factor - 1 :: factor], face[24:])
