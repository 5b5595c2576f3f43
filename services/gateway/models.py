"""`/v1/models`: what there is to predict with."""

from apiflask import APIBlueprint

from services.gateway.parts import parts
from shared.errors import ModelFolderError
from shared.model_folder import Card
from shared.schemas import ModelList
from shared.web import ApiError

blueprint = APIBlueprint("models", __name__)


@blueprint.get("/v1/models")
@blueprint.output(ModelList)
@blueprint.doc(tags=["models"])
def list_models() -> ModelList:
    """List the models

    Every version in the models folder, and which of them serve. One that cannot be used has a `problem`.
    """
    return parts().models.all()


@blueprint.get("/v1/models/<name>/<version>")
@blueprint.output(Card)
@blueprint.doc(
    tags=["models"], responses={404: "There is no such model.", 409: "The model is there but cannot be used."}
)
def show_model(name: str, version: str) -> Card:
    """Show a model's card

    What it was trained on and how, what was measured, and what it is for.
    """
    try:
        card = parts().models.card(f"{name}/{version}")
    except ModelFolderError as error:
        raise ApiError(status=409, code="model_broken", message=str(error)) from error
    if card is None:
        message = f"There is no model '{name}/{version}'; /v1/models lists those there are."
        raise ApiError(status=404, code="model_not_found", message=message)
    return card
