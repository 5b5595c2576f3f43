"""Which test images stand in the training split: equal pixel for pixel, or nearly so (see `trainer.duplicates`)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from shared.dataset_images import FaceImage
from shared.study import Leaks


def find_leaks(
    test: Sequence[str], training: Sequence[str], nearest: npt.NDArray[np.float32], threshold: float
) -> tuple[npt.NDArray[np.bool_], Leaks]:
    """Return which test images are clean, bool (N,), and how many are not.

    Args:
        test: the digests of N images.
        training: those of the whole training split, of those images too that are left out of training.
        nearest: float32 (N,), how similar the most similar training image is (see `trainer.duplicates.similarity`).
        threshold: from this similarity on two images count as nearly the same; the one that training used.
    """
    known = set(training)
    equal = np.array([digest in known for digest in test], np.bool_)
    near = ~equal & (nearest >= threshold)
    clean = np.asarray(~(equal | near), np.bool_)
    return clean, Leaks(equal=int(equal.sum()), near=int(near.sum()), similarity=threshold)


def with_copies(leaks: Leaks, images: Sequence[FaceImage], left_out: Mapping[str, int]) -> Leaks:
    """Return `leaks` with the copies within each split, the images under several labels, and what was left out.

    Args:
        leaks: as `find_leaks` gives them.
        images: the whole data set.
        left_out: why to how many images of the training split are not trained on.
    """
    labels: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        labels[image.digest].add(image.label)
    repeats = {}
    for split in ("train", "test"):
        digests = [image.digest for image in images if image.split == split]
        repeats[f"{split}_repeats"] = len(digests) - len(set(digests))
    conflicting = sum(len(names) > 1 for names in labels.values())
    return leaks.model_copy(update={**repeats, "conflicting": conflicting, "left_out": dict(left_out)})
