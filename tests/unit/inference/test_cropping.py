"""A face is cut square, from where it is, whatever its box."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.draw_faces import draw_portrait
from services.inference.cropping import CROP_SIDE, box_inside, crop_square
from services.inference.detector import FaceBox, YuNetDetector
from shared.preprocessing import resize
from shared.schemas.predictions import Box

places = st.floats(-300, 300)
sizes = st.floats(0.01, 300)
boxes = st.builds(FaceBox, places, places, sizes, sizes)
images = st.tuples(st.integers(1, 80), st.integers(1, 80)).map(
    lambda shape: np.random.default_rng(shape[0]).integers(0, 256, shape, dtype=np.uint8)
)


@settings(max_examples=200)
@given(image=images, box=boxes)
def test_a_crop_is_square_and_holds_only_pixels_of_the_image(image: np.ndarray, box: FaceBox) -> None:
    crop = crop_square(image, box)

    assert crop.dtype == np.uint8
    assert crop.shape[0] == crop.shape[1] == max(1, round(CROP_SIDE * max(box.width, box.height)))
    assert set(np.unique(crop)) <= set(np.unique(image))


@settings(max_examples=200)
@given(image=images, box=boxes)
def test_a_box_is_shown_inside_of_its_image(image: np.ndarray, box: FaceBox) -> None:
    height, width = image.shape
    shown = box_inside(box, width, height)

    assert 0 <= shown.x < shown.x + shown.width <= width
    assert 0 <= shown.y < shown.y + shown.height <= height


@pytest.mark.parametrize(
    ("box", "shown"),
    [
        (FaceBox(x=10.4, y=20.6, width=30.2, height=40.3), Box(x=10, y=21, width=31, height=40)),
        (FaceBox(x=-5.2, y=20, width=30, height=40), Box(x=0, y=20, width=25, height=40)),
        (FaceBox(x=10, y=-7.7, width=30, height=40), Box(x=10, y=0, width=30, height=32)),
        (FaceBox(x=80, y=20, width=30, height=40), Box(x=80, y=20, width=20, height=40)),
        (FaceBox(x=10, y=170, width=30, height=40), Box(x=10, y=170, width=30, height=30)),
        (FaceBox(x=-9, y=-9, width=300, height=300), Box(x=0, y=0, width=100, height=200)),
        (FaceBox(x=120, y=-50, width=30, height=40), Box(x=99, y=0, width=1, height=1)),
        (FaceBox(x=10.1, y=20.1, width=0.2, height=0.2), Box(x=10, y=20, width=1, height=1)),
    ],
    ids=["inside", "left", "top", "right", "bottom", "all around", "outside", "tiny"],
)
def test_a_box_is_shown_to_the_pixel_and_cut_at_the_edge_that_it_reaches_over(box: FaceBox, shown: Box) -> None:
    assert box_inside(box, width=100, height=200) == shown


def test_the_crop_lies_around_the_middle_of_the_box() -> None:
    image = np.arange(100 * 100, dtype=np.uint32).reshape(100, 100).astype(np.uint8)

    crop = crop_square(image, FaceBox(x=30, y=20, width=20, height=40))

    np.testing.assert_array_equal(crop, image[20:60, 20:60])


def test_beyond_the_image_its_border_is_repeated() -> None:
    image = np.array([[1, 2], [3, 4]], np.uint8)

    crop = crop_square(image, FaceBox(x=-1, y=-1, width=4, height=4))

    np.testing.assert_array_equal(crop, [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]])


@pytest.mark.parametrize("turned", [-35, 35])
def test_a_tilted_face_is_cut_level_and_one_that_is_not_stays_as_it_is(turned: int) -> None:
    detector, portrait = YuNetDetector(), draw_portrait("happy", 5, 320)
    crops = []
    for picture in (portrait, portrait.rotate(turned, fillcolor=portrait.getpixel((2, 2)), resample=2)):
        rgb, gray = np.asarray(picture.convert("RGB")), np.asarray(picture.convert("L"))
        (found,) = detector.detect(rgb)
        crops += [resize(crop_square(gray, found.box, tilt), 48).astype(int) for tilt in (found.tilt, 0.0)]
    straight, as_it_is, levelled, tilted = crops
    assert (straight == as_it_is).all()
    assert np.abs(levelled - straight).mean() < np.abs(tilted - straight).mean()


@settings(max_examples=100)
@given(image=images, box=boxes, tilt=st.floats(-180, 180))
def test_a_levelled_crop_is_square_and_within_the_range_of_the_image(
    image: np.ndarray, box: FaceBox, tilt: float
) -> None:
    crop = crop_square(image, box, tilt)

    assert crop.dtype == np.uint8
    assert crop.shape[0] == crop.shape[1] == max(1, round(CROP_SIDE * max(box.width, box.height)))
    assert image.min() <= crop.min() <= crop.max() <= image.max()


def test_a_tilted_face_in_a_very_wide_picture_is_cut() -> None:
    wide = np.tile(np.arange(256, dtype=np.uint8), (40, 160))
    narrow = wide[:, -400:]
    box = FaceBox(x=200, y=5, width=30, height=30)
    far = FaceBox(x=200 + wide.shape[1] - 400, y=5, width=30, height=30)
    np.testing.assert_array_equal(crop_square(wide, far, 20), crop_square(narrow, box, 20))
