"""Which pixels a view hides, for any array of faces."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared.errors import FaceShapeError, HalffaceError, UnknownViewError
from shared.masking import (
    QUADRANTS,
    STUDY_VIEWS,
    View,
    hidden_quadrants,
    hide,
    hide_each,
    mirrored,
    parse_view,
    quadrant_slices,
)
from tests.missing import needed

views = st.sampled_from(list(View))
quadrant_sets = st.sets(st.integers(1, 4))
dtypes = st.sampled_from([np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64])
side = st.integers(1, 9)
shapes = st.tuples(st.lists(st.integers(0, 3), max_size=3), side, side).map(lambda each: (*each[0], each[1], each[2]))
batches = st.tuples(st.integers(0, 5), st.lists(st.integers(1, 3), max_size=1), side, side).map(
    lambda each: (each[0], *each[1], each[2], each[3])
)


def numbered(shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray[Any, Any]:
    """Return an array without zeros in which neighbours differ."""
    return (1 + np.arange(int(np.prod(shape))) % 200).reshape(shape).astype(dtype)


@given(shapes, dtypes, views)
def test_hiding_keeps_shape_and_dtype_and_leaves_its_input_alone(
    shape: tuple[int, ...], dtype: Any, view: View
) -> None:
    faces = numbered(shape, dtype)
    before = faces.copy()
    seen = hide(faces, view)
    assert seen.shape == shape
    assert seen.dtype == dtype
    assert not np.shares_memory(seen, faces)
    np.testing.assert_array_equal(faces, before)


@given(hnp.arrays(np.uint8, st.tuples(side, side)), quadrant_sets)
def test_hidden_pixels_are_zero_and_all_others_as_they_were(face: np.ndarray[Any, Any], quadrants: set[int]) -> None:
    height, width = face.shape
    seen = hide(face, quadrants)
    for row in range(height):
        for column in range(width):
            top, left = row < height // 2, column < width // 2
            number = (2 if left else 1) if top else (3 if left else 4)
            assert seen[row, column] == (0 if number in quadrants else face[row, column])


@given(side, side)
def test_every_pixel_lies_in_exactly_one_quadrant(height: int, width: int) -> None:
    times = np.zeros((height, width), int)
    for number in (1, 2, 3, 4):
        times[quadrant_slices(number, height, width)] += 1
    assert (times == 1).all()


@given(shapes, quadrant_sets)
def test_hiding_twice_is_hiding_once(shape: tuple[int, ...], quadrants: set[int]) -> None:
    once = hide(numbered(shape), quadrants)
    np.testing.assert_array_equal(hide(once, quadrants), once)


@given(shapes, quadrant_sets)
def test_a_set_and_its_complement_together_show_the_whole_face(shape: tuple[int, ...], quadrants: set[int]) -> None:
    faces = numbered(shape)
    rest = {1, 2, 3, 4} - quadrants
    np.testing.assert_array_equal(hide(faces, quadrants) + hide(faces, rest), faces)


@given(st.lists(st.integers(1, 3), max_size=2), side, side, views)
def test_mirroring_a_hidden_face_is_hiding_the_mirrored_face_in_the_mirrored_view(
    lead: list[int], half_height: int, half_width: int, view: View
) -> None:
    faces = numbered((*lead, 2 * half_height, 2 * half_width))
    np.testing.assert_array_equal(hide(faces, view)[..., ::-1], hide(faces[..., ::-1], mirrored(QUADRANTS[view])))


@given(batches, st.data())
def test_hiding_each_is_hiding_one_by_one(shape: tuple[int, ...], data: st.DataObject) -> None:
    faces = numbered(shape, np.uint8)
    before = faces.copy()
    each = st.one_of(views, views.map(str), quadrant_sets)
    hidden = data.draw(st.lists(each, min_size=shape[0], max_size=shape[0]))
    seen = hide_each(faces, hidden)
    assert seen.shape == shape
    assert seen.dtype == np.uint8
    np.testing.assert_array_equal(faces, before)
    for face, part, whole in zip(seen, hidden, faces, strict=True):
        np.testing.assert_array_equal(face, hide(whole, part))


@given(batches, dtypes, st.data())
def test_torch_hides_the_same_pixels_as_numpy(shape: tuple[int, ...], dtype: Any, data: st.DataObject) -> None:
    torch = needed("torch")
    faces = numbered(shape, dtype)
    hidden = data.draw(st.lists(views, min_size=shape[0], max_size=shape[0]))
    tensor = torch.from_numpy(faces.copy())
    for ours, torchs in (
        (hide_each(faces, hidden), hide_each(tensor, hidden)),
        (hide(faces, View.LEFT), hide(tensor, View.LEFT)),
    ):
        assert torchs.dtype == tensor.dtype
        np.testing.assert_array_equal(torchs.numpy(), ours)
    np.testing.assert_array_equal(tensor.numpy(), faces)


def test_a_view_is_named_after_the_half_that_it_hides() -> None:
    face = np.array([[2, 1], [3, 4]])
    assert hide(face, View.FULL).tolist() == [[2, 1], [3, 4]]
    assert hide(face, "upper").tolist() == [[0, 0], [3, 4]]
    assert hide(face, "lower").tolist() == [[2, 1], [0, 0]]
    assert hide(face, "left").tolist() == [[0, 1], [0, 4]]
    assert hide(face, "right").tolist() == [[2, 0], [3, 0]]
    assert hide(face, "diagonal").tolist() == [[0, 1], [3, 0]]
    assert hide(face, "transdiagonal").tolist() == [[2, 0], [0, 4]]


def test_the_middle_row_and_column_of_an_odd_side_belong_to_the_bottom_and_the_right() -> None:
    face = np.ones((3, 3), int)
    assert hide(face, "upper").tolist() == [[0, 0, 0], [1, 1, 1], [1, 1, 1]]
    assert hide(face, "left").tolist() == [[0, 1, 1], [0, 1, 1], [0, 1, 1]]


def test_mirroring_twice_gives_every_view_back_and_keeps_how_much_is_hidden() -> None:
    assert set(QUADRANTS) == set(View)
    for hidden in QUADRANTS.values():
        assert mirrored(mirrored(hidden)) == hidden
        assert len(mirrored(hidden)) == len(hidden)
    assert mirrored(QUADRANTS[View.LEFT]) == QUADRANTS[View.RIGHT]


def test_the_study_has_five_views() -> None:
    assert STUDY_VIEWS == (View.FULL, View.UPPER, View.LOWER, View.LEFT, View.RIGHT)


@pytest.mark.parametrize("view", View)
def test_a_view_is_found_by_its_name(view: View) -> None:
    assert parse_view(view.value) is view
    assert hidden_quadrants(view.value) == QUADRANTS[view]


@pytest.mark.parametrize("name", ["", "Upper", "top", "upper ", "any"])
def test_an_unknown_view_is_refused_with_the_names_of_all(name: str) -> None:
    with pytest.raises(UnknownViewError, match=r"choose one of full, upper, .*transdiagonal") as caught:
        hide(np.ones((2, 2)), name)
    assert isinstance(caught.value, HalffaceError)


@pytest.mark.parametrize("quadrants", [{0}, {5}, {1, 2, 9}, {-1}, ["upper", 1]])
def test_quadrants_other_than_one_to_four_are_refused(quadrants: Any) -> None:
    with pytest.raises(UnknownViewError, match="numbered 1 to 4"):
        hide(np.ones((2, 2)), quadrants)


@pytest.mark.parametrize("shape", [(), (4,)])
def test_an_array_without_height_and_width_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FaceShapeError, match="a height and a width"):
        hide(np.ones(shape), View.UPPER)


def test_a_single_face_is_refused_where_a_batch_is_needed() -> None:
    with pytest.raises(FaceShapeError, match="batch"):
        hide_each(np.ones((2, 2)), [View.UPPER, View.LEFT])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_views_than_faces_is_refused(count: int) -> None:
    with pytest.raises(FaceShapeError, match=f"2 faces need as many views; got {count}"):
        hide_each(np.ones((2, 4, 4)), [View.UPPER] * count)
