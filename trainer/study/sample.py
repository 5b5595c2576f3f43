"""A random sample of the test images for what would take hours on all of them."""

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

ROBUSTNESS_IMAGES: Final = 1000
"""Test images that are damaged in every way: an accuracy's interval is then about 3 points to each side. All of them
would take more than three times as long as all the rest of the study."""


def sample_of(digests: Sequence[str], count: int) -> npt.NDArray[np.int64]:
    """Return the places of `count` images (of all, if there are fewer), int64.

    Drawn by a hash of (0, pixels), without regard to the labels: the same images, in the same order, whatever
    form the data set has.

    Args:
        digests: of each image, see `shared.dataset_images.pixel_digest`.
        count: images to draw.
    """
    keys = [hashlib.sha256(f"0 {digest}".encode()).digest() for digest in digests]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__)[:count], np.int64)
