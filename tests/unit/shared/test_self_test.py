"""The known face, and what the self-test refuses."""

from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from shared.errors import SelfTestError
from shared.masking import STUDY_VIEWS
from shared.model_folder import Card
from shared.preprocessing import InputSpec, prepare
from shared.self_test import TOLERANCE, Forward, check, known_face, known_logits

SPEC = InputSpec(size=32)


def forward(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Read seven places of each face."""
    assert batch.shape[1:] == (3, 32, 32)
    return batch[:, 0, 4::4, 10][:, :7]


def card(**changes: Any) -> Card:
    """Return a card with the logits of `forward`."""
    fields: dict[str, Any] = {
        "name": "small",
        "version": "1",
        "view": "upper",
        "sha256": {},
        "input": SPEC,
        "architecture": "places",
        "training": {},
        "data": {},
        "metrics": {},
        "created": "",
        "self_test": known_logits(forward, SPEC),
    }
    return Card.model_validate({**fields, **changes})


def test_the_known_face_is_the_same_everywhere() -> None:
    digest = "f33002a292e0f95cacdd09975c5c00a98325c26d93111ad5403ab5495b385f4a"
    assert (known_face().shape, known_face().dtype) == ((48, 48), np.uint8)
    assert sha256(known_face().tobytes()).hexdigest() == digest


def test_the_logits_are_those_of_the_face_under_each_view_of_the_study() -> None:
    logits = known_logits(forward, SPEC)

    assert list(logits) == [view.value for view in STUDY_VIEWS]
    for view in STUDY_VIEWS:
        np.testing.assert_array_equal(logits[view], forward(prepare([known_face()], view, SPEC))[0])
    assert logits["upper"] != logits["full"] != logits["lower"]


def test_a_network_that_answers_as_its_card_says_passes() -> None:
    check(card(), forward)
    check(card(), lambda batch: forward(batch) + TOLERANCE * 0.9)


def test_a_card_without_logits_is_compared_with_nothing() -> None:
    check(card(self_test={}), lambda batch: forward(batch) + 100)


def _breaks(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    raise RuntimeError("a fault of the runtime")


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (lambda batch: forward(batch) + TOLERANCE * 1.1, "with the view full the known face's logits differ from"),
        (lambda batch: np.where(np.arange(len(batch))[:, None] == 1, 9, forward(batch)), "with the view upper"),
        (lambda batch: forward(batch)[:, :6], r"answers 5 faces with the shape \(5, 6\)"),
        (lambda batch: forward(batch)[:1], r"answers 5 faces with the shape \(1, 7\)"),
        (lambda batch: np.full((len(batch), 7), np.nan), "its logits are not finite"),
        (_breaks, "it cannot be run on the known face"),
    ],
    ids=["shifted", "one view", "six classes", "one answer", "not finite", "breaks"],
)
def test_a_network_that_answers_otherwise_is_refused(other: Forward, sentence: str) -> None:
    with pytest.raises(SelfTestError, match=f"^small/1 fails its self-test: .*{sentence}"):
        check(card(), other)


@pytest.mark.parametrize("told", [{"full": (1.0,)}, {"sideways": (0.0,) * 7}])
def test_a_card_whose_logits_make_no_sense_is_refused(told: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(SelfTestError, match="its card tells no 7 logits of a view"):
        check(card(self_test=told), forward)
