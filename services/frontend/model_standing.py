"""How a version that serves stands beside the released one, or the one before it, and since when. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.frontend.model_words import differences, escaped
from services.frontend.words import clock
from shared.model_comparison import Difference
from shared.schemas.models import ModelChange, ModelInfo, ModelList
from shared.schemas.wire import Slot


@dataclass(frozen=True)
class Standing:
    """What a version in service is compared with."""

    difference: Difference | None
    """None if there is nothing to compare with."""
    sentence: str
    """With what, or why with nothing; as Markdown."""


def released(slot: Slot, listed: ModelList, history: Sequence[ModelChange]) -> str | None:
    """Return the version that came with the release for a slot, as far as the history (newest first) tells.

    A checkout has no history: what serves a slot that nobody has changed came with it, and so did what the first change
    replaced.
    """
    changes = [change for change in history if change.slot == slot]
    if not changes:
        return listed.active.get(slot)
    brought = next((change.model for change in changes if change.action == "release"), None)
    return brought or changes[-1].before


def standing(model: ModelInfo, slot: Slot, listed: ModelList, history: Sequence[ModelChange]) -> Standing:
    """Return how the version that serves a slot compares with the released one, else with the one before it.

    Args:
        model: the version that serves the slot.
        slot: where it serves.
        listed: all versions, the archived ones too, since the released one may be among them.
        history: of what serves, newest first.
    """
    release = released(slot, listed, history)
    itself = "the released version" if model.id == release else ""
    for other, name in ((release, ", the released version"), (listed.previous.get(slot), " before it")):
        if other is None or other == model.id:
            continue
        beside = differences(model, listed.model_copy(update={"active": {slot: other}})).get(slot)
        if beside:
            compared = f"compared with {escaped(other)}{name}"
            return Standing(beside, f"{itself}, {compared}" if itself else compared)
    return Standing(None, itself or "no earlier version was measured on the same data")


def since(model: ModelInfo, slot: Slot, history: Sequence[ModelChange]) -> str:
    """Return since when a version serves a slot; of one that came with the release, when it was made."""
    if noted := model.since.get(slot):
        return f"since {clock(noted)}"
    changed = any(change.slot == slot for change in history)
    return f"released {model.created[:10]}" if model.created and not changed else "no date recorded"
