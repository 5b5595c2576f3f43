"""`/v1/study`: what each half of the face is worth, in figures."""

from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response, request

from services.gateway.parts import parts
from shared.errors import StudyError
from shared.study import StudyResult
from shared.web import ApiError

RESPONSES: Final[dict[int | str, Any]] = {
    304: "The study is still the one whose ETag was sent as If-None-Match.",
    404: "There is no study yet.",
    409: "The study is there but cannot be read.",
}
MISSING: Final = (
    "There is no study yet: models/study.json is missing. Put FER2013 into data/ and make it with "
    "`python -m trainer study-report --data data/fer2013.zip`."
)

blueprint = APIBlueprint("study", __name__)


@blueprint.get("/v1/study")
@blueprint.output(StudyResult)
@blueprint.doc(tags=["study"], responses=RESPONSES)
def show_study() -> Response:
    """Show the study

    Every figure of the six models on the five views, with intervals: cells, tests, recovery, agreement, robustness,
    Shapley values and the protocol. About a megabyte; send its ETag as If-None-Match to get it only where it changed.
    """
    try:
        document = parts().study.document()
    except StudyError as error:
        raise ApiError(status=409, code="study_broken", message=str(error)) from error
    if document is None:
        raise ApiError(status=404, code="study_not_found", message=MISSING)
    response = Response(document.body, mimetype="application/json", headers={"Cache-Control": "no-cache"})
    response.set_etag(document.etag)
    response.make_conditional(request)
    return response
