"""A whole study from answers: every table filled, figures traceable to the answers, refusals that help."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from shared.errors import StudyError
from shared.labels import LABELS
from shared.masking import STUDY_VIEWS, View
from shared.schemas.wire import SLOTS
from shared.study import StudyResult, Subset, read_study, write_study
from tests.unit.trainer.study.small_study import small_inputs, small_models, small_protocol
from trainer.evaluation import softmax
from trainer.study.result import assemble, published_results

INPUTS = small_inputs()


@pytest.fixture(scope="module")
def study() -> StudyResult:
    """Return the study of made-up models."""
    return assemble(INPUTS, small_protocol(), small_models())


def test_every_model_is_measured_on_every_view_and_part(study: StudyResult) -> None:
    assert len(study.cells) == 6 * 5 * 4
    assert [(cell.trained_on, cell.evaluated_on) for cell in study.cells[:30]] == [
        (slot, view) for slot in SLOTS for view in STUDY_VIEWS
    ]
    for cell in study.cells:
        assert np.sum(cell.confusion) == cell.count == study.protocol.subsets[cell.subset]


def test_the_parts_are_told_by_name_and_by_the_mark_of_clean_images(study: StudyResult) -> None:
    assert study.protocol.subsets == {Subset.ALL: 210, Subset.PUBLIC: 105, Subset.PRIVATE: 105, Subset.CLEAN: 189}
    public = INPUTS.logits["full", View.FULL][:105].argmax(axis=1) == INPUTS.labels[:105]
    cell = study.cell("full", "full", Subset.PUBLIC)
    assert cell is not None
    assert cell.metrics.accuracy.value == pytest.approx(public.mean(), abs=5e-5)


def test_a_part_without_images_is_left_out() -> None:
    study = assemble(replace(INPUTS, names=["a.png"] * 210), small_protocol(20), small_models())
    assert set(study.protocol.subsets) == {Subset.ALL, Subset.CLEAN}


def test_probabilities_are_those_at_each_models_temperature() -> None:
    study = assemble(INPUTS, small_protocol(20), small_models(temperature=0.5))
    cell = study.cell("upper", "left")
    assert cell is not None
    assert cell.calibration.temperature == 0.5
    served = softmax(INPUTS.logits["upper", View.LEFT] / 0.5)
    bins = cell.calibration.after
    assert sum(each.count * (each.confidence or 0) for each in bins) == pytest.approx(
        served.max(axis=1).sum(), rel=1e-4
    )
    is_class = np.eye(7)[INPUTS.labels]
    assert cell.metrics.micro_auc is not None
    assert cell.metrics.micro_auc.value == pytest.approx(roc_auc_score(is_class, served, average="micro"), abs=1e-4)


def test_the_answer_to_h1_follows_from_how_the_answers_were_made(study: StudyResult) -> None:
    first, second = study.hypotheses
    assert (first.id, first.verdict) == ("H1", "first")
    assert (second.id, second.verdict) == ("Q1", "undecided")
    known = {test.id for test in study.tests}
    for hypothesis in study.hypotheses:
        assert hypothesis.tests[0] == f"{hypothesis.id}-specialists-all"
        assert known >= {*hypothesis.tests, *hypothesis.emotion_tests}
        assert len(hypothesis.tests) == 3 * 4  # three readers, four parts


def test_recovery_agreement_robustness_and_shapley_are_filled(study: StudyResult) -> None:
    assert [(row.view, row.model) for row in study.recovery[:3]] == [
        ("upper", "upper"),
        ("upper", "any"),
        ("lower", "lower"),
    ]
    assert [row.setting for row in study.agreement] == ["own", *STUDY_VIEWS]
    assert {(point.model, point.corruption) for point in study.robustness.points} == {
        (slot, name) for slot in SLOTS for name in ("none", "rectangle")
    }
    assert [one.name for one in study.robustness.corruptions] == ["rectangle"]
    assert study.shapley is not None
    assert [row.label for row in study.shapley.rows] == [None, *LABELS]


def test_undamaged_points_are_the_cells_of_each_models_own_view(study: StudyResult) -> None:
    points = {point.model: point for point in study.robustness.points if point.corruption == "none"}
    own, whole = study.cell("left", "left"), study.cell("any", "full")
    assert own is not None
    assert whole is not None
    assert points["left"].accuracy == own.metrics.accuracy
    assert points["any"].macro_f1 == whole.metrics.macro_f1


def test_what_damage_changes_is_paired_with_the_same_faces_undamaged(study: StudyResult) -> None:
    for slot, view in (("left", View.LEFT), ("any", View.FULL)):
        point = next(one for one in study.robustness.points if (one.model, one.corruption) == (slot, "rectangle"))
        damaged = INPUTS.damaged[slot, "rectangle", 0.3].argmax(axis=1) == INPUTS.labels
        whole = INPUTS.logits[slot, view].argmax(axis=1) == INPUTS.labels
        assert point.change is not None
        assert point.change.low is not None
        assert point.change.value == pytest.approx(damaged.mean() - whole.mean(), abs=1e-6)
        assert point.change.low < point.change.value
    assert all(one.change is None for one in study.robustness.points if one.corruption == "none")


def test_where_damage_hides_another_half_no_change_is_told() -> None:
    inputs = small_inputs(damage=(("diagonal", 1.0), ("rectangle", 0.3)))
    points = assemble(inputs, small_protocol(20), small_models()).robustness.points
    told = {(point.model, point.corruption) for point in points if point.change}
    assert ("left", "diagonal") not in told
    assert {("left", "rectangle"), ("any", "diagonal"), ("full", "diagonal")} <= told


def test_the_shapley_table_adds_up_to_the_true_emotions_probability(study: StudyResult) -> None:
    assert study.shapley is not None
    assert INPUTS.coalitions is not None
    for row in study.shapley.rows:
        assert row.prior + sum(one.value for one in row.quadrants) == pytest.approx(row.whole, abs=5e-4)
        assert row.upper.value + row.lower.value == pytest.approx(row.left.value + row.right.value, abs=5e-4)
        assert row.upper_less_lower.value == pytest.approx(row.upper.value - row.lower.value, abs=2e-4)
    happy = INPUTS.labels == 3
    row = study.shapley.rows[1 + 3]
    assert row.whole == pytest.approx(INPUTS.coalitions[happy, 15, 3].mean(), abs=1e-4)


def test_a_study_without_damage_and_coalitions_is_a_study() -> None:
    study = assemble(replace(INPUTS, damaged={}, coalitions=None), small_protocol(20), small_models())
    assert study.shapley is None
    assert study.robustness.points == ()


def test_the_whole_is_written_and_read_and_does_not_depend_on_chance(study: StudyResult, tmp_path: Path) -> None:
    write_study(study, tmp_path / "study.json")
    assert read_study(tmp_path / "study.json") == study
    assert assemble(INPUTS, small_protocol(), small_models()) == study


def test_the_original_figures_ship_with_it() -> None:
    published = published_results()
    cells = {(cell.trained_on, cell.evaluated_on): cell for cell in published.cells}
    assert len(cells) == 25
    assert cells[View.FULL, View.FULL].accuracy == 0.6649
    assert cells[View.LOWER, View.LOWER].accuracy == 0.5433
    assert set(cells[View.FULL, View.UPPER].class_accuracy) == set(LABELS)


def test_a_study_of_other_test_images_is_not_set_beside_the_originals(study: StudyResult) -> None:
    assert len(INPUTS.labels) != published_results().test_images
    assert study.published is None


def test_models_that_read_other_images_are_refused() -> None:
    broken = dict(INPUTS.logits) | {("upper", View.LEFT): INPUTS.logits["upper", View.LEFT][:-1]}
    with pytest.raises(StudyError, match="same test images"):
        replace(INPUTS, logits=broken)


def test_a_missing_reading_is_named() -> None:
    without = {reading: one for reading, one in INPUTS.logits.items() if reading != ("any", View.LEFT)}
    with pytest.raises(StudyError, match="missing: any on left"):
        replace(INPUTS, logits=without)
