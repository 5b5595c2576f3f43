"""Which two versions can answer together, as one file that takes the mean of both, and where cards tell of it."""

from typing import Final

from shared.model_folder import Card

MIRROR_AVERAGE: Final = "mirror_average"
"""In a card's `training`: whether the exported file averages over a face and its mirror image."""
SIZE_AVERAGE: Final = "size_average"
"""In a card's `training`: whether the exported file averages over two sizes of a face."""
ENSEMBLE_WITH: Final = "ensemble_with"
"""In a card's `training`: the other version whose network the exported file holds too, if there is one."""


def why_not_together(card: Card, other: Card, mirror_average: bool | None = None) -> str | None:
    """Return in a sentence why the two cannot answer together; None if they can.

    Args:
        card: of the version that is to be exported.
        other: of the one that is to read the smaller size beside it.
        mirror_average: whether the new file is to average over mirror images; None: as `card` does.
    """
    both = f"{card.id} cannot answer together with {other.id}"
    if other.input != card.input:
        return f"{both}, whose faces are prepared in another way."
    if ENSEMBLE_WITH in other.training:
        small = other.training[ENSEMBLE_WITH]["id"]
        return f"{both}, which is two networks; name the one that reads the smaller size, {small}, or another version."
    mirrored = card.training.get(MIRROR_AVERAGE) if mirror_average is None else mirror_average
    if bool(other.training.get(MIRROR_AVERAGE)) != bool(mirrored):
        return (
            f"{both}: one of them averages over mirror images. Export one anew, with or without that average "
            "(mirror_average)."
        )
    return None
