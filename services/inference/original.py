"""`POST /inference`: the interface of the original system, kept as it was.

Errors carry the original's `msg` beside the one error shape of everything else.
"""

from functools import partial
from typing import Any, Final

from apiflask import APIBlueprint
from flask import request

from services.inference import prediction
from services.inference.decoding import decode_text
from services.inference.parts import parts
from services.inference.refusals import REFUSALS
from shared.labels import LABEL_INDEX
from shared.openapi import JSON, inline_schema, request_body
from shared.schemas.original import ClassAnswer, ClassData, ClassRequest
from shared.schemas.wire import SLOTS
from shared.web import ApiError, add_msg, seconds_left

blueprint = APIBlueprint("original", __name__)


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
    answers, _ = prediction.predict([decode], asked, parts().detector, 1, seconds_left())
    face = answers[0].faces[0]
    (read,) = face.predictions
    fields = read.model_dump(include={"label", "confidence", "probabilities", "version"})
    data = ClassData(prediction=LABEL_INDEX[read.label], source=face.source, **fields)
    return ClassAnswer(msg="Success", data=data)


blueprint.after_request(add_msg)


def _text(body: Any, name: str, code: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    if not isinstance(value, str) or not value.strip():
        message = f"The field {name} is missing or empty; send image and model_name as JSON texts."
        raise ApiError(status=400, code=code, message=message, field=name)
    return value.strip()
