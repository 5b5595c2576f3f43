"""`POST /v1/self-test`: whether a version could serve. The gateway asks before it promotes one."""

from apiflask import APIBlueprint

from services.inference.parts import parts
from shared.errors import ModelFolderError, UnknownModelError
from shared.schemas.models import SelfTestAnswer, SelfTestRequest
from shared.web import ApiError

blueprint = APIBlueprint("self_test", __name__)


@blueprint.post("/v1/self-test")
@blueprint.input(SelfTestRequest)
@blueprint.output(SelfTestAnswer)
@blueprint.doc(
    tags=["models"],
    responses={404: "There is no such version.", 409: "It cannot serve; the message says why."},
)
def self_test(json_data: SelfTestRequest) -> SelfTestAnswer:
    """Try a version

    It is loaded beside those that serve, checked against its card, and asked about one known face. What serves stays.
    """
    try:
        parts().models.try_out(json_data.model)
    except UnknownModelError as error:
        raise ApiError(status=404, code="model_not_found", message=str(error), field="model") from error
    except ModelFolderError as error:
        raise ApiError(status=409, code="self_test_failed", message=str(error), field="model") from error
    return SelfTestAnswer(model=json_data.model)
