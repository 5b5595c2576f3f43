"""The declared tests, their families and the answers that follow from them."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from shared.masking import STUDY_VIEWS, View
from shared.schemas.wire import SLOTS
from shared.study import PairedTest, Subset
from tests.unit.trainer.study.small_study import small_inputs
from trainer.study.bootstrap import draw
from trainer.study.comparisons import Readings, compare
from trainer.study.hypotheses import PER_EMOTION, PRIMARY, QUESTIONS, TRAINING, answer, declared_comparisons
from trainer.study.paired_tests import holm

H1, Q1 = QUESTIONS


def readings(accuracy: dict[str, float], images: int = 700) -> Readings:
    """Return readings that are right as often as said of `model-view`, else on 60 % of the images."""
    rng = np.random.default_rng(0)
    labels = np.arange(images) % 7
    answers = {
        (slot, view): np.where(rng.random(images) < accuracy.get(f"{slot}-{view}", 0.6), labels, (labels + 1) % 7)
        for slot in SLOTS
        for view in STUDY_VIEWS
    }
    return Readings(Subset.ALL, answers, labels, draw(images, 200))


def compared(**accuracy: float) -> list[PairedTest]:
    named = {name.replace("_", "-"): share for name, share in accuracy.items()}
    return compare(declared_comparisons(per_emotion=True), readings(named))


def test_three_families_are_declared() -> None:
    families = [one.family for one in declared_comparisons(per_emotion=True)]
    assert {name: families.count(name) for name in families} == {PRIMARY: 6, PER_EMOTION: 42, TRAINING: 9}
    assert PER_EMOTION not in [one.family for one in declared_comparisons(per_emotion=False)]


def test_the_upper_half_is_what_the_model_lower_sees() -> None:
    decisive = next(one for one in declared_comparisons(per_emotion=False) if one.name == "H1-specialists")
    assert (decisive.first, decisive.second) == (("lower", View.LOWER), ("upper", View.UPPER))
    assert (H1.first, H1.second) == ("upper half", "lower half")
    decisive = next(one for one in declared_comparisons(per_emotion=False) if one.name == "Q1-specialists")
    assert (decisive.first, Q1.first) == (("right", View.RIGHT), "left half")


def test_p_is_corrected_within_the_family() -> None:
    tests = compared(lower_lower=0.7, any_lower=0.65)
    for family in (PRIMARY, PER_EMOTION, TRAINING):
        members = [test for test in tests if test.family == family]
        np.testing.assert_allclose(
            [test.p_corrected for test in members], holm([test.p for test in members]), rtol=0.02
        )


def test_an_emotions_test_counts_its_images_alone() -> None:
    test = next(test for test in compared(lower_lower=0.9) if test.id == "H1-specialists-all-sad")
    assert (test.n, test.label) == (100, "sad")
    assert test.only_first - test.only_second == pytest.approx(test.difference.value * 100)
    assert "100 images of sad" in test.sentence


def test_an_emotion_without_images_has_no_test() -> None:
    few = readings({})
    without = Readings(few.subset, few.answers, few.labels % 6, few.weights)
    tests = compare(declared_comparisons(per_emotion=True), without)
    assert sum(test.family == PER_EMOTION for test in tests) == 36


@pytest.mark.parametrize(
    ("upper_half", "lower_half", "verdict", "words"),
    [
        (0.8, 0.5, "first", "The upper half is worth more than the lower half"),
        (0.5, 0.8, "second", "The lower half is worth more than the upper half"),
        (0.6, 0.6, "undecided", "No difference shown"),
    ],
)
def test_the_specialists_decide_the_answer(upper_half: float, lower_half: float, verdict: str, words: str) -> None:
    found = answer(H1, compared(lower_lower=upper_half, upper_upper=lower_half))
    assert found.verdict == verdict
    assert found.answer.startswith(words)
    assert "With the model any: not shown" in found.answer
    assert found.tests == ("H1-specialists-all", "H1-any-all", "H1-full-all")
    assert len(found.emotion_tests) == 21


def test_a_model_that_says_otherwise_is_named() -> None:
    found = answer(H1, compared(lower_lower=0.8, upper_upper=0.5, full_lower=0.4, full_upper=0.7))
    assert "With the model full: lower half ahead, -" in found.answer


def test_left_against_right_says_what_mirroring_means() -> None:
    found = answer(Q1, compared())
    assert any("mirrored" in limit for limit in found.limits)
    assert len(found.limits) == len(answer(H1, compared()).limits) + 1


def test_without_mirrored_faces_in_training_nothing_is_said_of_them() -> None:
    assert answer(Q1, compared(), mirrored=False).limits == answer(H1, compared()).limits


def test_a_test_over_all_emotions_has_the_difference_of_macro_f1_too_paired() -> None:
    read = readings({"lower-lower": 0.8, "upper-upper": 0.5})
    tests = {test.id: test for test in compare(declared_comparisons(per_emotion=True), read)}
    found = tests["H1-specialists-all"].macro_f1_difference
    assert found is not None
    first, second = read.answers["lower", View.LOWER], read.answers["upper", View.UPPER]
    assert found.value == pytest.approx(
        f1_score(read.labels, first, average="macro") - f1_score(read.labels, second, average="macro")
    )
    one = np.repeat(np.arange(700), read.weights[0].astype(int))  # the images of the first resample
    drawn = f1_score(read.labels[one], first[one], average="macro")
    assert read.macro_f1["lower", View.LOWER][1][0] == pytest.approx(drawn)
    assert found.low is not None
    assert found.high is not None
    assert 0.2 < found.low < found.value < found.high < 0.4
    assert tests["H1-specialists-all-sad"].macro_f1_difference is None


def test_small_inputs_are_made_as_said() -> None:
    logits, labels = small_inputs().logits, small_inputs().labels
    right = {reading: (one.argmax(axis=1) == labels).mean() for reading, one in logits.items()}
    assert right["lower", View.LOWER] > right["upper", View.UPPER] + 0.2
