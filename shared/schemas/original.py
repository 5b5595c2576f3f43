"""`POST /inference`: the interface of the original system's inference, which its gateway's `/upload` asks."""

from typing import Literal

from pydantic import BaseModel, Field

from shared.schemas.wire import Answer, Slot


class ClassRequest(BaseModel):
    """An image and the model to ask."""

    image: str = Field(
        description="A data URL or base64: JPEG, PNG, WebP or BMP.", examples=["data:image/png;base64,…"]
    )
    model_name: Slot = Field(description="The model to ask, in any case.", examples=["full"])


class ClassReading(Answer):
    """What the model reads on the largest face, beside the class's index."""

    label: str = Field(description="The class's name.", examples=["happy"])
    confidence: float = Field(description="Its probability, 0 to 1.")
    probabilities: dict[str, float] = Field(description="Probability of each emotion.")
    version: str = Field(description="The model that answered.", examples=["full/1"])
    source: Literal["detected", "whole_image"] = Field(description="A face that was found, or all of the image.")


class ClassData(ClassReading):
    """What the model reads."""

    prediction: int = Field(ge=0, le=6, description="The class's index, 0 to 6.", examples=[3])


class ClassAnswer(Answer):
    """The original system's answer."""

    msg: str = Field(examples=["Success"])
    data: ClassData
