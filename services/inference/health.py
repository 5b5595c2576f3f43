"""`GET /readyz`: whether a model can answer. `/healthz` comes with `shared.web`."""

from typing import Any, Final

from apiflask import APIBlueprint

from services.inference.parts import parts
from shared.openapi import answer
from shared.schemas.wire import Health

NOT_READY: Final[dict[int | str, dict[str, str | dict[str, Any]]]] = {
    503: answer("No model can answer; the reason says why.", "Health")
}

blueprint = APIBlueprint("health", __name__)


@blueprint.get("/readyz")
@blueprint.output(Health)
@blueprint.doc(tags=["health"], responses=NOT_READY)
def readyz() -> Health | tuple[Health, int]:
    """Ready: at least one model is loaded

    Where a version was refused and the one before it goes on serving, the reason says so.
    """
    served = parts().models.served()
    reason = served.why_not_ready()
    if reason:
        return Health(status="unavailable", reason=reason), 503
    return Health(status="ok", reason=" ".join(served.problems) or None)
