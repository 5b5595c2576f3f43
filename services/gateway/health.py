"""`GET /readyz`: whether the parts that the gateway needs can serve. `/healthz` comes with `shared.web`."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from apiflask import APIBlueprint

from services.gateway.job_queue import JobQueue
from services.gateway.parts import parts
from shared.openapi import answer
from shared.schemas.wire import Health
from shared.web import ApiError

NOT_READY: Final[dict[int | str, dict[str, str | dict[str, Any]]]] = {
    503: answer("A part cannot serve; the reason names it.", "Health")
}

blueprint = APIBlueprint("health", __name__)


def why_not_ready() -> str | None:
    """Return which parts cannot serve and why, or None."""
    inference, queue = parts().inference, parts().queue
    with ThreadPoolExecutor(2) as side_by_side:  # two that are silent are waited for once
        asked = {
            "inference": side_by_side.submit(inference.why_not_ready),
            "queue": side_by_side.submit(_why_no_queue, queue),
        }
    reasons = {part: answer.result() for part, answer in asked.items()}
    return "; ".join(f"{part}: {reason}" for part, reason in reasons.items() if reason) or None


def _why_no_queue(queue: JobQueue) -> str | None:
    try:
        queue.ping()
    except ApiError:
        return "it does not answer"
    return None


@blueprint.get("/readyz")
@blueprint.output(Health)
@blueprint.doc(tags=["health"], responses=NOT_READY)
def readyz() -> Health | tuple[Health, int]:
    """Ready: the queue and at least one replica of inference answer; the reason then tells what is amiss."""
    if reason := why_not_ready():
        return Health(status="unavailable", reason=reason), 503
    note = parts().inference.note()
    return Health(status="ok", reason=f"inference: {note}" if note else None)
