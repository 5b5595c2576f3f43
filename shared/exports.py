"""Which versions can be exported once more and how, which two can answer together, and where cards tell of it."""

from typing import Final

from shared.model_folder import Card
from shared.schemas.jobs import JobRequest

MIRROR_AVERAGE: Final = "mirror_average"
"""In a card's `training`: whether the exported file averages over a face and its mirror image."""
SIZE_AVERAGE: Final = "size_average"
"""In a card's `training`: whether the exported file averages over two sizes of a face."""
ENSEMBLE_WITH: Final = "ensemble_with"
"""In a card's `training`: the other version whose network the exported file holds too, if there is one."""
PRIOR_CORRECTION: Final = "prior_correction"
"""In a card's `training`: whether the class weights are taken out of the exported file's answers."""


def why_not_exported(card: Card, request: JobRequest) -> str | None:
    """Return in a sentence why the version cannot be exported as is asked; None if it can, as far as its card tells.

    Without its weights only its file is at hand, whose arithmetic and averages stay.
    """
    will = _wished(card, request)
    was = {option: bool(card.training.get(option)) for option in will}
    if will[PRIOR_CORRECTION] and not card.settings.get("class_weights"):
        return f"{card.id} was trained without class weights: there are none to take out of its answers."
    if card.has_weights:
        return None
    if request.precision == "float32" or any(will[option] != was[option] for option in (MIRROR_AVERAGE, SIZE_AVERAGE)):
        return f"{card.id} ships no weights, so its arithmetic and its averages cannot be changed."
    joined = request.ensemble_with or card.training.get(ENSEMBLE_WITH)
    if not joined and (was[PRIOR_CORRECTION] or not will[PRIOR_CORRECTION]):
        return (
            f"{card.id} ships no weights: its file can answer together with another version's (ensemble_with) or be "
            "corrected once for class weights (prior_correction), no more."
        )
    return None


def why_not_together(card: Card, other: Card, request: JobRequest) -> str | None:
    """Return in a sentence why the two cannot answer together; None if they can.

    Args:
        card: of the version that is to be exported.
        other: of the one that is to read the smaller size beside it.
        request: the export.
    """
    both = f"{card.id} cannot answer together with {other.id}"
    if other.input != card.input:
        return f"{both}, whose faces are prepared in another way."
    if ENSEMBLE_WITH in other.training:
        small = other.training[ENSEMBLE_WITH]["id"]
        return f"{both}, which is two networks; name the one that reads the smaller size, {small}, or another version."
    if bool(other.training.get(MIRROR_AVERAGE)) != _wished(card, request)[MIRROR_AVERAGE]:
        return (
            f"{both}: one of them averages over mirror images. Export one anew, with or without that average "
            "(mirror_average)."
        )
    if _wished(card, request)[PRIOR_CORRECTION] and not other.settings.get("class_weights"):
        return f"{both} and be corrected for class weights, since {other.id} was trained without them."
    return None


def _wished(card: Card, request: JobRequest) -> dict[str, bool]:
    """Return what the new file does: as asked, or else as the version does."""
    asked = {option: getattr(request, option) for option in (MIRROR_AVERAGE, SIZE_AVERAGE, PRIOR_CORRECTION)}
    return {option: bool(card.training.get(option) if value is None else value) for option, value in asked.items()}
