"""`POST /inference`: the interface of the original system, kept as it was.

Errors carry the original's `msg` beside the one error shape of everything else.
"""

from functools import partial
from typing import Any, Final, Literal

from apiflask import APIBlueprint
from flask import Response, json, request
from pydantic import BaseModel, Field

from services.inference import prediction
from services.inference.decoding import decode_text
from services.inference.parts import parts
from services.inference.refusals import REFUSALS
from shared.labels import LABEL_INDEX
from shared.openapi import JSON, inline_schema, request_body
from shared.schemas.wire import SLOTS, Answer, Slot
from shared.web import ApiError

blueprint = APIBlueprint("original", __name__)


class ClassRequest(BaseModel):
    """An image and the model to ask."""

    image: str = Field(
        description="A data URL or base64: JPEG, PNG, WebP or BMP.", examples=["data:image/png;base64,…"]
    )
    model_name: Slot = Field(description="The model to ask, in any case.", examples=["full"])


class ClassData(Answer):
    """What the model reads on the largest face."""

    prediction: int = Field(description="The class's index, 0 to 6.", examples=[3])
    label: str = Field(description="The class's name.", examples=["happy"])
    confidence: float = Field(description="Its probability, 0 to 1.")
    probabilities: dict[str, float] = Field(description="Probability of each emotion.")
    version: str = Field(description="The model that answered.", examples=["full/1"])
    source: Literal["detected", "whole_image"] = Field(description="A face that was found, or all of it.")


class ClassAnswer(Answer):
    """The original system's answer."""

    msg: str = Field(examples=["Success"])
    data: ClassData


BODY: Final = request_body({JSON: {"schema": inline_schema(ClassRequest)}})


@blueprint.post("/inference")
@blueprint.output(ClassAnswer)
@blueprint.doc(tags=["original"], responses=REFUSALS, extensions=BODY)
def inference() -> ClassAnswer:
    """Read one image with one model

    The largest face is read, or the whole image where there is none. Errors have the key `msg` as well. New programs
    use /v1/predict.
    """
    body = request.get_json(force=True)
    image, name = _text(body, "image", "image_missing"), _text(body, "model_name", "invalid").lower()
    if name not in SLOTS:
        message = f"There is no model '{name[:40]}'; choose one of {', '.join(SLOTS)}."
        raise ApiError(status=400, code="invalid", message=message, field="model_name")
    asked = prediction.Asked(networks=parts().models.served().choose([name]), whole_if_none=True)
    decode = partial(decode_text, image, parts().limits, "image")
    answers, _ = prediction.predict([decode], asked, parts().detector, max_faces=1)
    face = answers[0].faces[0]
    (read,) = face.predictions
    fields = read.model_dump(include={"label", "confidence", "probabilities", "version"})
    data = ClassData(prediction=LABEL_INDEX[read.label], source=face.source, **fields)
    return ClassAnswer(msg="Success", data=data)


@blueprint.after_request
def add_msg(response: Response) -> Response:
    """Put the original's `msg` beside the error."""
    if response.status_code >= 400 and response.is_json:
        answer = response.get_json()
        response.set_data(json.dumps({"msg": answer["error"]["message"], **answer}))
    return response


def _text(body: Any, name: str, code: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value.strip():
        message = f"The field {name} is missing or empty; send image and model_name as JSON texts."
        raise ApiError(status=400, code=code, message=message, field=name)
    return value.strip()
