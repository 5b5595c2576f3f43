"""`/v1/models`: what there is to predict with, what serves, and who changed that."""

from typing import Any, Final

from apiflask import APIBlueprint
from flask import Response
from pydantic import Field

from services.gateway.access import current_key_name
from services.gateway.model_download import zipped
from services.gateway.openapi import BAD_JSON
from services.gateway.parts import parts
from shared.errors import ModelFolderError
from shared.model_folder import Card
from shared.schemas.models import ModelHistory, ModelInfo, ModelList, PromoteRequest, RollBackRequest
from shared.schemas.wire import Wire
from shared.web import ApiError

NOT_FOUND: Final = {404: "There is no such model."}
BROKEN: Final = {**NOT_FOUND, 409: "The model is there but cannot be used."}
REFUSED: Final = {**NOT_FOUND, 409: "It is not possible now; the message says why. What serves stays as it was."}
UNTESTED: Final = {
    **REFUSED,
    502: "Inference failed at trying the version.",
    503: "Inference is away and can try no version, or the models folder cannot be written; the message says which.",
}
ARCHIVED: Final = {**REFUSED, 503: "The models folder cannot be written."}
ZIP: Final[dict[int | str, Any]] = {
    200: {
        "description": "The version's folder; unpack it in a models folder.",
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    },
    404: "There is no such model.",
    409: "The model is there but cannot be used.",
}

blueprint = APIBlueprint("models", __name__)


class ModelsQuery(Wire):
    """Which models to list."""

    archived: bool = Field(False, description="Also those that were archived.")


class HistoryQuery(Wire):
    """How much of the history."""

    limit: int = Field(100, ge=1, le=2000, description="At most so many changes, the newest.")


@blueprint.get("/v1/models")
@blueprint.input(ModelsQuery, location="query")
@blueprint.output(ModelList)
@blueprint.doc(tags=["models"])
def list_models(query_data: ModelsQuery) -> ModelList:
    """List the models

    Every version in the models folder, and which of them serve since when. One that cannot be used has a `problem`.
    """
    return parts().models.all(archived=query_data.archived)


@blueprint.get("/v1/models/history")
@blueprint.input(HistoryQuery, location="query")
@blueprint.output(ModelHistory)
@blueprint.doc(tags=["models"], responses={409: "The history cannot be read."})
def show_history(query_data: HistoryQuery) -> ModelHistory:
    """Show who changed what serves, and when

    Newest first.
    """
    try:
        return parts().models.history(query_data.limit)
    except ModelFolderError as error:
        raise ApiError(status=409, code="model_broken", message=str(error)) from error


@blueprint.get("/v1/models/<name>/<version>")
@blueprint.output(Card)
@blueprint.doc(tags=["models"], responses=BROKEN)
def show_model(name: str, version: str) -> Card:
    """Show a model's card

    What it was trained on and how, what was measured, and what it is for.
    """
    return _card(f"{name}/{version}")


@blueprint.get("/v1/models/<name>/<version>/download")
@blueprint.doc(tags=["models"], responses=ZIP)
def download_model(name: str, version: str) -> Response:
    """Download a version

    A zip of its folder: the network, its card, and the weights to fine-tune from where it has them.
    """
    card = _card(f"{name}/{version}")
    disposition = f'attachment; filename="{card.name}-{card.version}.zip"'
    body = zipped(parts().models.folder(card.id), card)
    return Response(body, mimetype="application/zip", headers={"Content-Disposition": disposition})


@blueprint.post("/v1/models/<name>/<version>/promote")
@blueprint.input(PromoteRequest, example={"slots": ["upper"]})
@blueprint.output(ModelInfo)
@blueprint.doc(tags=["models"], responses={**BAD_JSON, **UNTESTED})
def promote(name: str, version: str, json_data: PromoteRequest) -> ModelInfo:
    """Let a version serve

    Inference tries it first; one that fails is refused. Within two seconds every process of inference answers with it,
    and requests under way end on the version that they began with.
    """
    parts().model_changes.promote(f"{name}/{version}", json_data.slots, current_key_name())
    return parts().models.info(f"{name}/{version}")


@blueprint.post("/v1/models/rollback")
@blueprint.input(RollBackRequest, example={"slot": "upper"})
@blueprint.output(ModelInfo)
@blueprint.doc(tags=["models"], responses={**BAD_JSON, **UNTESTED})
def roll_back(json_data: RollBackRequest) -> ModelInfo:
    """Let a slot's previous version serve again

    The answer is that version. Once more goes further back; to go forth again, promote.
    """
    return parts().models.info(parts().model_changes.roll_back(json_data.slot, current_key_name()))


@blueprint.post("/v1/models/<name>/<version>/archive")
@blueprint.output(ModelInfo)
@blueprint.doc(tags=["models"], responses=ARCHIVED)
def archive(name: str, version: str) -> ModelInfo:
    """Archive a version

    It is kept, but not listed unasked and cannot be promoted. One that serves cannot be archived.
    """
    parts().model_changes.archive(f"{name}/{version}", current_key_name())
    return parts().models.info(f"{name}/{version}")


@blueprint.post("/v1/models/<name>/<version>/restore")
@blueprint.output(ModelInfo)
@blueprint.doc(tags=["models"], responses=ARCHIVED)
def restore(name: str, version: str) -> ModelInfo:
    """Take a version out of the archive"""
    parts().model_changes.restore(f"{name}/{version}", current_key_name())
    return parts().models.info(f"{name}/{version}")


def _card(model_id: str) -> Card:
    try:
        card = parts().models.card(model_id)
    except ModelFolderError as error:
        raise ApiError(status=409, code="model_broken", message=str(error)) from error
    if card is None:
        message = f"There is no model '{model_id}'; /v1/models lists those there are."
        raise ApiError(status=404, code="model_not_found", message=message)
    return card
