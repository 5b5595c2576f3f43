"""`POST /v1/predictions`: images in, faces and emotions out."""

from apiflask import APIBlueprint
from flask import request

from services.gateway.openapi import INFERENCE_ERRORS
from services.gateway.parts import parts
from shared.openapi import FORM, predict_body
from shared.schemas.predictions import PredictAnswer, PredictRequest
from shared.web import parse

blueprint = APIBlueprint("predictions", __name__)


@blueprint.post("/v1/predictions")
@blueprint.output(PredictAnswer)
@blueprint.doc(tags=["predictions"], responses=INFERENCE_ERRORS, extensions=predict_body())
def predict() -> PredictAnswer:
    """Read the emotions on faces

    Send images as files of a form, or as data URLs in JSON. The answer has, for each image, the faces that were found
    and what each model reads on them.
    """
    if request.mimetype == FORM:
        # Read whole before it is passed on, so that a slow sender occupies no thread of inference.
        return parts().inference.predict_body(request.get_data(cache=False), request.content_type or FORM)
    return parts().inference.predict(parse(PredictRequest, request.get_json()))
