"""`POST /v1/predict`: images in, faces and emotions out, as a form or as JSON."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from apiflask import APIBlueprint
from flask import request

from services.inference import prediction
from services.inference.decoding import Picture, decode_bytes, decode_text
from services.inference.parts import parts
from services.inference.refusals import REFUSALS
from shared.openapi import FORM, predict_body
from shared.schemas.predictions import PredictAnswer, PredictRequest
from shared.web import ApiError, current_request_id, parse, seconds_left

IMAGES: Final = "images"
MODELS: Final = "models"

blueprint = APIBlueprint("predict", __name__)


@blueprint.post("/v1/predict")
@blueprint.output(PredictAnswer)
@blueprint.doc(tags=["predictions"], responses=REFUSALS, extensions=predict_body())
def predict() -> PredictAnswer:
    """Read the emotions on faces

    Send images as files of a form, or as data URLs in JSON. The answer has, for each image, the faces that were found
    and what each model reads on them.
    """
    asked, images = _form() if request.mimetype == FORM else _json()
    if len(images) > parts().max_images:
        message = f"{len(images)} images are too many; send at most {parts().max_images} at a time."
        raise ApiError(status=413, code="too_many_images", message=message, field=IMAGES)
    served = parts().models.served()
    todo = prediction.Asked(
        networks=served.choose(list(asked.models) if asked.models else None),
        mask=asked.mask,
        detect=asked.detect,
        crops=asked.crops,
        explain_by=served.networks.get("any") if asked.explain else None,
    )
    answers, timings = prediction.predict(images, todo, parts().detector, parts().max_faces, seconds_left())
    return PredictAnswer(images=answers, timings=timings, request_id=current_request_id())


def _json() -> tuple[PredictRequest, Sequence[Callable[[], Picture]]]:
    asked = parse(PredictRequest, request.get_json())
    limits = parts().limits
    return asked, [partial(decode_text, text, limits, f"{IMAGES}[{n}]") for n, text in enumerate(asked.images)]


def _form() -> tuple[PredictRequest, Sequence[Callable[[], Picture]]]:
    files, limits = request.files.getlist(IMAGES), parts().limits
    if not files:
        message = "There is no image; send one or several files under the name images."
        raise ApiError(status=400, code="image_missing", message=message, field=IMAGES)
    fields: dict[str, Any] = {name: values[-1] for name, values in request.form.lists()}
    fields.update(dict.fromkeys(request.files, "a file"))
    if MODELS in request.form:
        names = ",".join(request.form.getlist(MODELS)).split(",")
        fields[MODELS] = [name.strip().lower() for name in names if name.strip()] or None
    asked = parse(PredictRequest, {**fields, IMAGES: [file.filename or "a file" for file in files]})

    def decode(number: int) -> Picture:
        return decode_bytes(files[number].stream.read(limits.image_bytes + 1), limits, f"{IMAGES}[{number}]")

    return asked, [partial(decode, number) for number in range(len(files))]
