"""`/v1/predict`: images in, faces and probabilities out."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from shared.labels import LABELS
from shared.schemas.wire import Answer, Slot, Wire


class Detect(StrEnum):
    """Where the faces are."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class PredictRequest(Wire):
    """`POST /v1/predict` (inference) and `POST /v1/predictions` (gateway), as JSON."""

    images: list[str] = Field(min_length=1, description="Each a data URL or base64: JPEG, PNG, WebP or BMP.")
    models: list[Slot] | None = Field(None, min_length=1, description="Which models to ask; all active ones if absent.")
    mask: bool = Field(
        True,
        description="Hide from each model the half that it was trained without; nothing from `full` and `any`.",
    )
    detect: Detect = Field(
        Detect.AUTO,
        description="`auto`: find faces; an image of at most 128 pixels each way in which none is found is read as a "
        "face. `always`: find faces, and read none where none is found. `never`: the whole image is the face.",
    )
    crops: bool = Field(False, description="Also return each face as the network reads it, before hiding.")
    explain: bool = Field(
        False,
        description="Also return what each quarter of a face adds to each emotion; null where no model serves `any`.",
    )


class Box(Answer):
    """A face's place, in pixels of the upright image (EXIF orientation applied)."""

    x: int
    y: int
    width: int
    height: int


class Prediction(Answer):
    """What one model reads on one face."""

    model: Slot = Field(description="The slot that was asked.")
    version: str = Field(description="The model that answered.", examples=["full/1"])
    hidden: str = Field(description="The view: what was hidden from the model.", examples=["upper"])
    label: str = Field(description="The most probable emotion.", examples=["happy"])
    confidence: float = Field(description="Its probability, 0 to 1.")
    probabilities: dict[str, float] = Field(description=f"Probability of each of {', '.join(LABELS)}; sums to 1.")


class Quarters(Answer):
    """A figure of each quarter of a face, as seen in the picture."""

    top_right: float
    top_left: float
    bottom_left: float
    bottom_right: float


class Worth(Answer):
    """What each quarter of a face adds to each emotion's probability: exact Shapley values, of 15 masked faces."""

    version: str = Field(description="The model in the slot `any`, which read them.", examples=["any/1"])
    prior: dict[str, float] = Field(
        description="Probability of each emotion where nothing is seen: its share in the model's training images."
    )
    quarters: dict[str, Quarters] = Field(
        description="Emotion to what the quarters add to its probability, -1 to 1. With the prior they make `whole`."
    )
    whole: dict[str, float] = Field(description="Probability of each emotion where all of the face is seen.")


class Face(Answer):
    """One face of an image."""

    box: Box
    source: Literal["detected", "whole_image"]
    score: float | None = Field(None, description="The detector's confidence, 0 to 1; none for a whole image.")
    crop: str | None = Field(None, description="Data URL of a grayscale PNG at the network's size, if asked for.")
    predictions: list[Prediction]
    worth: Worth | None = Field(
        None, description="What each quarter is worth, if asked for; of an image's eight largest faces, and in time."
    )


class ImageAnswer(Answer):
    """One image's faces, largest first."""

    width: int = Field(description="Pixels, after EXIF orientation.")
    height: int
    faces: list[Face]
    note: str | None = Field(None, description="A sentence for a person, such as that no face was found.")


class Timings(Answer):
    """Milliseconds spent."""

    decode_ms: float
    detect_ms: float
    network_ms: float
    total_ms: float


class PredictAnswer(Answer):
    """The answer to a PredictRequest; images in the order of the request."""

    images: list[ImageAnswer]
    timings: Timings
    request_id: str
