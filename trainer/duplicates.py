"""Finds faces that are nearly the same picture: another crop, compression, watermark or size of it, or its mirror.

A face's thumbnail, 12 x 12 gray values less their mean, is a perceptual fingerprint; two faces are as similar as their
thumbnails correlate. On FER2013, looked at by eye, nearly all pairs above 0.96 are one photograph, and about half of
those at 0.93 to 0.95 (docs/experiments.md, 3).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.preprocessing import resize

SIDE: Final = 12
MOST_AT_ONCE: Final = 1 << 28
"""Correlations that are in memory at a time, a gigabyte of them."""

Faces = Sequence[npt.NDArray[np.uint8]]
Floats = npt.NDArray[np.float32]


def similarity(faces: Faces, others: Faces) -> Floats:
    """Return how similar each face is to that of `others` which is most like it, mirrored or not.

    Args:
        faces: N grayscale faces, each uint8 (H, W) of any size.
        others: M such faces; with none of them every similarity is -1.

    Returns:
        float32 (N,), -1 to 1: the highest Pearson correlation of the thumbnails. A face of one gray alone is like none.
    """
    return closest(thumbnails(faces), thumbnails(others))


def closest(own: Floats, others: Floats) -> Floats:
    """Return the same for thumbnails, (N, 12, 12) and (M, 12, 12), as `thumbnails` gives them."""
    best: Floats = np.full(len(own), -1.0, np.float32)
    if len(own) == 0 or len(others) == 0:
        return best
    both = np.concatenate([others, others[:, :, ::-1]]).reshape(-1, SIDE * SIDE)
    at_once = max(1, MOST_AT_ONCE // len(both))
    for start in range(0, len(own), at_once):
        rows = slice(start, start + at_once)
        best[rows] = (own[rows].reshape(-1, SIDE * SIDE) @ both.T).max(axis=1)
    return best.clip(-1, 1)


def thumbnails(faces: Faces) -> Floats:
    """Return float32 (N, 12, 12) with mean 0 and norm 1 each; all 0 where a face has one gray alone."""
    small = np.array([resize(face, SIDE) for face in faces], np.float32).reshape(-1, SIDE, SIDE)
    small -= small.mean(axis=(1, 2), keepdims=True)
    norm = np.linalg.norm(small, axis=(1, 2), keepdims=True)
    np.divide(small, norm, out=small, where=norm > 0)  # where the norm is 0, so is the thumbnail
    return small
