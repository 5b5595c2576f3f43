"""A models folder whose networks are texts, and changes of it as ada: the registry runs no network."""

from pathlib import Path

from shared import model_registry
from shared.errors import SelfTestError
from shared.model_folder import ActiveModels, Card, read_active_models, write_model
from shared.preprocessing import InputSpec
from shared.schemas.wire import Slot


def add(models: Path, *ids: str) -> None:
    """Write versions whose network is a text: the registry runs none."""
    models.mkdir(exist_ok=True)
    network = models.parent / "network"
    network.write_text("a network")
    for model_id in ids:
        name, version = model_id.split("/")
        card = {
            "name": name,
            "version": version,
            "view": "five",
            "input": InputSpec(),
            "architecture": "text",
            "training": {},
            "data": {},
            "metrics": {},
            "created": "",
        }
        write_model(models, {"model.onnx": network}, card)


def passes(card: Card) -> None:
    """Refuse nothing."""


def fails(card: Card) -> None:
    """Refuse every version."""
    raise SelfTestError(f"{card.id} fails its self-test.")


def promote(models: Path, model_id: str, *slots: Slot) -> ActiveModels:
    """Promote as ada."""
    return model_registry.promote(models, model_id, slots or ("full",), "ada", passes)


def roll_back(models: Path, slot: Slot = "full") -> str:
    """Roll back as ada, and return what serves the slot then."""
    return model_registry.roll_back(models, slot, "ada", passes).active[slot]


def told(models: Path) -> list[tuple[str, str, str | None, str, str | None]]:
    """Return the history without its times."""
    history = read_active_models(models).history
    return [(each.by, each.action, each.slot, each.model, each.before) for each in history]
