"""Every picture that people have is read upright; everything else is refused with a reason."""

import base64
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scripts.draw_faces import draw_portrait
from services.inference.decoding import Limits, Picture, decode_bytes, decode_text
from shared.preprocessing import on_black, to_gray
from shared.web import ApiError
from tests.unit.inference.pictures import bomb, compressed_bitmap, data_url, encode

LIMITS = Limits(image_bytes=1_000_000, pixels=1_000_000)
FACE = draw_portrait("happy", 1, 64)
GRAY = FACE.convert("L")


def refusal(data: bytes, limits: Limits = LIMITS) -> ApiError:
    """Return the error with which a file is refused."""
    with pytest.raises(ApiError) as caught:
        decode_bytes(data, limits, "images[0]")
    assert caught.value.field == "images[0]"
    assert caught.value.message.endswith(".")
    return caught.value


def picture_or_reason(data: bytes) -> Picture | None:
    """Return a file's picture, or None if it was refused with a reason."""
    try:
        return decode_bytes(data, LIMITS, "image")
    except ApiError as error:
        if not 400 <= error.status < 500:
            raise
        return None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_the_four_formats_are_read_by_their_content(kind: str) -> None:
    picture = decode_bytes(encode(FACE, kind), LIMITS, "image")

    assert (picture.width, picture.height, picture.rgb.shape) == (64, 64, (64, 64, 3))
    assert np.abs(picture.gray.astype(int) - np.asarray(GRAY, int)).mean() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_put_upright(orientation: int) -> None:
    back = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    turned = Image.new("L", (40, 30))
    turned.paste(255, (0, 0, 10, 10))
    operations = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    stored = turned.transpose(operations[back[orientation]]) if orientation > 1 else turned
    exif = Image.Exif()
    exif[0x0112] = orientation

    picture = decode_bytes(encode(stored, "PNG", exif=exif), LIMITS, "image")

    np.testing.assert_array_equal(picture.gray, np.asarray(turned))
    np.testing.assert_array_equal(picture.rgb[..., 0], np.asarray(turned))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_data_is_no_reason_to_refuse() -> None:
    picture = decode_bytes(encode(FACE, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), LIMITS, "image")

    assert picture.width == 64


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixels_gives_the_gray_of_evaluation(mode: str) -> None:
    image = FACE.convert("RGB").convert(mode) if mode != "I;16" else Image.fromarray(np.asarray(GRAY, np.uint16) * 257)
    kind = "JPEG" if mode == "CMYK" else "PNG"
    data = encode(image, kind)

    picture = decode_bytes(data, LIMITS, "image")

    assert picture.rgb.dtype == np.uint8
    if kind == "PNG":
        np.testing.assert_array_equal(picture.gray, to_gray(image))
    np.testing.assert_allclose(
        np.asarray(Image.fromarray(picture.rgb).convert("L"), int), picture.gray.astype(int), atol=1
    )


def test_transparency_lies_on_black() -> None:
    picture = decode_bytes(encode(Image.new("RGBA", (9, 9), (255, 255, 255, 0)), "PNG"), LIMITS, "image")

    assert picture.gray.max() == picture.rgb.max() == 0


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA"])
def test_a_picture_larger_than_a_strip_has_the_colours_of_a_small_one(mode: str) -> None:
    tile = np.random.default_rng(0).integers(0, 256, (8, 1200, 4), dtype=np.uint8)
    image = Image.fromarray(np.tile(tile, (125, 1, 1)))  # 1,000 rows, more than a strip has
    image = image.convert("RGB").quantize(64, dither=Image.Dither.NONE) if mode == "P" else image.convert(mode)

    picture = decode_bytes(encode(image, "PNG"), Limits(image_bytes=20_000_000, pixels=2_000_000), "image")

    expected = np.asarray(on_black(image).convert("RGB"))
    np.testing.assert_array_equal(picture.rgb, expected)
    np.testing.assert_array_equal(picture.rgb[:8], picture.rgb[-8:])


def peak(file: Path) -> int:
    """Return the most memory that a process of its own takes to decode a picture, in the system's unit."""
    code = (
        "import resource, sys; from services.inference.decoding import Limits, decode_bytes; "
        "picture = decode_bytes(open(sys.argv[1], 'rb').read(), Limits(10**8, 10**8), 'image'); "
        "picture.rgb, print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, file], capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_large_picture_takes_no_more_memory_for_its_bits_or_its_transparency(tmp_path: Path) -> None:
    taken = {}
    for mode in ("RGB", "RGBA", "LA", "I;16"):
        Image.new(mode, (4000, 4000)).save(tmp_path / "picture.png", compress_level=1)
        taken[mode] = peak(tmp_path / "picture.png")
    assert max(taken.values()) < 1.25 * taken["RGB"], taken


def test_sixteen_bits_with_a_transparent_value_are_read() -> None:
    image = Image.fromarray(np.full((8, 8), 65535, np.uint16))

    assert decode_bytes(encode(image, "PNG", transparency=0), LIMITS, "image").rgb.min() == 255


def test_an_animation_shows_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), "white"), Image.new("RGB", (8, 8), "black")]
    data = encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)

    assert decode_bytes(data, LIMITS, "image").gray.min() == 255


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PPM", "ICO"])
def test_other_formats_are_refused_by_name_of_those_taken(kind: str) -> None:
    error = refusal(encode(FACE, kind))

    assert (error.status, error.code) == (415, "image_format")
    assert "JPEG, PNG, WebP or BMP" in error.message


def test_an_empty_file_is_missing() -> None:
    assert (refusal(b"").status, refusal(b"").code) == (400, "image_missing")


@pytest.mark.parametrize(("bits", "compression"), [(8, 1), (4, 2)])
def test_a_compressed_bitmap_is_refused_before_it_is_decoded(bits: int, compression: int) -> None:
    error = refusal(compressed_bitmap(900_000, bits, compression))

    assert (error.status, error.code) == (415, "image_format")
    assert "as PNG" in error.message


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused_with_a_reason(kind: str, part: float) -> None:
    data = encode(draw_portrait("sad", 2, 128), kind)

    error = refusal(data[: int(len(data) * part)])

    assert (error.status, error.code) == (422, "image_truncated")
    assert "whole file" in error.message


def test_a_damaged_file_is_unreadable() -> None:
    data = bytearray(encode(FACE, "PNG"))
    data[60:200] = bytes(140)

    assert (refusal(bytes(data)).status, refusal(bytes(data)).code) == (422, "image_unreadable")


def test_a_bomb_is_refused_from_its_header() -> None:
    error = refusal(bomb())

    assert (error.status, error.code) == (413, "image_too_many_pixels")
    assert "60000 x 60000" in error.message


def scans_again(times: int, hidden: bytes = b"") -> bytes:
    """Return a progressive JPEG whose last scan is repeated so often, each time after the bytes `hidden`."""
    whole = encode(FACE, "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + (hidden + whole[last:-2]) * times + b"\xff\xd9"


def test_a_progressive_photo_is_read_and_one_that_goes_over_its_picture_for_ever_is_not() -> None:
    assert decode_bytes(scans_again(1), LIMITS, "image").width == 64
    error = refusal(scans_again(200))
    assert (error.status, error.code) == (422, "image_unreadable")
    assert "more than 100 times" in error.message


@pytest.mark.parametrize("hidden", [b"\xff\x01\x7f\xff", b"\xff\xd0\x7f\xff", b"\xff\xff"])
def test_scans_are_counted_where_a_marker_without_a_length_would_hide_them(hidden: bytes) -> None:
    assert refusal(scans_again(200, hidden)).message == refusal(scans_again(200)).message


def test_a_scan_of_the_thumbnail_in_a_photo_is_not_counted() -> None:
    thumbnail = b"\xff\xe1" + (2 + 600 * 4).to_bytes(2, "big") + b"\xff\xda\x00\x02" * 600
    whole = encode(FACE, "JPEG")
    assert decode_bytes(whole[:2] + thumbnail + whole[2:], LIMITS, "image").width == 64


def test_a_file_that_is_too_large_is_refused() -> None:
    error = refusal(encode(FACE, "BMP"), Limits(image_bytes=1000, pixels=LIMITS.pixels))

    assert (error.status, error.code) == (413, "image_too_large")


def test_a_file_and_a_picture_that_are_as_large_as_may_be_are_read() -> None:
    data = encode(FACE, "PNG")

    assert decode_bytes(data, Limits(image_bytes=len(data), pixels=64 * 64), "image").width == 64
    assert refusal(data, Limits(image_bytes=len(data) - 1, pixels=64 * 64)).code == "image_too_large"
    assert refusal(data, Limits(image_bytes=len(data), pixels=64 * 64 - 1)).code == "image_too_many_pixels"


@pytest.mark.parametrize("spare", [0, 1, 2])
def test_a_text_whose_file_is_as_large_as_may_be_is_read(spare: int) -> None:
    data = encode(FACE, "BMP") + bytes(spare)  # so that base64 ends with and without padding

    assert decode_text(data_url(data), Limits(len(data), LIMITS.pixels), "image").width == 64
    with pytest.raises(ApiError) as caught:
        decode_text(data_url(data), Limits(len(data) - 1, LIMITS.pixels), "image")
    assert caught.value.code == "image_too_large"


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=200)
@given(kind=st.sampled_from(["JPEG", "PNG", "WEBP", "BMP"]), place=st.floats(0, 0.999), byte=st.integers(0, 255))
def test_a_changed_byte_gives_a_picture_or_a_reason(kind: str, place: float, byte: int) -> None:
    whole = encode(FACE, kind)
    data = bytearray(whole)
    data[int(place * len(data))] = byte

    picture = picture_or_reason(bytes(data))

    assert picture_or_reason(whole) is not None
    assert picture is not None or bytes(data) != whole

    assert picture is None or picture.rgb.shape == (*picture.gray.shape, 3)


@settings(max_examples=200)
@given(head=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"BM"]), rest=st.binary())
def test_any_bytes_after_a_known_beginning_give_a_reason(head: bytes, rest: bytes) -> None:
    assert picture_or_reason(head + rest) is None


def test_a_data_url_and_plain_base64_are_read() -> None:
    data = encode(GRAY, "PNG")
    plain = base64.b64encode(data).decode()

    for text in (data_url(data), data_url(data, "image/x-whatever"), plain, plain[:70] + "\n" + plain[70:]):
        np.testing.assert_array_equal(decode_text(text, LIMITS, "image").gray, np.asarray(GRAY))


@pytest.mark.parametrize(
    "head", ["data:;base64,", "DATA:image/jpeg;base64,", "data:image/svg+xml;charset=utf-8;base64,"]
)
def test_a_data_url_is_read_whatever_it_says_of_its_type(head: str) -> None:
    data = encode(GRAY, "PNG")

    assert decode_text(head + base64.b64encode(data).decode(), LIMITS, "image").width == 64


@pytest.mark.parametrize("letter", "a;/:")
def test_a_data_url_without_an_end_is_refused_as_fast_as_it_is_long(letter: str) -> None:
    text = "data:" + letter * 4_000_000  # a pattern that goes back and forth would need hours

    with pytest.raises(ApiError) as caught:
        decode_text(text, LIMITS, "image")

    assert (caught.value.status, caught.value.code) == (400, "image_encoding")


@pytest.mark.parametrize("text", ["data:image/png,%89PNG", "no base64 at all!", "data:image/png;base64,ä", "AAAAA"])
def test_text_that_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode_text(text, LIMITS, "images[2]")

    assert (caught.value.status, caught.value.code, caught.value.field) == (400, "image_encoding", "images[2]")


def test_a_long_text_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ApiError) as caught:
        decode_text("A" * 2_000_000, LIMITS, "image")

    assert (caught.value.status, caught.value.code) == (413, "image_too_large")


def test_a_bitmap_whose_alpha_is_empty_is_opaque() -> None:
    header = struct.pack("<IiiHHIIiiII4I", 108, 2, 1, 1, 32, 3, 8, 0, 0, 0, 0, 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    body = header.ljust(108, b"\0") + bytes((10, 10, 10, 0, 200, 200, 200, 0))
    file = b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 14 + 108) + body
    assert decode_bytes(file, LIMITS, "image").gray.tolist() == [[10, 200]]
