"""Nearly the same picture is found whatever was done to it, and another face is not taken for it."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from trainer.duplicates import similarity

THRESHOLD = 0.96

Face = npt.NDArray[np.uint8]


def face(seed: int) -> Face:
    """Return a 48 x 48 picture of coarse random blocks, which like a photograph has most of its power in them."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((48, 48), Image.Resampling.BICUBIC))


def recompressed(pixels: Face) -> Face:
    """Return it after a coarse JPEG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=30)
    return np.asarray(Image.open(file))


def test_the_same_picture_is_as_similar_as_can_be() -> None:
    assert similarity([face(1)], [face(2), face(1)]) == pytest.approx([1.0], abs=1e-5)


def test_its_mirror_is_the_same_picture() -> None:
    assert similarity([face(1)[:, ::-1]], [face(1)]) == pytest.approx([1.0], abs=0.01)


def test_recompressed_brighter_or_smaller_it_is_nearly_the_same() -> None:
    smaller = np.asarray(Image.fromarray(face(1)).resize((36, 36), Image.Resampling.BILINEAR))
    brighter = (face(1) * 0.5 + 100).astype(np.uint8)
    assert (similarity([recompressed(face(1)), smaller, brighter], [face(1)]) >= THRESHOLD).all()


def test_another_face_is_below_the_threshold() -> None:
    assert (similarity([face(seed) for seed in range(20)], [face(seed) for seed in range(20, 40)]) < THRESHOLD).all()


def test_a_face_of_one_gray_is_like_none_not_even_itself() -> None:
    flat = np.full((48, 48), 90, np.uint8)
    assert similarity([flat], [flat, face(1)]).tolist() == [0.0]


def test_with_nothing_to_compare_with_nothing_is_similar() -> None:
    assert similarity([face(1)], []).tolist() == [-1.0]
    assert similarity([], [face(1)]).shape == (0,)
