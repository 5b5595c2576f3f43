"""Whether a study's file says what the answers beside it say: needs no data set and no network."""

from pathlib import Path

import numpy as np
import pytest

from shared.labels import LABEL_INDEX, LABELS
from shared.model_folder import read_active, read_card
from shared.study import STUDY_FILE, StudyResult, Subset, read_study
from shared.study_answers import STUDY_ANSWERS_FILE, StudyAnswers, read_answers
from trainer.study.confusion import confusion_matrix
from trainer.study.hypotheses import QUESTIONS, answer
from trainer.study.paired_tests import mcnemar


def check_study(models_dir: Path) -> None:
    """Check the study's file against the answers; both have to be there."""
    study_path, answers_path = models_dir / STUDY_FILE, models_dir / STUDY_ANSWERS_FILE
    assert study_path.exists()
    assert answers_path.exists()
    study, answers = read_study(study_path), read_answers(answers_path)
    assert answers.fingerprint == study.protocol.fingerprint
    versions: dict[str, str] = {model.slot: model.version for model in study.models}
    assert dict(zip(answers.models, answers.versions, strict=True)) == versions == read_active(models_dir)
    for each in study.models:
        assert each.temperature == pytest.approx(read_card(models_dir / each.version).temperature, abs=5e-5)
    for model, slot in enumerate(answers.models):
        for view, name in enumerate(answers.views):
            cell = study.cell(slot, name)
            assert cell is not None
            confusion = confusion_matrix(answers.labels.astype(np.int64), answers.answers[model, view].astype(np.int64))
            assert confusion.tolist() == [list(row) for row in cell.confusion]
            assert cell.metrics.accuracy.value == pytest.approx(np.trace(confusion) / confusion.sum(), abs=5e-5)
            assert [figures.label for figures in cell.classes] == list(LABELS)
            served = sum(each.count * (each.confidence or 0.0) for each in cell.calibration.after) / cell.count
            assert answers.confidences[model, view].mean() / 100 == pytest.approx(served, abs=5.1e-3)  # whole per cent
    _check_tests(study, answers)


def _check_tests(study: StudyResult, answers: StudyAnswers) -> None:
    """Check the paired tests on all images, those by emotion too, and the verdicts that follow from them."""
    whole = [test for test in study.tests if test.subset == Subset.ALL]
    assert len(whole) == 6 + 42 + 9
    for test in whole:
        chosen = answers.labels == LABEL_INDEX[test.label] if test.label else np.ones(len(answers.labels), np.bool_)
        first, second = (
            answers.answers[answers.models.index(one.model), answers.views.index(one.view)] == answers.labels
            for one in (test.first, test.second)
        )
        found = mcnemar(first[chosen], second[chosen])
        assert (test.n, test.only_first, test.only_second) == (chosen.sum(), found.only_first, found.only_second)
        assert (test.method, test.p) == (found.method, pytest.approx(found.p, rel=0.01))
        gap = first[chosen].mean() - second[chosen].mean()
        assert test.difference.value == pytest.approx(gap, abs=1e-6)
    for question, told in zip(QUESTIONS, study.hypotheses, strict=True):
        found = answer(question, study.tests)
        assert (told.verdict, told.answer, told.tests) == (found.verdict, found.answer, found.tests)
