"""What a network answered is computed once, kept, and found again, also after a stop."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from shared.errors import SelfTestError
from shared.masking import View
from shared.model_folder import model_path, read_active
from shared.shapley import coalition_faces
from trainer.data import Dataset, load_dataset
from trainer.errors import Stopped
from trainer.evaluation import logits_of
from trainer.study.answers import Answers, Reader, open_reader


@pytest.fixture(scope="module")
def data(drawn_dataset: Path) -> Dataset:
    """Return the drawn faces at the tiny network's size."""
    return load_dataset(drawn_dataset, size=32, duplicate_similarity=1.01)


@pytest.fixture(scope="module")
def reader(models_dir: Path) -> Reader:
    """Return the tiny network's file."""
    return open_reader(models_dir, "full", read_active(models_dir)["full"], threads=1)


class Counted:
    """A reader's network that counts the faces that it reads."""

    def __init__(self, reader: Reader) -> None:
        self.faces = 0
        self._forward = reader.forward
        self.reader = replace(reader, forward=self._read)

    def _read(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        self.faces += len(batch)
        return self._forward(batch)


def test_the_answer_is_that_of_the_file_and_is_computed_once(data: Dataset, reader: Reader, tmp_path: Path) -> None:
    counted, faces = Counted(reader), data.test.faces
    first = Answers(tmp_path).logits(counted.reader, faces, View.UPPER)
    again = Answers(tmp_path).logits(counted.reader, faces, View.UPPER)

    np.testing.assert_allclose(
        first, logits_of(reader.forward, faces, View.UPPER, reader.card.input, batch_size=64), atol=1e-5
    )
    assert (again == first).all()
    assert counted.faces == len(faces)


@pytest.mark.parametrize("content", [b"", b"damaged", "short", "no number"])
def test_damaged_answers_are_computed_again(
    content: bytes | str, data: Dataset, reader: Reader, tmp_path: Path
) -> None:
    counted, faces = Counted(reader), data.test.faces
    first = Answers(tmp_path).logits(counted.reader, faces, View.UPPER)
    (path,) = tmp_path.glob("*.npy")
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "short":
        np.save(path, first[:-1])
    else:
        np.save(path, np.full_like(first, np.nan))

    assert (Answers(tmp_path).logits(counted.reader, faces, View.UPPER) == first).all()
    assert counted.faces == 2 * len(faces)


def test_a_file_that_serves_two_slots_is_read_once_and_other_faces_anew(
    data: Dataset, reader: Reader, tmp_path: Path
) -> None:
    counted, faces = Counted(reader), data.test.faces
    answers = Answers(tmp_path)
    answers.logits(counted.reader, faces, View.LEFT)
    answers.logits(replace(counted.reader, slot="any"), faces, View.LEFT)
    assert counted.faces == len(faces)
    answers.logits(counted.reader, faces[::-1], View.LEFT)
    assert counted.faces == 2 * len(faces)


def test_what_another_run_was_answered_is_not_asked_again(data: Dataset, reader: Reader, tmp_path: Path) -> None:
    counted, faces = Counted(reader), data.test.faces
    runs_dir, folder = tmp_path / "runs", tmp_path / "study"
    first = Answers(runs_dir / "one" / "answers").logits(counted.reader, faces, View.LEFT)
    told: list[int] = []
    answers = Answers(folder, told.append, runs_dir)
    assert (answers.logits(counted.reader, faces, View.LEFT) == first).all()
    assert (counted.faces, told) == (len(faces), [len(faces)])
    answers.logits(counted.reader, faces, View.RIGHT)
    assert counted.faces == 2 * len(faces)
    assert len(list(folder.glob("*.npy"))) == 1


def test_coalitions_take_over_what_was_read_of_the_views(data: Dataset, reader: Reader, tmp_path: Path) -> None:
    counted, faces = Counted(reader), data.test.faces[:3]
    answers = Answers(tmp_path)
    for view in (View.FULL, View.UPPER, View.DIAGONAL):
        answers.logits(counted.reader, faces, view)

    found = answers.coalitions(counted.reader, faces)

    assert counted.faces == 15 * 3
    np.testing.assert_allclose(found, reader.forward(coalition_faces(faces, reader.card.input)), atol=1e-4)


def test_a_study_that_was_stopped_goes_on_with_what_is_kept(data: Dataset, reader: Reader, tmp_path: Path) -> None:
    counted, faces = Counted(reader), data.test.faces
    asked: list[int] = []

    def tell(read: int) -> None:
        asked.append(read)
        if len(asked) == 2:
            raise Stopped("Stopped.")

    stopping = Answers(tmp_path, tell)
    stopping.logits(counted.reader, faces, View.FULL)
    with pytest.raises(Stopped):
        stopping.logits(counted.reader, faces, View.UPPER)

    told: list[int] = []
    going_on = Answers(tmp_path, told.append)
    for view in (View.FULL, View.UPPER, View.FULL):
        going_on.logits(counted.reader, faces, view)
    assert counted.faces == 2 * len(faces)
    assert sum(told) == 2 * len(faces)  # what was kept counts too, but once


def test_a_network_that_does_not_answer_as_its_card_says_is_not_measured(models_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(models_dir, tmp_path / "models")
    model = read_active(models_dir)["full"]
    card = model_path(tmp_path / "models", model) / "card.json"
    told = json.loads(card.read_text())
    told["self_test"]["full"] = [9.0] * 7
    card.write_text(json.dumps(told))
    with pytest.raises(SelfTestError, match=f"{model} fails its self-test"):
        open_reader(tmp_path / "models", "full", model, 1)
