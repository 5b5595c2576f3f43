"""The file of answers: written and read alike, refused where it is broken, and never a way to run code."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shared.errors import StudyError
from shared.study_answers import StudyAnswers, image_order, read_answers, write_answers

ANSWERS = StudyAnswers(
    fingerprint="0" * 64,
    test_fingerprint="1" * 64,
    models=("full", "any"),
    versions=("full/1", "any/1"),
    views=("full", "upper"),
    labels=np.array([0, 3, 6], np.uint8),
    answers=np.arange(12, dtype=np.uint8).reshape(2, 2, 3) % 7,
    confidences=np.full((2, 2, 3), 90, np.uint8),
)


def test_answers_are_read_as_they_were_written_and_the_same_ones_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        write_answers(ANSWERS, tmp_path / name)

    read = read_answers(tmp_path / "one.npz")

    assert (read.fingerprint, read.models, read.versions, read.views) == (
        ANSWERS.fingerprint,
        ANSWERS.models,
        ANSWERS.versions,
        ANSWERS.views,
    )
    assert (read.answers == ANSWERS.answers).all()
    assert (read.confidences == ANSWERS.confidences).all()
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_images_stand_in_the_order_of_their_pixels_and_labels() -> None:
    assert image_order(["b", "a", "b", "c"], [5, 1, 2, 0]).tolist() == [1, 2, 0, 3]


@pytest.mark.parametrize(
    "wrong",
    [
        {"answers": np.full((2, 2, 3), 7, np.uint8)},
        {"answers": np.zeros((2, 3), np.uint8)},
        {"confidences": np.full((2, 2, 3), 101, np.uint8)},
        {"labels": np.zeros(3, np.int64)},
        {"versions": ("full/1",)},
    ],
    ids=["an eighth class", "another shape", "beyond certainty", "another type", "a version too few"],
)
def test_what_cannot_be_answers_is_refused(wrong: dict[str, object], tmp_path: Path) -> None:
    write_answers(replace(ANSWERS, **wrong), tmp_path / "a.npz")
    with pytest.raises(StudyError, match=r"a\.npz cannot be read; make it again"):
        read_answers(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", pickle.dumps({"labels": 1})])
def test_a_broken_file_is_refused_with_a_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(StudyError, match="make it again"):
        read_answers(tmp_path / "a.npz")


def test_a_file_with_pickled_objects_is_refused_unread(tmp_path: Path) -> None:
    arrays = {name: np.asarray(value) for name, value in vars(ANSWERS).items()}
    np.savez(tmp_path / "a.npz", **{**arrays, "labels": np.array([{}, {}, {}], dtype=object)})
    with pytest.raises(StudyError, match="cannot be read"):
        read_answers(tmp_path / "a.npz")


def test_a_missing_file_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="study-report"):
        read_answers(tmp_path / "absent.npz")
