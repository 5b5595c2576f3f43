"""What each quadrant of a face is worth to a network's answer: exact Shapley values from the 16 masked faces.

The game: the quadrants are players, a coalition is what may be seen, its worth the probabilities of the seven emotions
when the other quadrants are hidden (removal-based explanation, Covert, Lundberg and Lee 2021). With nothing to be seen
the answer is the prior, how common each emotion is, not whatever the network says of a black square. With four players
all 16 coalitions are computed, so nothing is estimated.

Probabilities, not log-odds: values are then points of probability, the seven emotions' values of a quadrant add up to
0, and a network that is sure of itself does not swamp the mean over many faces, as it would on the unbounded log-odds.

A coalition's number has the bit 1 << (q - 1) set if quadrant q (1 top right, 2 top left, 3 bottom left, 4 bottom right)
may be seen: 0 is the hidden face, 15 the whole.
"""

from collections.abc import Sequence
from itertools import combinations
from math import comb
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from shared.errors import FaceShapeError
from shared.labels import LABELS
from shared.masking import View, hidden_quadrants
from shared.preprocessing import InputSpec, prepare, resize
from shared.probabilities import Forward, softmax

QUADRANT_NUMBERS: Final = (1, 2, 3, 4)
COALITIONS: Final = 1 << len(QUADRANT_NUMBERS)
HALVES: Final = (View.UPPER, View.LOWER, View.LEFT, View.RIGHT)

Floats = npt.NDArray[np.float64]


class Explanation(NamedTuple):
    """What the quadrants of one face are worth, and what that was computed from."""

    values: Floats
    """(4, 7): what quadrants 1 to 4 add to the probability of each emotion."""
    outputs: Floats
    """(16, 7): the probabilities by coalition; row 0 is the prior, row 15 the answer for the whole face."""


def hidden_of(coalition: int) -> tuple[int, ...]:
    """Return the quadrants that are hidden when those of `coalition`, 0 to 15, may be seen."""
    return tuple(number for number in QUADRANT_NUMBERS if not coalition & 1 << (number - 1))


def shapley_values(outputs: Floats) -> Floats:
    """Return the Shapley values of the quadrants: (..., 4, K).

    Args:
        outputs: (..., 16, K), the worth of each coalition in K measures. The values add up to
            outputs[..., 15, :] - outputs[..., 0, :].

    Raises:
        FaceShapeError: the last but one dimension is not 16.
    """
    if outputs.ndim < 2 or outputs.shape[-2] != COALITIONS:
        raise FaceShapeError(f"Shapley values need the outputs of 16 coalitions (..., 16, K); got {outputs.shape}.")
    return np.asarray(np.einsum("qc,...ck->...qk", _COEFFICIENTS, outputs))


def half_values(values: Floats) -> dict[View, Floats]:
    """Return what each half is worth, (..., K) each: the sum of its two quadrants' values.

    Args:
        values: (..., 4, K), as from `shapley_values`.

    Returns:
        The upper, lower, left and right half as seen in the image (not: hidden) to its worth.
    """
    members = {half: [number - 1 for number in sorted(hidden_quadrants(half))] for half in HALVES}
    return {half: np.asarray(values[..., places, :].sum(axis=-2)) for half, places in members.items()}


def coalition_faces(
    faces: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8], spec: InputSpec
) -> npt.NDArray[np.float32]:
    """Return what the network reads of each face's coalitions 1 to 15, in their order: (N * 15, C, S, S).

    Raises:
        FaceShapeError: see `shared.preprocessing.prepare`.
    """
    repeated = [face for face in (resize(one, spec.size) for one in faces) for _ in range(1, COALITIONS)]
    hidden = [hidden_of(coalition) for _ in faces for coalition in range(1, COALITIONS)]
    return prepare(repeated, hidden, spec)


def coalition_outputs(
    logits: npt.NDArray[np.float32], prior: npt.NDArray[np.generic] | Sequence[float], temperature: float = 1.0
) -> Floats:
    """Return the probabilities by coalition, (N, 16, 7).

    Args:
        logits: float32 (N * 15, 7), the network's answers to `coalition_faces`.
        prior: (7,), the emotions' shares in the training images.
        temperature: of the network's card; it divides the logits.
    """
    seen = softmax(logits, temperature).reshape(-1, COALITIONS - 1, len(LABELS))
    outputs = np.empty((len(seen), COALITIONS, len(LABELS)))
    outputs[:, 0] = np.asarray(prior, np.float64)
    outputs[:, 1:] = seen
    return outputs


def explain_face(
    forward: Forward,
    face: npt.NDArray[np.uint8],
    spec: InputSpec,
    prior: npt.NDArray[np.generic] | Sequence[float],
    temperature: float = 1.0,
) -> Explanation:
    """Return what each quadrant of a face is worth, from one batch of 15 masked faces.

    Args:
        forward: the network. It should have been trained with any quadrants hidden (the slot `any`): of another, the
            values tell more of what it makes of black areas than of the face.
        face: uint8 (H, W) of any size.
        spec: what the network expects.
        prior: (7,), the emotions' shares in the training images.
        temperature: of the network's card; it divides the logits.

    Raises:
        FaceShapeError: not a grayscale uint8 face.
    """
    outputs = coalition_outputs(forward(coalition_faces([face], spec)), prior, temperature)[0]
    return Explanation(shapley_values(outputs), outputs)


def _coefficients() -> Floats:
    """Return (4, 16): the Shapley value of each player as a sum over the worths of coalitions (Shapley 1953).

    A player's value is the mean over the sizes of a coalition without it, and over the coalitions of that size, of what
    it adds.
    """
    players = len(QUADRANT_NUMBERS)
    matrix = np.zeros((players, COALITIONS))
    for player in range(players):
        others = [other for other in range(players) if other != player]
        for size in range(players):
            share = 1 / (players * comb(players - 1, size))
            for members in combinations(others, size):
                without = sum(1 << member for member in members)
                matrix[player, without | 1 << player] += share
                matrix[player, without] -= share
    return matrix


_COEFFICIENTS: Final = _coefficients()
