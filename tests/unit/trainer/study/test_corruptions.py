"""Damage is the same for every model, does what it says and leaves the originals as they are."""

import numpy as np
import numpy.typing as npt
import pytest

from scripts.draw_faces import draw_face
from shared.masking import View, hide
from trainer.study.corruptions import CORRUPTIONS, corrupt, view_after

Faces = npt.NDArray[np.uint8]
KINDS = [(one.name, severity) for one in CORRUPTIONS for severity in one.severities]


@pytest.fixture(scope="module")
def faces() -> Faces:
    """Return six drawn faces."""
    return np.stack([np.asarray(draw_face("happy", seed).convert("L")) for seed in range(6)])


def detail(faces: Faces) -> float:
    """Return how much neighbouring pixels differ."""
    return float(np.abs(np.diff(faces.astype(float), axis=2)).mean())


@pytest.mark.parametrize(("name", "severity"), KINDS)
def test_damage_keeps_shape_and_type_and_the_originals(name: str, severity: float, faces: Faces) -> None:
    before = faces.copy()
    damaged = corrupt(faces, name, severity)
    assert damaged.shape == faces.shape
    assert damaged.dtype == np.uint8
    assert not np.array_equal(damaged, faces)
    np.testing.assert_array_equal(faces, before)


@pytest.mark.parametrize(("name", "severity"), KINDS)
def test_an_image_is_damaged_alike_alone_and_among_others(name: str, severity: float, faces: Faces) -> None:
    np.testing.assert_array_equal(corrupt(faces, name, severity)[:5], corrupt(faces[:5], name, severity))


@pytest.mark.parametrize("name", ["rectangle", "noise"])
def test_chance_is_drawn_for_each_place(name: str, faces: Faces) -> None:
    same = np.repeat(faces[:1], 2, axis=0)
    damaged = corrupt(same, name, 0.3 if name == "rectangle" else 32)
    assert not np.array_equal(damaged[0], damaged[1])


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.8])
def test_a_rectangle_hides_its_share_of_the_area(share: float) -> None:
    damaged = corrupt(np.full((40, 48, 48), 255, np.uint8), "rectangle", share)
    for face in damaged:
        hidden = face == 0
        assert hidden.mean() == pytest.approx(share, abs=0.015)
        rows, columns = hidden.any(axis=1).sum(), hidden.any(axis=0).sum()
        assert rows * columns == hidden.sum()


def test_a_growing_rectangle_stays_about_its_place() -> None:
    white = np.full((30, 48, 48), 255, np.uint8)
    small, large = corrupt(white, "rectangle", 0.1) == 0, corrupt(white, "rectangle", 0.6) == 0
    assert (small & large).sum() / small.sum() > 0.9


def test_rectangles_lie_all_over_the_face() -> None:
    hidden = corrupt(np.full((400, 48, 48), 255, np.uint8), "rectangle", 0.1) == 0
    assert hidden.any(axis=0).mean() > 0.95  # all but the outermost corners


def test_the_diagonals_are_those_of_the_views(faces: Faces) -> None:
    np.testing.assert_array_equal(corrupt(faces, "diagonal", 1), hide(faces, View.DIAGONAL))
    np.testing.assert_array_equal(corrupt(faces, "transdiagonal", 1), hide(faces, View.TRANSDIAGONAL))
    assert view_after("diagonal", View.UPPER) == View.FULL
    assert view_after("mask", View.UPPER) == View.UPPER


@pytest.mark.parametrize(("name", "covered", "free"), [("mask", 37, 16), ("sunglasses", 19, 37)])
def test_what_is_worn_covers_the_mouth_or_the_eyes_alone(name: str, covered: int, free: int, faces: Faces) -> None:
    damaged = corrupt(faces, name, 1)
    middle = slice(14, 34) if name == "mask" else slice(8, 20)
    assert np.ptp(damaged[:, covered, middle], axis=0).max() <= 1  # the same whatever the face
    np.testing.assert_array_equal(damaged[:, free], faces[:, free])


@pytest.mark.parametrize("name", ["mask", "sunglasses"])
def test_what_is_worn_is_symmetric_and_has_soft_edges(name: str) -> None:
    worn = corrupt(np.full((1, 48, 48), 90, np.uint8), name, 1)[0].astype(int)
    assert np.abs(worn - worn[:, ::-1]).max() <= 16  # an eighth of a pixel
    assert len(np.unique(worn)) > 10


def test_noise_has_its_deviation_and_no_direction() -> None:
    gray = np.full((20, 48, 48), 128, np.uint8)
    noise = corrupt(gray, "noise", 16).astype(float) - 128
    assert noise.std() == pytest.approx(16, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.3)


def test_blur_and_resolution_take_detail_the_more_the_severer(faces: Faces) -> None:
    for name in ("blur", "resolution"):
        severities = next(one.severities for one in CORRUPTIONS if one.name == name)
        details = [detail(faces), *(detail(corrupt(faces, name, severity)) for severity in severities)]
        assert details == sorted(details, reverse=True)


def test_no_faces_are_damaged_to_no_faces() -> None:
    assert corrupt(np.empty((0, 48, 48), np.uint8), "noise", 8).shape == (0, 48, 48)
