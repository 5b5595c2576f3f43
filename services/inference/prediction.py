"""From images to what each model reads on each face. Plain functions: no Flask, no settings.

The gray face goes through `shared.preprocessing.prepare` and its logits through `shared.probabilities`, as in training
and evaluation.
"""

import base64
import io
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.inference.cropping import box_inside, crop_square
from services.inference.decoding import Picture
from services.inference.detector import FaceDetector
from services.inference.network import Network
from shared.labels import LABELS
from shared.masking import View
from shared.model_folder import Card
from shared.preprocessing import prepare, resize
from shared.probabilities import softmax
from shared.schemas.predictions import Box, Detect, Face, ImageAnswer, Prediction, Quarters, Timings, Worth
from shared.schemas.wire import Slot
from shared.shapley import explain_face
from shared.web import ApiError

BATCH: Final = 32
WHOLE_IMAGE_SIDE_PX: Final = 128
"""An image up to this side in which no face is found is taken as the face itself, as FER2013's 48 x 48 images are."""

MOST_EXPLAINED: Final = 8
"""Of an image, so many of the largest faces are explained, if asked for: that takes fifteen passes each."""

QUARTERS: Final = ("top_right", "top_left", "bottom_left", "bottom_right")
"""The quadrants 1 to 4 by name."""

NO_FACE: Final = (
    "No face was found; come closer, turn towards the camera or use more light, or choose that the whole image is "
    "the face (detect: never)."
)
NO_FACE_BUT_READ: Final = "No face was found; the whole picture was read as one."

Gray = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FoundFace:
    """A face, cut out."""

    box: Box
    score: float | None
    """The detector's confidence; None for a whole image."""
    sizes: Mapping[int, Gray]
    """Side in pixels to the face, uint8 (side, side): one for each input size that is asked for."""


@dataclass(frozen=True)
class ReadImage:
    """An image after its faces were looked for; the pixels are let go, only the cut faces are kept."""

    width: int
    height: int
    faces: list[FoundFace]
    note: str | None


@dataclass
class Stopwatch:
    """Milliseconds by the name of what took them."""

    spent_ms: dict[str, float] = field(default_factory=dict)
    started_s: float = field(default_factory=time.perf_counter)

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Add the block's time to `name`."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self.spent_ms[name] = self.spent_ms.get(name, 0.0) + (time.perf_counter() - start_s) * 1000

    def timings(self) -> Timings:
        """Return what was spent so far."""
        names = ("decode_ms", "detect_ms", "network_ms")
        total_ms = (time.perf_counter() - self.started_s) * 1000
        spent = {name: round(self.spent_ms.get(name, 0.0), 2) for name in names}
        return Timings(**spent, total_ms=round(total_ms, 2))


@dataclass(frozen=True)
class Asked:
    """What is to be done with each image."""

    networks: Mapping[str, Network]
    """Slot to network."""
    mask: bool = True
    detect: Detect = Detect.AUTO
    crops: bool = False
    explain_by: Network | None = None
    """Tell what each quarter of a face is worth to this network, which has to know any quarters hidden."""
    whole_if_none: bool = False
    """Take an image without a face as the face, however large it is: the original system knew no other way."""

    @property
    def sizes(self) -> list[int]:
        """The input sizes of the networks, in pixels, each once."""
        asked = [*self.networks.values(), *([self.explain_by] if self.explain_by else [])]
        return list(dict.fromkeys(network.card.input.size for network in asked))


def predict(
    images: Iterable[Callable[[], Picture]],
    asked: Asked,
    detector: FaceDetector,
    max_faces: int,
    seconds_left: float = math.inf,
) -> tuple[list[ImageAnswer], Timings]:
    """Return what the networks read on the faces of each image, and the time that it took.

    Args:
        images: decodes an image when called, so that only one is in memory at a time.
        asked: networks and options.
        detector: finds the faces.
        max_faces: of each image, at most so many are read, the largest.
        seconds_left: after this time nobody waits for the answer any more.

    Raises:
        ApiError: an image is refused, see `decoding`; 503 `took_too_long`.
    """
    watch = Stopwatch()
    until_s = watch.started_s + seconds_left
    look_at_the_clock = partial(_require_time, until_s)
    read: list[ReadImage] = []
    for decode in images:
        look_at_the_clock()
        with watch.time("decode_ms"):
            picture = decode()
        with watch.time("detect_ms"):
            read.append(find_faces(picture, asked, detector, max_faces))
    faces = [face for image in read for face in image.faces]
    with watch.time("network_ms"):
        predictions = iter(read_faces(faces, asked.networks, mask=asked.mask, before_batch=look_at_the_clock))
        worths = iter(list(_worths(read, asked.explain_by, until_s)))
    answers = [
        ImageAnswer(
            width=image.width,
            height=image.height,
            faces=[_face(face, next(predictions), next(worths), crops=asked.crops) for face in image.faces],
            note=image.note,
        )
        for image in read
    ]
    return answers, watch.timings()


def _require_time(until_s: float) -> None:
    if time.perf_counter() > until_s:
        message = (
            "The request could not be worked through in time; send fewer pictures or faces at a time, or ask fewer "
            "models. If it was a small one, the service is busy: try again in a few seconds."
        )
        raise ApiError(status=503, code="took_too_long", message=message, headers={"Retry-After": "5"})


def find_faces(picture: Picture, asked: Asked, detector: FaceDetector, max_faces: int) -> ReadImage:
    """Return the faces of a picture, the largest first, and a note where one is due."""

    def done(faces: list[FoundFace], note: str | None = None) -> ReadImage:
        return ReadImage(picture.width, picture.height, faces, note)

    if asked.detect is Detect.NEVER:
        return done([_whole(picture, asked.sizes)])
    found = detector.detect(picture.rgb)
    if not found:
        small = max(picture.width, picture.height) <= WHOLE_IMAGE_SIDE_PX
        if asked.detect is Detect.AUTO and (small or asked.whole_if_none):
            return done([_whole(picture, asked.sizes)], NO_FACE_BUT_READ)
        return done([], NO_FACE)
    note = None
    if len(found) > max_faces:
        note = f"{len(found)} faces were found and the {max_faces} largest read; send a part of the picture for others."
    faces = []
    for each in found[:max_faces]:
        crop = crop_square(picture.gray, each.box, each.tilt)
        box = box_inside(each.box, picture.width, picture.height)
        faces.append(FoundFace(box, each.score, {size: resize(crop, size) for size in asked.sizes}))
    return done(faces, note)


def _whole(picture: Picture, sizes: Sequence[int]) -> FoundFace:
    box = Box(x=0, y=0, width=picture.width, height=picture.height)
    return FoundFace(box, None, {size: resize(picture.gray, size) for size in sizes})


def hidden_view(slot: str, *, mask: bool) -> View:
    """Return what is hidden from the model of a slot: the half that it was trained without."""
    return View(slot) if mask and slot != "any" else View.FULL


def read_faces(
    faces: Sequence[FoundFace],
    networks: Mapping[str, Network],
    *,
    mask: bool = True,
    before_batch: Callable[[], None] = lambda: None,
) -> list[list[Prediction]]:
    """Return, for each face, what the network of each slot reads on it; `before_batch` may raise to stop."""
    read: list[list[Prediction]] = [[] for _ in faces]
    for slot, network in networks.items():
        view = hidden_view(slot, mask=mask)
        for start in range(0, len(faces), BATCH):
            before_batch()
            grays = [face.sizes[network.card.input.size] for face in faces[start : start + BATCH]]
            rows = probabilities(network, grays, view)
            for place, row in enumerate(rows.tolist(), start):
                read[place].append(_prediction(slot, network.card.id, view, row))
    return read


def probabilities(network: Network, grays: Sequence[Gray], view: View) -> npt.NDArray[np.float64]:
    """Return float64 (N, 7) of N gray faces of which `view` is hidden; each row sums to 1.

    The logits are divided by the temperature in the network's card first.

    Raises:
        ApiError: 503 `model_broken`: the network gave no finite numbers.
    """
    return softmax(_logits(network, prepare(grays, view, network.card.input)), network.card.temperature)


def _logits(network: Network, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return float32 (N, 7) of a prepared batch. Raises ApiError: 503 `model_broken`."""
    logits = network.logits(batch)
    if not np.isfinite(logits).all():
        message = f"The model {network.card.id} gave no result for a face; choose another model."
        raise ApiError(status=503, code="model_broken", message=message)
    return logits


def worth(network: Network, gray: Gray) -> Worth:
    """Return what each quarter of a gray face, uint8 (S, S), is worth to a network, in 15 passes of it.

    Raises:
        ApiError: 503 `model_broken`.
    """
    card = network.card
    values, outputs = explain_face(partial(_logits, network), gray, card.input, prior_of(card), card.temperature)
    quarters = [Quarters(**dict(zip(QUARTERS, column, strict=True))) for column in values.T.tolist()]
    return Worth(
        version=card.id,
        prior=dict(zip(LABELS, outputs[0].tolist(), strict=True)),
        quarters=dict(zip(LABELS, quarters, strict=True)),
        whole=dict(zip(LABELS, outputs[-1].tolist(), strict=True)),
    )


def prior_of(card: Card) -> list[float]:
    """Return each emotion's share in the images that a version was trained on; equal ones if its card has no counts."""
    counts = card.data.get("counts", {}).get("train", {})
    told = [float(counts.get(label, 0)) for label in LABELS]
    return [one / sum(told) for one in told] if all(told) else [1 / len(LABELS)] * len(LABELS)


def _worths(images: Sequence[ReadImage], network: Network | None, until_s: float) -> Iterator[Worth | None]:
    """Yield what the quarters of each face are worth; nothing of those that are too many, or come too late."""
    for image in images:
        for place, face in enumerate(image.faces):
            if network is None or place >= MOST_EXPLAINED or time.perf_counter() > until_s:
                yield None
            else:
                yield worth(network, face.sizes[network.card.input.size])


def _prediction(slot: str, version: str, view: View, row: Sequence[float]) -> Prediction:
    best = max(range(len(LABELS)), key=row.__getitem__)
    return Prediction(
        model=cast(Slot, slot),
        version=version,
        hidden=view.value,
        label=LABELS[best],
        confidence=row[best],
        probabilities=dict(zip(LABELS, row, strict=True)),
    )


def _face(face: FoundFace, predictions: list[Prediction], worth: Worth | None, *, crops: bool) -> Face:
    return Face(
        box=face.box,
        source="whole_image" if face.score is None else "detected",
        score=face.score,
        crop=_png_url(next(iter(face.sizes.values()))) if crops else None,
        predictions=predictions,
        worth=worth,
    )


def _png_url(gray: Gray) -> str:
    file = io.BytesIO()
    Image.fromarray(gray).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
