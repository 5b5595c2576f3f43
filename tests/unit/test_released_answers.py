"""The released files answer as they did when they were released: here, on another CPU, and each time alike.

The faces are drawn and committed, so this needs no data set. It also holds the study's file against the answers to each
test image that ship beside it: every cell's confusion matrix and accuracy follow from those.
"""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from scripts.released_answers import ANSWERS_FILE, COMMAND, MODELS, answers_of, drawn_faces
from shared.masking import STUDY_VIEWS
from shared.model_folder import read_active
from tests.study_check import check_study
from trainer.study.answers import Reader, open_reader
from trainer.study.confusion import confusion_matrix, scores

NOTED: dict[str, Any] = json.loads(ANSWERS_FILE.read_text())
TOLERANCE = 0.05
"""Probabilities may differ by this much on another CPU: it may round a step of int8 the other way, which moves the
logits of a face by up to 0.07 (see `shared.self_test`)."""


def noted(version: str, view: str) -> npt.NDArray[np.float64]:
    """Return the probabilities that were noted, (28, 7)."""
    return np.array([line.split() for line in NOTED["versions"][version]["probabilities"][view]], np.float64)


@pytest.fixture(scope="module", params=sorted(set(read_active(MODELS).values())))
def reader(request: pytest.FixtureRequest) -> Reader:
    """Give each version that serves."""
    return open_reader(MODELS, "any", request.param, threads=1)


def test_what_was_noted_are_the_versions_that_serve() -> None:
    assert NOTED["slots"] == read_active(MODELS), f"run {COMMAND}"


def test_a_released_file_reads_the_drawn_faces_as_it_did(reader: Reader) -> None:
    assert NOTED["versions"][reader.card.id]["sha256"] == reader.file_digest, f"run {COMMAND}"
    found = answers_of(reader)
    assert set(found) == set(STUDY_VIEWS)
    compared = 0
    for view, shares in found.items():
        expected = noted(reader.card.id, view)
        np.testing.assert_allclose(shares, expected, atol=TOLERANCE)
        two = np.sort(expected, axis=1)[:, -2:]
        clear = two[:, 1] - two[:, 0] > 2 * TOLERANCE
        assert (shares.argmax(axis=1) == expected.argmax(axis=1))[clear].all()
        compared += int(clear.sum())
    assert compared > 28  # so that classes are compared, not probabilities alone


def test_cells_measured_on_the_drawn_faces_are_found_again(reader: Reader) -> None:
    _, labels = drawn_faces()
    for view, shares in answers_of(reader).items():
        expected = noted(reader.card.id, view)
        unclear = int((np.diff(np.sort(expected, axis=1)[:, -2:], axis=1) <= 2 * TOLERANCE).sum())
        one, other = (scores(confusion_matrix(labels, each.argmax(axis=1))) for each in (shares, expected))
        assert abs(float(one.accuracy) - float(other.accuracy)) <= unclear / len(labels)


def test_the_same_file_gives_the_same_bits_twice(reader: Reader) -> None:
    again = answers_of(open_reader(MODELS, "any", reader.card.id, threads=1))
    for view, shares in answers_of(reader).items():
        assert (again[view] == shares).all()


def test_the_drawn_faces_are_four_of_each_emotion() -> None:
    faces, labels = drawn_faces()
    assert faces.shape == (28, 48, 48)
    assert np.bincount(labels).tolist() == [4] * 7
    assert len({face.tobytes() for face in faces}) == 28


def test_the_study_ships_with_the_answers_that_its_cells_follow_from() -> None:
    check_study(MODELS)
