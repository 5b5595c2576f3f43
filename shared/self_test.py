"""A version's self-test: one known face, drawn by a formula, and whether the network reads it as its card says.

The face is shown whole and with each part hidden that the study hides. The card keeps the logits that the exported file
gave when it was registered; a version that answers otherwise elsewhere is not the network that was measured.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from shared.errors import SelfTestError
from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.model_folder import Card
from shared.preprocessing import InputSpec, prepare
from shared.probabilities import Forward

TOLERANCE: Final = 0.5
"""Largest difference of a logit that passes.

Another CPU may round an int8 step the other way. On the first released network, noise of half an input step moves the
known face's logits by at most 0.07, and making the whole network int8 moved those of 2,000 faces by at most 0.30. A
face that is not normalised moves them by 1.6, one that is mirrored by 0.7.
"""

SIDE: Final = 48


def known_face() -> npt.NDArray[np.uint8]:
    """Return the known face, uint8 (48, 48): brows, eyes, a nose and a mouth on an oval.

    Only sums, products and quotients, which IEEE 754 makes the same on every machine.
    """
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)

    def spot(centre_x: float, centre_y: float, width: float, height: float) -> npt.NDArray[np.float64]:
        squared = ((x - centre_x) / width) ** 2 + ((y - centre_y) / height) ** 2
        return np.asarray(1 / (1 + squared * squared))

    eyes = spot(15, 19, 4, 2.5) + spot(32, 19, 4, 2.5)
    brows = spot(14, 14, 6, 1.5) + spot(33, 14, 6, 1.5)
    gray = 60 + 130 * spot(23.5, 24, 20, 25) + 40 * spot(23.5, 27, 2, 6) - 90 * eyes - 50 * brows
    return np.clip(gray - 70 * spot(23.5, 37, 9, 3), 0, 255).astype(np.uint8)


def known_logits(forward: Forward, spec: InputSpec) -> dict[str, list[float]]:
    """Return view to the seven logits of the known face under it, for the card.

    Raises:
        SelfTestError: the network cannot be run on the known face, or its answer is not finite or of another shape.
    """
    logits = _run(forward, spec)
    return {view.value: row for view, row in zip(STUDY_VIEWS, logits.tolist(), strict=True)}


def check(card: Card, forward: Forward) -> None:
    """Run the known face and compare the answer with the card; cards without `self_test` are not compared.

    Raises:
        SelfTestError: the network cannot be run, gives another shape or numbers that are not finite, or its answer
            differs from the card's by more than TOLERANCE.
    """
    try:
        logits = _run(forward, card.input)
    except SelfTestError as error:
        raise SelfTestError(f"{card.id} fails its self-test: {error}") from error
    rows = {view.value: row for view, row in zip(STUDY_VIEWS, logits, strict=True)}
    for view, expected in card.self_test.items():
        if view not in rows or len(expected) != len(LABELS):
            raise SelfTestError(f"{card.id} fails its self-test: its card tells no {len(LABELS)} logits of a view.")
        difference = float(np.abs(rows[view] - np.asarray(expected)).max())
        if not difference <= TOLERANCE:
            raise SelfTestError(
                f"{card.id} fails its self-test: with the view {view} the known face's logits differ from the card's "
                f"by {difference:.2f} ({TOLERANCE} allowed); export the model again."
            )


def _run(forward: Forward, spec: InputSpec) -> npt.NDArray[np.float64]:
    """Return the logits, float64 (5, 7), of the known face under the study's views, read as one batch."""
    views = list(STUDY_VIEWS)
    batch = prepare([known_face()] * len(views), views, spec)
    try:
        logits = np.asarray(forward(batch), dtype=np.float64)
    except Exception as error:  # a runtime's errors share no documented base
        raise SelfTestError("it cannot be run on the known face; export the model again.") from error
    if logits.shape != (len(views), len(LABELS)):
        raise SelfTestError(f"it answers {len(views)} faces with the shape {logits.shape}; export the model again.")
    if not np.isfinite(logits).all():
        raise SelfTestError("its logits are not finite; export the model again.")
    return logits
