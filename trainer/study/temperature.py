"""The temperature of a version: what its logits are divided by before they become probabilities."""

from typing import Final

from trainer.augmentation import view_mix
from trainer.data import Dataset
from trainer.study.answers import Answers, Asked
from trainer.study.bootstrap import Floats
from trainer.study.calibration import fit_temperature

FEWEST: Final = 100
"""Validation images; a network may read each of fewer rightly, and the temperature would make it sure of everything."""


def faces_to_read(data: Dataset) -> int:
    """Return how many faces `temperature_of` reads."""
    return len(data.validation) if len(data.validation) >= FEWEST else 0


def temperature_of(
    network: Asked, view: str, data: Dataset, answers: Answers, added: Floats | float = 0.0
) -> float | None:
    """Return at which temperature a file's answers to the validation part are likeliest; None if that is too few.

    Args:
        network: the file.
        view: the card's: a specialist's images are seen in its view, those of `any` with its fifteen sets of quadrants
            hidden, each equally often.
        data: its validation part, which the network was not trained on, is read.
        answers: keeps what is answered.
        added: see `trainer.study.calibration.fit_temperature`.
    """
    part = data.validation
    if not faces_to_read(data):
        return None
    logits = answers.logits(network, part.faces, view_mix(view).fixed(len(part)))
    return round(fit_temperature(logits, part.labels, added), 4)
