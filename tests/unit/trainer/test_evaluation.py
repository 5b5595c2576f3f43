"""Figures equal what one counts by hand and what scikit-learn says; logits are those of the view."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score

from shared.labels import LABELS
from shared.masking import Hidden, View
from shared.preprocessing import InputSpec, prepare
from shared.probabilities import Logits, softmax
from trainer.evaluation import accuracy, cross_entropy, logits_of, measure, torch_forward
from trainer.network import build_network


def answers(*predicted: int) -> Logits:
    """Return logits that predict these classes."""
    return np.eye(7, dtype=np.float32)[list(predicted)] * 4


@pytest.fixture(scope="module")
def noisy() -> tuple[Logits, npt.NDArray[np.int64]]:
    """Return 300 answers that are often right, and the truth."""
    rng = np.random.default_rng(0)
    labels = rng.choice(7, 300, p=[0.1, 0.05, 0.15, 0.3, 0.2, 0.1, 0.1]).astype(np.int64)
    return (rng.normal(size=(300, 7)) + 1.5 * np.eye(7)[labels]).astype(np.float32), labels


# --- figures ---------------------------------------------------------------------------------------------------------


def test_a_case_counted_by_hand() -> None:
    labels = np.array([0, 0, 0, 3, 3, 6], dtype=np.int64)
    figures = measure(answers(0, 0, 3, 3, 0, 6), labels)
    angry, happy, surprise = 2 / 3, 1 / 2, 1.0  # of each, precision and recall are the same
    assert figures["count"] == 6
    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["macro_f1"] == pytest.approx((angry + happy + surprise) / 7)
    assert figures["weighted_f1"] == pytest.approx((3 * angry + 2 * happy + 1 * surprise) / 6)
    assert figures["class_accuracy"] == {
        **dict.fromkeys(LABELS),
        "angry": pytest.approx(2 / 3),
        "happy": pytest.approx(1 / 2),
        "surprise": 1.0,
    }


def test_all_right_and_all_wrong() -> None:
    labels = np.arange(7, dtype=np.int64)
    right, wrong = measure(answers(*range(7)), labels), measure(answers(1, 2, 3, 4, 5, 6, 0), labels)
    names = ("accuracy", "macro_f1", "weighted_f1")
    assert [right[name] for name in (*names, "weighted_auc")] == [1.0] * 4
    assert [wrong[name] for name in names] == [0.0] * 3
    assert set(wrong["class_accuracy"].values()) == {0.0}


def test_figures_are_those_of_scikit_learn(noisy: tuple[Logits, npt.NDArray[np.int64]]) -> None:
    logits, labels = noisy
    figures, predicted = measure(logits, labels), logits.argmax(axis=1)
    auc = roc_auc_score(labels, softmax(logits), multi_class="ovr", average="weighted")
    assert figures["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert figures["weighted_f1"] == pytest.approx(f1_score(labels, predicted, average="weighted"))
    assert figures["weighted_auc"] == pytest.approx(auc)
    recall = balanced_accuracy_score(labels, predicted)
    assert np.mean(list(figures["class_accuracy"].values())) == pytest.approx(recall)


def test_the_area_under_the_curve_equals_the_share_of_pairs_in_order(
    noisy: tuple[Logits, npt.NDArray[np.int64]],
) -> None:
    logits, labels = noisy
    total = 0.0
    for index in range(7):
        score = softmax(logits)[:, index]
        mine, others = score[labels == index], score[labels != index]
        total += float((mine[:, None] > others[None]).mean()) * len(mine) / len(labels)
    assert measure(logits, labels)["weighted_auc"] == pytest.approx(total)


def test_there_is_no_area_where_a_class_is_missing() -> None:
    assert measure(answers(0, 1, 2, 3, 4, 5), np.arange(6, dtype=np.int64))["weighted_auc"] is None


def test_accuracy_and_cross_entropy_counted_by_hand() -> None:
    logits = np.log(np.array([[0.4, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], [0.04, 0.76, 0.04, 0.04, 0.04, 0.04, 0.04]]))
    labels = np.array([0, 2], dtype=np.int64)
    assert accuracy(logits.astype(np.float32), labels) == 0.5
    expected = -(math.log(0.4) + math.log(0.04)) / 2
    assert cross_entropy(logits.astype(np.float32), labels) == pytest.approx(expected, abs=1e-6)


def test_probabilities_sum_to_one_and_huge_logits_do_no_harm() -> None:
    logits = np.array([[1e4, 0, 0, 0, 0, 0, -1e4], [0, 0, 0, 0, 0, 0, 0]], dtype=np.float32)
    probabilities = softmax(logits)
    assert np.allclose(probabilities.sum(axis=1), 1)
    assert probabilities[0, 0] == 1
    assert math.isfinite(cross_entropy(logits, np.array([6, 6], dtype=np.int64)))


# --- logits ----------------------------------------------------------------------------------------------------------


class Seen:
    """A forward function that keeps what it was given and answers with class 0."""

    def __init__(self) -> None:
        self.batches: list[npt.NDArray[np.float32]] = []

    def __call__(self, batch: npt.NDArray[np.float32]) -> Logits:
        self.batches.append(batch)
        return np.zeros((len(batch), 7), dtype=np.float32)


@pytest.fixture(scope="module")
def faces() -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(1, 256, (11, 20, 20), dtype=np.uint8)


@pytest.mark.parametrize(
    "hidden",
    [*View, [frozenset({1 + index % 4}) for index in range(11)]],
    ids=[*View, "each its own"],
)
def test_each_face_is_seen_with_its_part_hidden(
    hidden: Hidden | Sequence[Hidden], faces: npt.NDArray[np.uint8]
) -> None:
    seen, spec = Seen(), InputSpec(size=16)
    assert logits_of(seen, faces, hidden, spec, batch_size=4).shape == (11, 7)
    assert [len(batch) for batch in seen.batches] == [4, 4, 3]
    assert np.array_equal(np.concatenate(seen.batches), prepare(faces, hidden, spec))


@pytest.mark.parametrize(("size", "together"), [(16, 64), (48, 64), (96, 16), (224, 2)])
def test_fewer_of_large_faces_are_read_at_once(size: int, together: int, faces: npt.NDArray[np.uint8]) -> None:
    seen = Seen()
    assert logits_of(seen, np.tile(faces, (6, 1, 1)), View.FULL, InputSpec(size=size)).shape == (66, 7)
    assert max(len(batch) for batch in seen.batches) == together


def test_a_network_answers_alike_in_any_batch_size_and_is_left_in_eval_mode(faces: npt.NDArray[np.uint8]) -> None:
    torch.manual_seed(0)
    network, spec = build_network("resnet18"), InputSpec(size=16)
    network.state_dict()["fc.weight"].normal_()
    forward = torch_forward(network.train(), torch.device("cpu"))
    whole = logits_of(forward, faces, View.UPPER, spec)
    assert whole.dtype == np.float32
    assert not network.training
    assert np.allclose(whole, logits_of(forward, faces, View.UPPER, spec, batch_size=3), atol=1e-3)
    assert not np.allclose(whole, logits_of(forward, faces, View.LOWER, spec), atol=1e-3)
