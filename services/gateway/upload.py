"""`POST /upload`: the interface of the original system, kept as it was.

Errors carry the original's `msg` beside the one error shape of everything else.
"""

from typing import Any, Final, cast

from apiflask import APIBlueprint
from flask import request
from pydantic import BaseModel, Field

from services.gateway.openapi import INFERENCE_ERRORS
from services.gateway.parts import parts
from shared.openapi import JSON, inline_schema, request_body
from shared.schemas.original import ClassData, ClassReading
from shared.schemas.wire import SLOTS, Answer, Slot
from shared.web import ApiError, add_msg

blueprint = APIBlueprint("upload", __name__)


class UploadRequest(BaseModel):
    """An image and the model to ask."""

    image: str = Field(description="A data URL: JPEG, PNG, WebP or BMP.", examples=["data:image/png;base64,…"])
    model: Slot = Field(description="The model to ask.", examples=["full"])


class UploadData(ClassReading):
    """What the model reads."""

    result: str = Field(description="The class's index, as text.", examples=["3"])


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
    return UploadAnswer(msg="Success", data=_data(parts().inference.classify(image, cast(Slot, model))))


blueprint.after_request(add_msg)


def _data(read: ClassData) -> UploadData:
    return UploadData(result=str(read.prediction), **read.model_dump(exclude={"prediction"}))


def _text(body: Any, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise _bad(name, f"The field {name} is missing or empty; send image and model as JSON texts.")
    return value.strip()


def _bad(field: str, message: str) -> ApiError:
    return ApiError(status=400, code="invalid", message=message, field=field)
