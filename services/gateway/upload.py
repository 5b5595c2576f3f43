"""`POST /upload`: the interface of the original system, kept as it was.

Errors carry the original's `msg` beside the one error shape of everything else.
"""

from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response, json, request
from pydantic import BaseModel, Field

from services.gateway.inference_client import ClassData
from services.gateway.openapi import INFERENCE_ERRORS
from services.gateway.parts import parts
from shared.openapi import JSON, inline_schema, request_body
from shared.schemas.wire import SLOTS, Answer, Slot
from shared.web import ApiError

blueprint = APIBlueprint("upload", __name__)


class UploadRequest(BaseModel):
    """An image and the model to ask."""

    image: str = Field(description="A data URL: JPEG, PNG, WebP or BMP.", examples=["data:image/png;base64,…"])
    model: Slot = Field(description="The model to ask.", examples=["full"])


class UploadData(Answer):
    """What the model reads."""

    result: str = Field(description="The class's index, as text.", examples=["3"])
    label: str | None = Field(None, description="The class's name.", examples=["happy"])
    confidence: float | None = Field(None, description="Its probability, 0 to 1.")
    probabilities: dict[str, float] | None = Field(None, description="Probability of each emotion.")
    version: str | None = Field(None, description="The model that answered.")
    source: str | None = Field(None, description="What was read: a face that was `detected`, or the `whole_image`.")


class UploadAnswer(Answer):
    """The original system's answer."""

    msg: str = Field(examples=["Success"])
    data: UploadData


DOC: Final[dict[str, Any]] = {
    "tags": ["original"],
    "responses": {**INFERENCE_ERRORS, 400: "A field is missing or empty, or the body is not valid JSON."},
    "extensions": request_body({JSON: {"schema": inline_schema(UploadRequest)}}),
}


@blueprint.post("/upload")
@blueprint.output(UploadAnswer)
@blueprint.doc(**DOC)
def upload() -> UploadAnswer:
    """Read one image with one model

    Errors have the key `msg` as well. New programs use /v1/predictions.
    """
    body = request.get_json(force=True)
    image, model = _text(body, "image"), _text(body, "model").lower()
    if model not in SLOTS:
        raise _bad("model", f"There is no model '{model[:40]}'; choose one of {', '.join(SLOTS)}.")
    return UploadAnswer(msg="Success", data=_data(parts().inference.classify(image, model)))


@blueprint.after_request
def add_msg(response: Response) -> Response:
    """Put the original's `msg` beside the error."""
    if response.status_code >= 400 and response.is_json:
        answer = response.get_json()
        response.set_data(json.dumps({"msg": answer["error"]["message"], **answer}))
    return response


def _data(read: ClassData) -> UploadData:
    return UploadData(result=str(read.prediction), **read.model_dump(exclude={"prediction"}))


def _text(body: Any, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise _bad(name, f"The field {name} is missing or empty; send image and model as JSON texts.")
    return value.strip()


def _bad(field: str, message: str) -> ApiError:
    return ApiError(status=400, code="invalid", message=message, field=field)
