"""`/v1/study`: what each half of the face is worth, in figures, and what was misread."""

from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response, request

from services.gateway.parts import parts
from shared.study import StudyResult
from shared.study_mistakes import MistakeList, MistakesQuery

BROKEN: Final = "A file of the study is there but cannot be read, or belongs to another study."
RESPONSES: Final[dict[int | str, Any]] = {
    304: "The study is still the one whose ETag was sent as If-None-Match.",
    404: "There is no study yet.",
    409: "The study is there but cannot be read.",
}
MISTAKES_RESPONSES: Final[dict[int | str, Any]] = {
    404: "There is no study yet, or its test images are not in the data folder.",
    409: BROKEN,
}
IMAGE_RESPONSES: Final[dict[int | str, Any]] = {
    200: {"description": "The image.", "content": {"image/png": {}}},
    404: "There is no study yet, its test images are not in the data folder, or none has this id.",
    409: BROKEN,
}

blueprint = APIBlueprint("study", __name__)


@blueprint.get("/v1/study")
@blueprint.output(StudyResult)
@blueprint.doc(tags=["study"], responses=RESPONSES)
def show_study() -> Response:
    """Show the study

    Every figure of the six models on the five views, with intervals: cells, tests, recovery, agreement, robustness,
    Shapley values and the protocol. About a megabyte; send its ETag as If-None-Match to get it only where it changed.
    """
    document = parts().mistakes.document()
    response = Response(document.body, mimetype="application/json", headers={"Cache-Control": "no-cache"})
    response.set_etag(document.etag)
    response.make_conditional(request)
    return response


@blueprint.get("/v1/study/mistakes")
@blueprint.input(MistakesQuery, location="query")
@blueprint.output(MistakeList)
@blueprint.doc(tags=["study"], responses=MISTAKES_RESPONSES)
def list_mistakes(query_data: MistakesQuery) -> MistakeList:
    """List misread test images

    Of one model on one view, those first of which it was most sure. Names and images come from the data set in the data
    folder, which must have the test images that the study measured.
    """
    return parts().mistakes.list(query_data)


@blueprint.get("/v1/study/images/<image_id>")
@blueprint.doc(tags=["study"], responses=IMAGE_RESPONSES)
def show_image(image_id: str) -> Response:
    """Show a test image

    As PNG, whole, from the data set in the data folder.
    """
    # An id stands for these pixels for ever, so whoever has them need not ask again.
    headers = {"Cache-Control": "private, max-age=86400, immutable"}
    return Response(parts().mistakes.png(image_id), mimetype="image/png", headers=headers)
