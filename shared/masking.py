"""Views of a face: which part of it is hidden. One pure function for NumPy arrays and torch tensors.

Quadrants are numbered as in mathematics, as seen in the image: 1 top right, 2 top left, 3 bottom left, 4 bottom right.
The face is split at half its side, rounded down, so of an odd side the middle row or column belongs to the bottom and
to the right: every pixel lies in exactly one quadrant. A view is named after what it hides: in `upper` the upper half
is hidden.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, Protocol, Self, TypeVar

from shared.errors import FaceShapeError, UnknownViewError


class View(StrEnum):
    """What is hidden of a face."""

    FULL = "full"
    UPPER = "upper"
    LOWER = "lower"
    LEFT = "left"
    RIGHT = "right"
    DIAGONAL = "diagonal"
    TRANSDIAGONAL = "transdiagonal"


STUDY_VIEWS: Final = (View.FULL, View.UPPER, View.LOWER, View.LEFT, View.RIGHT)
"""The five views that the study trains and measures on."""

QUADRANTS: Final[dict[View, frozenset[int]]] = {
    View.FULL: frozenset(),
    View.UPPER: frozenset({1, 2}),
    View.LOWER: frozenset({3, 4}),
    View.LEFT: frozenset({2, 3}),
    View.RIGHT: frozenset({1, 4}),
    View.DIAGONAL: frozenset({2, 4}),
    View.TRANSDIAGONAL: frozenset({1, 3}),
}
"""The quadrants that each view hides."""

_MIRRORED: Final = {1: 2, 2: 1, 3: 4, 4: 3}


def mirrored(quadrants: Iterable[int]) -> frozenset[int]:
    """Return the quadrants that these become when the image is mirrored."""
    return frozenset(_MIRRORED[quadrant] for quadrant in quadrants)


class PixelArray(Protocol):
    """What NumPy arrays and torch tensors have in common, as far as masking goes."""

    @property
    def shape(self) -> Sequence[int]: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __setitem__(self, key: Any, value: Any, /) -> None: ...
    def __mul__(self, other: Any, /) -> Self: ...


Pixels = TypeVar("Pixels", bound=PixelArray)

Hidden = View | str | Iterable[int]
"""A view, its name, or the numbers of the hidden quadrants."""


def parse_view(name: str) -> View:
    """Return the view called `name`.

    Raises:
        UnknownViewError: there is no such view.
    """
    try:
        return View(name)
    except ValueError as error:
        raise UnknownViewError(f"There is no view '{name}'; choose one of {', '.join(View)}.") from error


def hidden_quadrants(hidden: Hidden) -> frozenset[int]:
    """Return the numbers (1 to 4) of the quadrants that `hidden` hides.

    Raises:
        UnknownViewError: an unknown name, or a quadrant other than 1, 2, 3, 4.
    """
    if isinstance(hidden, str):
        return QUADRANTS[parse_view(hidden)]
    quadrants = frozenset(hidden)
    if not quadrants <= {1, 2, 3, 4}:
        raise UnknownViewError(f"Quadrants are numbered 1 to 4; got {sorted(quadrants, key=str)}.")
    return quadrants


def quadrant_slices(number: int, height: int, width: int) -> tuple[slice, slice]:
    """Return the (rows, columns) of quadrant `number` in an image of `height` x `width` pixels."""
    rows = slice(0, height // 2) if number in (1, 2) else slice(height // 2, height)
    columns = slice(0, width // 2) if number in (2, 3) else slice(width // 2, width)
    return rows, columns


def hide(faces: Pixels, hidden: Hidden) -> Pixels:
    """Return a copy of `faces` in which the hidden quadrants are 0.

    Args:
        faces: array or tensor of shape (..., H, W), any number type, pixels not yet normalised.
        hidden: a view, its name, or quadrant numbers.

    Raises:
        FaceShapeError: fewer than two dimensions.
        UnknownViewError: see `hidden_quadrants`.
    """
    if len(faces.shape) < 2:
        raise FaceShapeError(f"A face needs a height and a width; got the shape {tuple(faces.shape)}.")
    copy = faces * 1  # works alike for NumPy and torch, keeps the dtype
    for number in hidden_quadrants(hidden):
        rows, columns = quadrant_slices(number, *faces.shape[-2:])
        copy[..., rows, columns] = 0
    return copy


def hide_each(faces: Pixels, hidden: Sequence[Hidden]) -> Pixels:
    """Return a copy of `faces`, of shape (N, ..., H, W), each with its own part hidden.

    Args:
        faces: array or tensor of shape (N, ..., H, W).
        hidden: N views or quadrant sets.

    Raises:
        FaceShapeError: the two lengths differ, or fewer than three dimensions.
    """
    if len(faces.shape) < 3:
        raise FaceShapeError(f"A batch of faces has the shape (N, ..., height, width); got {tuple(faces.shape)}.")
    if len(hidden) != faces.shape[0]:
        raise FaceShapeError(f"{faces.shape[0]} faces need as many views; got {len(hidden)}.")
    by_quadrant: dict[int, list[int]] = {1: [], 2: [], 3: [], 4: []}
    for index, quadrants in enumerate(map(hidden_quadrants, hidden)):
        for number in quadrants:
            by_quadrant[number].append(index)
    copy = faces * 1
    for number, indices in by_quadrant.items():
        if indices:
            rows, columns = quadrant_slices(number, *faces.shape[-2:])
            copy[indices, ..., rows, columns] = 0
    return copy
