"""The wire between gateway and page for test images that a model of the study misread."""

from typing import Literal

from pydantic import Field

from shared.schemas.wire import Answer, Slot, Wire
from shared.study import Label

StudyView = Literal["full", "upper", "lower", "left", "right"]


class MistakesQuery(Wire):
    """Which misread images to list: of one model on one view, perhaps of one label or answer."""

    model: Slot = Field("full", description="The slot of the model.")
    view: StudyView = Field("full", description="What was hidden of the images.")
    label: Label | None = Field(None, description="Only images of this label.")
    answer: Label | None = Field(None, description="Only images read as this.")
    page: int = Field(1, ge=1, le=10_000, description="Which part of the list, from 1 on.")
    size: int = Field(24, ge=1, le=200, description="Images in a part.")


class Mistake(Answer):
    """One misread image."""

    image: str = Field(description="Its id: `/v1/study/images/<id>` shows it.", examples=["0f3c5a7e9b1d2c4e"])
    name: str = Field(description="Its name in the data set.", examples=["test/sad/PrivateTest_1.jpg"])
    label: Label
    answer: Label
    confidence: float = Field(ge=0, le=1, description="The probability of its answer.")


class MistakeList(Answer):
    """Misread images, those that the model was most sure of first."""

    images: int = Field(description="Test images that fit label (and view), read rightly or not.")
    total: int = Field(description="How many of them were misread and fit the answer.")
    page: int
    pages: int = Field(description="How many parts the list has; 0 of an empty one.")
    mistakes: list[Mistake]
