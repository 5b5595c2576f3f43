"""`POST /v1/predictions`: images in, faces and emotions out."""

from typing import Any, Final

from apiflask import APIBlueprint
from flask import request

from services.gateway.openapi import INFERENCE_ERRORS, JSON, inline_schema, request_body
from services.gateway.parts import parts
from shared.schemas import SLOTS, Detect, PredictAnswer, PredictRequest
from shared.web import parse

FORM: Final = "multipart/form-data"

blueprint = APIBlueprint("predictions", __name__)


def _form_schema() -> dict[str, Any]:
    """Return the form's schema: the JSON request's, with files for images."""
    fields = inline_schema(PredictRequest)["properties"]
    images = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    models = {"type": "array", "items": {"type": "string", "enum": list(SLOTS)}}
    plain = {name: fields[name] for name in ("mask", "detect", "crops")}
    return {
        "type": "object",
        "required": ["images"],
        "properties": {
            "images": {**images, "description": "JPEG, PNG, WebP or BMP files."},
            "models": {**models, "description": fields["models"]["description"]},
            **plain,
        },
    }


BODY: Final = request_body(
    {
        FORM: {"schema": _form_schema(), "encoding": {"models": {"style": "form", "explode": True}}},
        JSON: {
            "schema": inline_schema(PredictRequest),
            "example": {
                "images": ["data:image/png;base64,…"],
                "models": ["full", "upper"],
                "detect": Detect.AUTO.value,
            },
        },
    }
)


@blueprint.post("/v1/predictions")
@blueprint.output(PredictAnswer)
@blueprint.doc(tags=["predictions"], responses=INFERENCE_ERRORS, extensions=BODY)
def predict() -> PredictAnswer:
    """Read the emotions on faces

    Send images as files of a form, or as data URLs in JSON. The answer has, for each image, the faces that were found
    and what each model reads on them.
    """
    if request.mimetype == FORM:
        # Read whole before it is passed on, so that a slow sender occupies no thread of inference.
        return parts().inference.predict_body(request.get_data(cache=False), request.content_type or FORM)
    return parts().inference.predict(parse(PredictRequest, request.get_json()))
