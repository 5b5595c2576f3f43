"""From an image to what the network reads."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pydantic import ValidationError

from shared.errors import FaceShapeError, UnknownViewError
from shared.masking import STUDY_VIEWS, View, hide
from shared.preprocessing import (
    CIFAR10_MEAN,
    CIFAR10_STD,
    STRIP_PIXELS,
    InputSpec,
    hide_and_normalise,
    in_strips,
    prepare,
    resize,
    to_gray,
)
from tests.missing import needed

SMALL = InputSpec(size=8)
GRAY = InputSpec(size=8, channels=1, mean=(0.5,), std=(0.25,))
any_face = hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)))


def batch(count: int, size: int = 8, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return faces of noise, uint8 (count, size, size)."""
    return np.random.default_rng(seed).integers(0, 256, (count, size, size), dtype=np.uint8)


# --- to gray ---------------------------------------------------------------------------------------------------------


def test_a_gray_image_stays_as_it_is() -> None:
    face = batch(1)[0]
    np.testing.assert_array_equal(to_gray(Image.fromarray(face)), face)


def test_colour_becomes_luma() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    weights = np.array([0.299, 0.587, 0.114])
    gray = to_gray(Image.fromarray(colours))
    assert gray.shape == (5, 7)
    assert gray.dtype == np.uint8
    np.testing.assert_allclose(gray, colours @ weights, atol=0.51)


@pytest.mark.parametrize(("alpha", "expected"), [(255, 200), (0, 0), (128, 100)])
def test_transparent_pixels_lie_on_black(alpha: int, expected: int) -> None:
    for image in (
        Image.new("RGBA", (2, 3), (200, 200, 200, alpha)),
        Image.new("LA", (2, 3), (200, alpha)),
    ):
        gray = to_gray(image)
        assert gray.shape == (3, 2)
        np.testing.assert_allclose(gray, expected, atol=1)


def test_a_palette_image_is_read_by_its_colours_and_its_transparency() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([255, 255, 255, 255, 0, 0, 100, 100, 100])
    image.putdata([0, 1, 2])
    assert to_gray(image).tolist() == [[255, 76, 100]]
    image.info["transparency"] = 0
    assert to_gray(image).tolist() == [[0, 76, 100]]


def test_a_cmyk_image_is_read_by_its_colours() -> None:
    assert to_gray(Image.new("CMYK", (1, 1), (0, 0, 0, 0))).tolist() == [[255]]
    assert to_gray(Image.new("CMYK", (1, 1), (0, 0, 0, 255))).tolist() == [[0]]


def test_sixteen_bits_become_eight() -> None:
    image = Image.fromarray(np.array([[0, 257, 32896, 65535]], dtype=np.uint16))
    assert image.mode == "I;16"
    assert to_gray(image).tolist() == [[0, 1, 128, 255]]


def test_black_and_white_becomes_zero_and_255() -> None:
    assert to_gray(Image.fromarray(np.array([[True, False]]))).tolist() == [[255, 0]]


def test_a_float_image_is_scaled_to_its_brightest_pixel() -> None:
    assert to_gray(Image.fromarray(np.array([[0.0, 2.0, 4.0, -1.0]], dtype=np.float32))).tolist() == [[0, 128, 255, 0]]
    assert to_gray(Image.fromarray(np.zeros((1, 2), dtype=np.float32))).tolist() == [[0, 0]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F"])
@pytest.mark.parametrize("height", [1, 5, 6, 7])
def test_an_image_in_strips_is_the_same_as_in_one_piece(mode: str, height: int) -> None:
    alphas = np.random.default_rng(height).integers(0, 256, (height, 4, 4), dtype=np.uint8)
    coloured = Image.fromarray(alphas)
    image = coloured.convert("L").convert(mode) if mode[0] in "IF" else coloured.convert(mode)
    heights: list[int] = []

    def gray(part: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
        heights.append(part.height)
        return to_gray(part) if mode != "F" else np.asarray(part).round().astype(np.uint8)

    np.testing.assert_array_equal(in_strips(image, gray, strip_pixels=12), gray(image))
    assert sum(heights[:-1]) == height
    assert max(heights[:-1]) <= 3


def test_strips_keep_a_palette_and_what_of_it_is_transparent() -> None:
    image = Image.new("P", (1, 3))
    image.putpalette([255, 255, 255, 255, 0, 0, 100, 100, 100])
    image.putdata([0, 1, 2])
    image.info["transparency"] = 0
    assert in_strips(image, to_gray, strip_pixels=1).tolist() == [[0], [76], [100]]


def test_a_row_longer_than_a_strip_is_converted_whole() -> None:
    face = batch(1)[0]
    np.testing.assert_array_equal(in_strips(Image.fromarray(face), to_gray, strip_pixels=3), face)


def test_the_brightest_pixel_of_a_float_image_may_be_in_another_strip() -> None:
    values = np.linspace(0, 4, 2 * STRIP_PIXELS, dtype=np.float32).reshape(-1, 1024)
    gray = to_gray(Image.fromarray(values))
    assert (int(gray[0].max()), int(gray[-1].max())) == (0, 255)
    assert np.abs(gray.astype(float) - 255 * values / 4).max() <= 0.51


# --- resize ----------------------------------------------------------------------------------------------------------


def test_a_face_of_the_right_size_is_not_touched() -> None:
    face = batch(1)[0]
    np.testing.assert_array_equal(resize(face, 8), face)


@given(any_face, st.integers(1, 24))
def test_resizing_gives_a_square_and_stays_within_the_range_of_the_face(face: np.ndarray[Any, Any], size: int) -> None:
    small = resize(face, size)
    assert small.shape == (size, size)
    assert small.dtype == np.uint8
    assert face.min() <= small.min()
    assert small.max() <= face.max()


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = np.tile(np.array([0, 0, 255, 255], dtype=np.uint8), (96, 24))
    fine = np.tile(np.array([0, 255], dtype=np.uint8), (96, 48))
    assert np.ptp(resize(fine, 12)[:, 1:-1].astype(int)) <= 4
    assert np.abs(resize(fine, 12)[:, 1:-1].astype(int) - 128).max() <= 4
    assert np.abs(resize(stripes, 8)[:, 1:-1].astype(int) - 128).max() <= 30


@pytest.mark.parametrize(
    "face",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)],
)
def test_what_is_no_gray_uint8_face_is_refused(face: np.ndarray[Any, Any]) -> None:
    with pytest.raises(FaceShapeError, match="A face is a uint8 array"):
        resize(face, 8)
    with pytest.raises(FaceShapeError, match="A face is a uint8 array"):
        prepare([face], View.FULL, SMALL)


# --- prepare ---------------------------------------------------------------------------------------------------------


@given(st.lists(any_face, max_size=4), st.sampled_from(list(View)), st.sampled_from([SMALL, GRAY, InputSpec(size=11)]))
def test_faces_of_any_size_become_one_float_batch(
    faces: list[np.ndarray[Any, Any]], view: View, spec: InputSpec
) -> None:
    network_input = prepare(faces, view, spec)
    assert network_input.shape == (len(faces), spec.channels, spec.size, spec.size)
    assert network_input.dtype == np.float32


def test_no_faces_give_an_empty_batch() -> None:
    assert prepare([], View.UPPER, InputSpec()).shape == (0, 3, 48, 48)
    assert prepare(np.empty((0, 5, 5), np.uint8), [], SMALL).shape == (0, 3, 8, 8)


def test_pixels_are_hidden_before_they_are_normalised() -> None:
    network_input = prepare(batch(2), "upper", InputSpec(size=8))
    for channel in range(3):
        black = (np.float32(0) - CIFAR10_MEAN[channel]) / CIFAR10_STD[channel]
        np.testing.assert_array_equal(network_input[:, channel, :4], np.float32(black))


def test_visible_pixels_are_scaled_and_normalised_for_each_channel() -> None:
    faces = batch(2)
    network_input = prepare(faces, "full", SMALL)
    for channel in range(3):
        expected = (faces / 255 - CIFAR10_MEAN[channel]) / CIFAR10_STD[channel]
        np.testing.assert_allclose(network_input[:, channel], expected, atol=1e-5)


def test_the_card_decides_size_channels_and_normalisation() -> None:
    spec = InputSpec(size=8, channels=1, mean=(10.0,), std=(2.0,), scale=1.0)
    faces = batch(1)
    np.testing.assert_array_equal(prepare(faces, "full", spec)[:, 0], (faces.astype(np.float32) - 10) / 2)


@given(st.lists(st.sampled_from(list(View)), min_size=1, max_size=5))
def test_each_face_may_have_its_own_view(views: list[View]) -> None:
    faces = batch(len(views))
    one_by_one = [prepare(faces[index : index + 1], view, SMALL) for index, view in enumerate(views)]
    np.testing.assert_array_equal(prepare(faces, views, SMALL), np.concatenate(one_by_one))


def test_a_face_is_read_alike_alone_and_in_a_batch() -> None:
    faces = batch(5, size=13)
    together = prepare(faces, "left", SMALL)
    for index, face in enumerate(faces):
        np.testing.assert_array_equal(prepare([face], "left", SMALL)[0], together[index])


def test_preparing_leaves_the_faces_alone() -> None:
    faces = batch(2)
    before = faces.copy()
    prepare(faces, "upper", SMALL)
    np.testing.assert_array_equal(faces, before)


def test_hiding_happens_at_the_size_of_the_network() -> None:
    face = batch(1, size=21)[0]
    expected = hide_and_normalise(hide(resize(face, 8), "right")[None], "full", SMALL)
    np.testing.assert_array_equal(prepare([face], "right", SMALL), expected)


@pytest.mark.parametrize("view", View)
@pytest.mark.parametrize("spec", [InputSpec(), InputSpec(channels=1, mean=(0.5,), std=(0.25,), scale=1 / 255)])
def test_training_on_tensors_and_serving_on_arrays_read_exactly_the_same(view: View, spec: InputSpec) -> None:
    torch = needed("torch")
    faces = batch(4, size=spec.size)
    for tensor in (torch.from_numpy(faces), torch.from_numpy(faces).float()):
        trained = hide_and_normalise(tensor, view, spec)
        assert trained.dtype == torch.float32
        np.testing.assert_array_equal(trained.numpy(), prepare(faces, view, spec))


def test_tensors_with_a_view_each_read_the_same_as_arrays() -> None:
    torch = needed("torch")
    faces, views = batch(5, size=48), list(STUDY_VIEWS)
    trained = hide_and_normalise(torch.from_numpy(faces), views, InputSpec())
    np.testing.assert_array_equal(trained.numpy(), prepare(faces, views, InputSpec()))


def test_another_number_of_views_than_faces_is_refused() -> None:
    with pytest.raises(FaceShapeError, match="2 faces need as many views; got 1"):
        prepare(batch(2), [View.UPPER], SMALL)


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(UnknownViewError, match="no view 'top'"):
        prepare(batch(1), "top", SMALL)


@pytest.mark.parametrize("shape", [(8, 8), (1, 3, 8, 8)])
def test_what_is_no_batch_of_gray_faces_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FaceShapeError, match="batch of faces"):
        hide_and_normalise(np.zeros(shape, np.uint8), "full", SMALL)


# --- the card's part -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 1},
        {"mean": (0.5,)},
        {"std": (0.2, 0.2)},
        {"std": (0.2, 0.0, 0.2)},
        {"size": 4},
        {"size": 1024},
        {"scale": 0},
        {"channels": 0, "mean": (), "std": ()},
    ],
)
def test_an_input_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        InputSpec.model_validate(wrong)


def test_an_input_comes_back_from_json_unchanged() -> None:
    spec = InputSpec(size=64, mean=(0.1, 0.2, 0.3))
    assert InputSpec.model_validate_json(spec.model_dump_json()) == spec
