"""Which answers of a study's models go into which row of its tables of recovery and of agreement."""

import numpy as np
import pytest

from shared.masking import STUDY_VIEWS, View
from shared.study import StudyResult
from tests.unit.trainer.study.small_study import small_inputs, small_models, small_protocol
from trainer.study.result import assemble

INPUTS = small_inputs()
ROUNDING = 6e-5
"""By which a figure of the file may differ from what was counted: it has four decimals."""


@pytest.fixture(scope="module")
def study() -> StudyResult:
    """Return the study of made-up models."""
    return assemble(INPUTS, small_protocol(20), small_models())


def accuracy(study: StudyResult, slot: str, view: str) -> float:
    """Return a cell's accuracy on all test images."""
    cell = study.cell(slot, view)
    assert cell is not None
    return cell.metrics.accuracy.value


def test_each_row_of_recovery_is_made_of_the_cells_that_it_names(study: StudyResult) -> None:
    rows = [(view, model) for view in STUDY_VIEWS[1:] for model in (view.value, "any")]
    assert [(row.view, row.model) for row in study.recovery] == rows
    for row in study.recovery:
        whole, hidden, trained = (
            accuracy(study, *cell) for cell in (("full", "full"), ("full", row.view), (row.model, row.view))
        )
        assert row.full_on_full == pytest.approx(whole, abs=ROUNDING)
        assert row.full_on_view == pytest.approx(hidden, abs=ROUNDING)
        assert row.model_on_view == pytest.approx(trained, abs=ROUNDING)
        assert row.loss.value == pytest.approx(whole - hidden, abs=2 * ROUNDING)
        assert row.recovered is not None
        assert row.recovered.value == pytest.approx((trained - hidden) / (whole - hidden), abs=1e-2)
    assert len({row.full_on_view for row in study.recovery}) == len(STUDY_VIEWS) - 1  # else one could stand for another
    trained_on = {(row.view, row.model): row.model_on_view for row in study.recovery}
    assert all(trained_on[view, view.value] != trained_on[view, "any"] for view in STUDY_VIEWS[1:])


def test_each_row_of_agreement_is_of_the_five_specialists_on_what_it_names(study: StudyResult) -> None:
    specialists = [view.value for view in STUDY_VIEWS]
    assert [row.setting for row in study.agreement] == ["own", *STUDY_VIEWS]
    for row in study.agreement:
        seen = {name: View(name if row.setting == "own" else row.setting) for name in specialists}
        answers = np.stack([INPUTS.logits[name, view].argmax(axis=1) for name, view in seen.items()])
        assert list(row.models) == specialists
        assert row.all_right.value == pytest.approx((answers == INPUTS.labels).all(axis=0).mean(), abs=ROUNDING)
        assert row.none_right.value == pytest.approx((answers != INPUTS.labels).all(axis=0).mean(), abs=ROUNDING)
        assert row.all_alike.value == pytest.approx((answers == answers[0]).all(axis=0).mean(), abs=ROUNDING)
        alike = [[(one == other).mean() for other in answers] for one in answers]
        np.testing.assert_allclose(row.share, alike, atol=ROUNDING)
