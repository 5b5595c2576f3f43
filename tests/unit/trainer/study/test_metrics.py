"""A cell's figures equal scikit-learn's and what one counts by hand; areas and curves agree."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from shared.labels import LABELS
from shared.masking import View
from shared.probabilities import Logits, softmax
from shared.study import CURVE_POINTS, Cell, Subset
from tests.unit.trainer.study.small_study import answers, labels_of
from trainer.evaluation import measure
from trainer.study import confusion as confusion_module
from trainer.study.bootstrap import draw
from trainer.study.curves import precision_recall_curves, roc_curves
from trainer.study.metrics import measure_cell
from trainer.study.ranking import all_areas, areas

Labels = npt.NDArray[np.int64]
LABELS_350 = np.sort(np.random.default_rng(1).choice(7, 350, p=[0.13, 0.02, 0.14, 0.25, 0.17, 0.17, 0.12]))
LOGITS_350 = answers(LABELS_350, 1.4, 7)


def cell_of(logits: Logits, labels: Labels, subset: Subset = Subset.ALL, temperature: float = 1.0) -> Cell:
    return measure_cell(
        logits,
        labels,
        trained_on="full",
        evaluated_on=View.FULL,
        subset=subset,
        temperature=temperature,
        weights=draw(len(labels), 200),
    )


# --- from the confusion matrix ---------------------------------------------------------------------------------------


def test_a_confusion_matrix_counted_by_hand() -> None:
    figures = confusion_module.scores(np.array([[3, 1], [2, 4]]))
    assert figures.accuracy == pytest.approx(0.7)
    np.testing.assert_allclose(figures.recall, [3 / 4, 4 / 6])
    np.testing.assert_allclose(figures.precision, [3 / 5, 4 / 5])
    np.testing.assert_allclose(figures.f1, [6 / 9, 8 / 11])
    assert figures.macro_f1 == pytest.approx((6 / 9 + 8 / 11) / 2)
    assert figures.weighted_f1 == pytest.approx((4 * 6 / 9 + 6 * 8 / 11) / 10)


def test_figures_of_many_matrices_are_those_of_each() -> None:
    many = np.random.default_rng(0).integers(1, 20, (5, 7, 7))
    together = confusion_module.scores(many)
    for index, one in enumerate(many):
        np.testing.assert_allclose(together.macro_f1[index], confusion_module.scores(one).macro_f1)
        np.testing.assert_allclose(together.precision[index], confusion_module.scores(one).precision)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=40))
def test_f1_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    figures = confusion_module.scores(confusion_module.confusion_matrix(labels, predicted))
    for average, mine in (
        ("macro", figures.macro_f1),
        ("micro", figures.accuracy),
        ("weighted", figures.weighted_f1),
    ):
        theirs = f1_score(labels, predicted, labels=range(7), average=average, zero_division=0)
        assert mine == pytest.approx(theirs)


def test_a_resampled_confusion_matrix_is_that_of_the_images_drawn() -> None:
    labels, predicted = np.array([0, 1, 1, 6]), np.array([0, 1, 2, 6])
    weights = np.array([[2, 0, 1, 1]], np.float32)
    drawn = [0, 0, 2, 3]
    expected = confusion_matrix(labels[drawn], predicted[drawn], labels=range(7))
    np.testing.assert_array_equal(confusion_module.resampled_confusions(labels, predicted, weights)[0], expected)


# --- areas -----------------------------------------------------------------------------------------------------------


def test_areas_counted_by_hand_with_a_tie() -> None:
    found = areas(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]), np.ones((1, 4), np.float32))
    assert found.auc[0] == pytest.approx(3.5 / 4)  # one of four pairs is a tie
    assert found.ap[0] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 3)), min_size=2, max_size=30).filter(
        lambda rows: len({positive for _, positive, _ in rows}) == 2
    )
)
def test_areas_of_weighted_images_are_scikit_learns(rows: list[tuple[int, bool, int]]) -> None:
    scores, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    found = areas(scores.astype(float), positive, weights[None].astype(np.float32))
    assert found.auc[0] == pytest.approx(roc_auc_score(positive, scores, sample_weight=weights), abs=1e-6)
    assert found.ap[0] == pytest.approx(average_precision_score(positive, scores, sample_weight=weights), abs=1e-6)


def test_areas_over_all_classes_are_scikit_learns() -> None:
    probabilities = softmax(LOGITS_350)
    found = all_areas(probabilities, LABELS_350, np.ones((1, 350), np.float32))
    is_class = np.eye(7)[LABELS_350]
    for average, mine in (("macro", found.macro), ("micro", found.micro), ("weighted", found.weighted)):
        assert mine.auc[0] == pytest.approx(roc_auc_score(is_class, probabilities, average=average), abs=1e-6)
        assert mine.ap[0] == pytest.approx(average_precision_score(is_class, probabilities, average=average), abs=1e-6)


def test_the_areas_of_a_resample_are_those_of_the_images_drawn() -> None:
    probabilities, labels = softmax(answers(labels_of(70), 1.0, 3)), labels_of(70)
    weights = draw(70, 3, seed=1)
    for row, found in zip(weights, all_areas(probabilities, labels, weights).micro.auc, strict=True):
        drawn = np.repeat(np.arange(70), row.astype(int))
        assert found == pytest.approx(
            roc_auc_score(np.eye(7)[labels[drawn]], probabilities[drawn], average="micro"), abs=1e-6
        )


def test_there_is_no_area_where_a_class_has_no_image() -> None:
    labels = np.array([0, 0, 1, 1])
    found = all_areas(softmax(answers(labels, 1.0, 0)), labels, np.ones((1, 4), np.float32))
    assert np.isnan(found.macro.auc[0])
    assert np.isnan(found.micro.ap[0])
    assert np.isnan(found.classes.auc[0, 2])
    assert not np.isnan(found.classes.auc[0, 0])


# --- curves ----------------------------------------------------------------------------------------------------------


def test_the_area_under_each_drawn_curve_is_about_the_area_of_all_points() -> None:
    probabilities = softmax(LOGITS_350)
    found = all_areas(probabilities, LABELS_350, np.ones((1, 350), np.float32))
    expected = dict(zip(LABELS, found.classes.auc[0], strict=True)) | {
        name: getattr(found, name).auc[0] for name in ("macro", "micro", "weighted")
    }
    curves = {curve.name: curve for curve in roc_curves(probabilities, LABELS_350)}
    assert list(curves) == [*LABELS, "macro", "micro", "weighted"]
    for name, curve in curves.items():
        assert len(curve.x) <= CURVE_POINTS
        assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
        assert np.trapezoid(curve.y, curve.x) == pytest.approx(expected[name], abs=0.01)


def test_the_macro_curve_of_few_points_has_exactly_the_macro_area() -> None:
    labels = labels_of(14)
    probabilities = softmax(answers(labels, 1.0, 2))
    curve = next(curve for curve in roc_curves(probabilities, labels) if curve.name == "macro")
    assert len(curve.x) < CURVE_POINTS
    expected = roc_auc_score(np.eye(7)[labels], probabilities, average="macro")
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(expected, abs=1e-3)


def test_precision_recall_curves_go_from_no_recall_to_the_share_of_the_class() -> None:
    curves = {curve.name: curve for curve in precision_recall_curves(softmax(LOGITS_350), LABELS_350)}
    assert list(curves) == [*LABELS, "micro"]
    for curve in curves.values():
        assert len(curve.x) <= CURVE_POINTS
        assert list(curve.x) == sorted(curve.x)
        assert (curve.x[0], curve.y[0], curve.x[-1]) == (0, 1, 1)
    assert curves["happy"].y[-1] == pytest.approx((LABELS_350 == 3).mean(), abs=1e-4)


def test_a_class_without_images_has_no_curve() -> None:
    labels = np.array([0, 0, 1, 1])
    assert [curve.name for curve in roc_curves(softmax(answers(labels, 1, 0)), labels)] == ["angry", "disgust"]


# --- a whole cell ----------------------------------------------------------------------------------------------------


def test_a_cell_has_the_figures_that_evaluation_has() -> None:
    cell, figures = cell_of(LOGITS_350, LABELS_350), measure(LOGITS_350, LABELS_350)
    for name in ("accuracy", "macro_f1", "weighted_f1", "weighted_auc"):
        assert getattr(cell.metrics, name).value == pytest.approx(figures[name], abs=5e-5)
    for row in cell.classes:
        assert row.accuracy.value == pytest.approx(figures["class_accuracy"][row.label], abs=5e-5)


def test_a_cells_classes_are_scikit_learns() -> None:
    cell, predicted = cell_of(LOGITS_350, LABELS_350), LOGITS_350.argmax(axis=1)
    np.testing.assert_array_equal(cell.confusion, confusion_matrix(LABELS_350, predicted))
    expected = {
        "accuracy": recall_score(LABELS_350, predicted, average=None),
        "precision": precision_score(LABELS_350, predicted, average=None),
        "f1": f1_score(LABELS_350, predicted, average=None),
    }
    for name, values in expected.items():
        np.testing.assert_allclose([getattr(row, name).value for row in cell.classes], values, atol=5e-5)


def test_the_mean_probability_of_an_emotion_is_taken_over_all_images_at_the_temperature() -> None:
    cell = cell_of(LOGITS_350, LABELS_350, temperature=0.5)
    expected = softmax(LOGITS_350, 0.5).mean(axis=0)
    assert [one.mean_probability for one in cell.classes] == pytest.approx(expected, abs=1e-4)
    assert sum(one.mean_probability or 0 for one in cell.classes) == pytest.approx(1, abs=1e-3)


def test_every_interval_of_a_cell_holds_its_value_and_is_wider_for_a_rare_emotion() -> None:
    cell = cell_of(LOGITS_350, LABELS_350)
    for name in ("accuracy", "macro_f1", "weighted_f1", "macro_auc", "micro_auc", "weighted_auc", "macro_ap"):
        figure = getattr(cell.metrics, name)
        assert figure.low < figure.value < figure.high, name
    widths = {row.label: row.accuracy.high - row.accuracy.low for row in cell.classes}
    assert widths["disgust"] > 2 * widths["happy"]


def test_the_areas_interval_is_as_wide_as_delong_says() -> None:
    labels = np.random.default_rng(2).integers(0, 7, 1400)
    logits = answers(labels, 1.0, 5)
    scores = softmax(logits)[:, 3]
    above = scores[labels == 3][:, None] > scores[labels != 3][None, :]
    variance = above.mean(axis=1).var(ddof=1) / len(above) + above.mean(axis=0).var(ddof=1) / above.shape[1]
    area = cell_of(logits, labels).classes[3].auc
    assert area.value == pytest.approx(above.mean(), abs=1e-4)
    assert area.high - area.low == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.15)


def test_only_the_whole_test_set_has_curves_and_bins() -> None:
    cell = cell_of(LOGITS_350, LABELS_350, Subset.CLEAN)
    assert cell.roc == cell.precision_recall == cell.calibration.before == ()
    assert cell.subset == "clean"
    assert len(cell_of(LOGITS_350, LABELS_350).calibration.after) == 15


def test_a_cell_without_images_of_an_emotion_says_so() -> None:
    labels = labels_of(70) % 6
    cell = cell_of(answers(labels, 2.0, 1), labels)
    surprise = cell.classes[6]
    assert (surprise.count, surprise.accuracy, surprise.f1, surprise.auc) == (0, None, None, None)
    assert cell.metrics.macro_auc is None
    assert cell.metrics.accuracy.value > 0
