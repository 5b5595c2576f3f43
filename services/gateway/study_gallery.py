"""The study's test images, from the user's own copy of the data set, which is never part of the release.

A data set in the data folder is the study's if its test images are: the same pixels under the same labels, in whatever
form. They are held in memory once they are asked for, 17 MB for FER2013.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.gateway.dataset_catalogue import DatasetCatalogue
from services.gateway.remembered import Remembered
from shared.dataset_images import FaceImage, fingerprint, read_images
from shared.errors import DatasetError, UnreadableDatasetError
from shared.labels import LABEL_INDEX
from shared.study_answers import StudyAnswers, image_order

ID_DIGITS: Final = 16


@dataclass(frozen=True)
class Gallery:
    """The test images in the order of the study's answers."""

    names: Sequence[str]
    ids: Sequence[str]
    """The first digits of each image's pixel digest; equal images share theirs."""
    faces: Mapping[str, npt.NDArray[np.uint8]]
    """Id to uint8 (H, W)."""

    def png(self, image_id: str) -> bytes | None:
        """Return an image as PNG; None if there is none of this id."""
        face = self.faces.get(image_id)
        if face is None:
            return None
        content = io.BytesIO()
        Image.fromarray(face).save(content, "PNG")
        return content.getvalue()


class Galleries:
    """Finds the study's test images in the data folder; safe to use from many threads."""

    def __init__(self, datasets: DatasetCatalogue) -> None:
        self._datasets = datasets
        self._read: Remembered[Gallery | None] = Remembered()

    def of(self, answers: StudyAnswers) -> Gallery | None:
        """Return the images that the answers were given to; None if no data set has them."""
        for path, files in self._datasets.with_test_images(len(answers.labels)):
            asked = (files, answers.test_fingerprint)
            try:
                gallery = self._read.get(path.name, asked, partial(_read, path, answers.test_fingerprint))
            except (UnreadableDatasetError, OSError):  # not remembered: it may pass without a change of the files
                continue
            if gallery:
                return gallery
        return None


def _read(path: Path, test_fingerprint: str) -> Gallery | None:
    """Return the test images of a data set if they have this fingerprint; a damaged one has not.

    Raises:
        UnreadableDatasetError, OSError: it cannot be read now.
    """
    try:
        images = list(read_images(path, "test"))
    except UnreadableDatasetError:
        raise
    except DatasetError:
        return None
    return _gallery(images) if fingerprint(images) == test_fingerprint else None


def _gallery(images: Sequence[FaceImage]) -> Gallery:
    order = image_order([image.digest for image in images], [LABEL_INDEX[image.label] for image in images])
    rows = [images[place] for place in order]
    return Gallery(
        names=[image.name for image in rows],
        ids=[image.digest[:ID_DIGITS] for image in rows],
        faces={image.digest[:ID_DIGITS]: image.face for image in rows},
    )
