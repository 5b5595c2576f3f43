"""Shapley values are exact: their axioms, a definition by orders, and one batch of 15 masked faces."""

from itertools import permutations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shared.errors import FaceShapeError
from shared.masking import View, hide
from shared.preprocessing import InputSpec, prepare
from shared.shapley import (
    COALITIONS,
    coalition_faces,
    coalition_outputs,
    explain_face,
    half_values,
    hidden_of,
    shapley_values,
)

PRIOR = np.array([0.14, 0.02, 0.14, 0.25, 0.17, 0.17, 0.11])
SPEC = InputSpec(size=8)
OUTPUTS = arrays(np.float64, (COALITIONS, 3), elements=st.floats(-1, 1))


def by_orders(worth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return each player's gain when it comes in, mean over the 24 orders to come in: Shapley's own definition."""
    values = np.zeros((4, worth.shape[1]))
    for order in permutations(range(4)):
        seen = 0
        for player in order:
            values[player] += worth[seen | 1 << player] - worth[seen]
            seen |= 1 << player
    return values / 24


def brightness(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return logits of a network that looks at the four quadrants' sums; the first counts for `angry`, and so on."""
    quadrants = batch[:, 0, :4, 4:], batch[:, 0, :4, :4], batch[:, 0, 4:, :4], batch[:, 0, 4:, 4:]
    sums = np.stack([part.sum(axis=(1, 2)) for part in quadrants], axis=1)
    return np.concatenate([sums / 16, np.zeros((len(batch), 3))], axis=1).astype(np.float32)


def test_coalitions_are_numbered_by_what_may_be_seen() -> None:
    assert hidden_of(0) == (1, 2, 3, 4)
    assert hidden_of(15) == ()
    assert hidden_of(0b0001) == (2, 3, 4)
    assert hidden_of(0b1100) == (1, 2)  # the lower half may be seen: the view `upper`


@given(OUTPUTS)
def test_values_are_the_mean_gain_over_all_orders(worth: npt.NDArray[np.float64]) -> None:
    np.testing.assert_allclose(shapley_values(worth), by_orders(worth), atol=1e-12)


@given(OUTPUTS)
def test_values_add_up_to_the_whole_less_the_prior(worth: npt.NDArray[np.float64]) -> None:
    np.testing.assert_allclose(shapley_values(worth).sum(axis=0), worth[15] - worth[0], atol=1e-12)


@given(OUTPUTS, OUTPUTS)
def test_values_of_a_sum_are_the_sum_of_values(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> None:
    np.testing.assert_allclose(shapley_values(one + other), shapley_values(one) + shapley_values(other), atol=1e-12)


def test_a_quadrant_that_changes_nothing_is_worth_nothing_and_equal_ones_are_worth_the_same() -> None:
    # worth: 1 if quadrant 1 or 2 may be seen; 3 and 4 do not matter
    worth = np.array([[float(bool(number & 0b0011))] for number in range(COALITIONS)])
    np.testing.assert_allclose(shapley_values(worth)[:, 0], [0.5, 0.5, 0, 0], atol=1e-12)


def test_many_faces_are_explained_at_once() -> None:
    many = np.random.default_rng(0).random((3, 5, COALITIONS, 7))
    values = shapley_values(many)
    assert values.shape == (3, 5, 4, 7)
    np.testing.assert_allclose(values[2, 4], shapley_values(many[2, 4]))


@pytest.mark.parametrize("shape", [(16,), (15, 7), (7, 16)])
def test_other_than_sixteen_coalitions_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(FaceShapeError, match="16 coalitions"):
        shapley_values(np.zeros(shape))


def test_halves_are_the_sum_of_their_quadrants() -> None:
    values = np.array([[1.0], [2.0], [4.0], [8.0]])  # top right, top left, bottom left, bottom right
    halves = half_values(values)
    assert {half: float(worth[0]) for half, worth in halves.items()} == {
        View.UPPER: 3,
        View.LOWER: 12,
        View.LEFT: 6,
        View.RIGHT: 9,
    }


def test_the_masked_faces_are_those_that_the_network_was_trained_on() -> None:
    faces = np.random.default_rng(0).integers(1, 256, (2, 8, 8), dtype=np.uint8)
    prepared = coalition_faces(faces, SPEC)
    assert prepared.shape == (30, 3, 8, 8)
    np.testing.assert_array_equal(prepared[14], prepare(faces[:1], View.FULL, SPEC)[0])
    np.testing.assert_array_equal(prepared[15 + 0b1100 - 1], prepare(faces[1:], View.UPPER, SPEC)[0])
    np.testing.assert_array_equal(prepared[15], prepare(hide(faces[1:], (2, 3, 4)), View.FULL, SPEC)[0])


def test_a_hidden_face_is_answered_by_the_prior_whatever_the_network_says() -> None:
    outputs = coalition_outputs(np.random.default_rng(0).normal(size=(30, 7)).astype(np.float32), PRIOR)
    assert outputs.shape == (2, 16, 7)
    np.testing.assert_array_equal(outputs[:, 0], [PRIOR, PRIOR])
    np.testing.assert_allclose(outputs.sum(axis=2), 1)


def test_a_face_is_explained_in_one_batch() -> None:
    face = np.zeros((8, 8), np.uint8)
    face[:4, 4:] = 255  # only the top right, quadrant 1, is bright
    batches: list[int] = []

    def forward(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        batches.append(len(batch))
        return brightness(batch)

    values, outputs = explain_face(forward, face, SPEC, PRIOR)
    assert batches == [15]
    assert values.shape == (4, 7)
    assert outputs.shape == (16, 7)
    np.testing.assert_allclose(values.sum(axis=0), outputs[15] - PRIOR, atol=1e-12)
    np.testing.assert_allclose(values.sum(axis=1), 0, atol=1e-12)
    assert values[:, 0].argmax() == 0  # quadrant 1 speaks for `angry`, as this network has it
    np.testing.assert_allclose(values[1, 4:], values[2, 4:])  # of what the others say nothing sets them apart


def test_a_face_of_another_size_is_resized_first() -> None:
    large = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    outputs = explain_face(brightness, large, SPEC, PRIOR).outputs
    expected = brightness(prepare([large], View.FULL, SPEC))[0].astype(float)
    np.testing.assert_allclose(outputs[15], np.exp(expected) / np.exp(expected).sum(), rtol=1e-6)


def test_what_is_no_gray_face_is_refused() -> None:
    with pytest.raises(FaceShapeError):
        explain_face(brightness, np.zeros((8, 8, 3), np.uint8), SPEC, PRIOR)
