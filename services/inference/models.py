"""`GET /v1/models`: which versions answer now. The gateway's page of that name knows the whole models folder."""

from apiflask import APIBlueprint
from pydantic import Field

from services.inference.parts import parts
from shared.schemas.wire import Answer

blueprint = APIBlueprint("models", __name__)


class ServedModels(Answer):
    """What is loaded."""

    active: dict[str, str] = Field(description="Slot to the version that answers.", examples=[{"full": "full/1"}])
    problems: list[str] = Field(description="What of the models folder could not be loaded, a sentence each.")


@blueprint.get("/v1/models")
@blueprint.output(ServedModels)
@blueprint.doc(tags=["models"])
def list_models() -> ServedModels:
    """List the models that answer"""
    served = parts().models.served()
    active = {slot: network.card.id for slot, network in served.networks.items()}
    return ServedModels(active=active, problems=list(served.problems))
