"""The study of released files, from a zip of drawn faces to models/study.json, and its verification."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared.errors import StudyError
from shared.labels import LABELS
from shared.masking import STUDY_VIEWS, View
from shared.model_folder import read_active, write_active
from shared.probabilities import softmax
from shared.schemas.wire import SLOTS
from shared.study import StudyResult, Subset, read_study, write_study
from shared.study_answers import read_answers, write_answers
from tests.drawn_zip import write_drawn_zip
from tests.study_check import check_study
from trainer.data import load_dataset
from trainer.errors import StudyMismatchError
from trainer.settings import Settings
from trainer.study import temperature
from trainer.study.answers import Answers
from trainer.study.released import active_readers, differing_temperatures, measure_released, verify
from trainer.study.runner import faces_to_read

SAMPLE = 5
TEMPERATURE = 0.6


@dataclass(frozen=True)
class Measured:
    """A study of the tiny network in all six slots, and how far it told that it was, to the end."""

    settings: Settings
    data: Path
    cache: Path
    study: StudyResult
    told: list[tuple[int, int]]


@pytest.fixture(scope="module")
def measured(models_dir: Path, drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    """Measure it once."""
    root = tmp_path_factory.mktemp("released")
    shutil.copytree(models_dir, root / "models")
    version = read_active(models_dir)["full"]
    write_active(root / "models", dict.fromkeys(SLOTS, version))
    card = root / "models" / version / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"temperature": TEMPERATURE}))
    settings = Settings(models_dir=root / "models", runs_dir=root / "runs", threads=1)
    data = write_drawn_zip(drawn_dataset, root / "faces.zip")
    told: list[tuple[int, int]] = []
    path = measure_released(settings, data, root / "cache", lambda *far: told.append(far), SAMPLE)
    return Measured(settings, data, root / "cache", read_study(path), told)


def nothing(done: int, total: int) -> None:
    """Show nothing."""


def test_public_private_and_clean_images_are_told_apart_by_the_names_in_the_zip(measured: Measured) -> None:
    counts = measured.study.protocol.subsets
    assert (counts[Subset.ALL], counts[Subset.PUBLIC], counts[Subset.PRIVATE]) == (21, 7, 14)
    data = load_dataset(measured.data, size=32, duplicate_similarity=1.01)
    assert counts[Subset.CLEAN] == data.clean.sum()
    for model in SLOTS:
        for view in STUDY_VIEWS:
            parts = [measured.study.cell(model, view.value, part) for part in (Subset.PUBLIC, Subset.PRIVATE)]
            whole = measured.study.cell(model, view.value)
            assert whole is not None
            assert np.sum([part.confusion for part in parts if part], axis=0).tolist() == [
                list(row) for row in whole.confusion
            ]


def test_copies_are_counted_and_so_is_what_was_left_out(measured: Measured, tmp_path: Path) -> None:
    leaks = measured.study.protocol.leaks
    assert (leaks.equal, leaks.train_repeats, leaks.test_repeats, leaks.conflicting) == (0, 0, 0, 0)
    assert leaks.left_out == {"equal_to_test": 0, "nearly_test": 0, "repeated": 0}

    folder = tmp_path / "copied"
    shutil.unpack_archive(measured.data, folder)
    test, train = sorted((folder / "test" / "happy").iterdir()), sorted((folder / "train" / "happy").iterdir())
    shutil.copy(test[0], train[0].with_name("Training_a.png"))
    shutil.copy(train[1], train[1].with_name("Training_b.png"))
    shutil.copy(train[2], folder / "train" / "sad" / "Training_c.png")
    shutil.copy(test[1], test[1].with_name("PublicTest_d.png"))
    leaks = load_dataset(folder, size=32, duplicate_similarity=1.01).leaks
    assert (leaks.equal, leaks.train_repeats, leaks.test_repeats, leaks.conflicting) == (1, 2, 1, 1)
    assert leaks.left_out == {"equal_to_test": 1, "nearly_test": 0, "repeated": 1}


def test_damage_is_measured_on_the_sample_and_says_so(measured: Measured) -> None:
    damage = measured.study.robustness
    assert damage.images == SAMPLE
    names = {point.corruption for point in damage.points if point.model == "any"}
    assert {"none", "diagonal", "transdiagonal", "rectangle", "mask", "sunglasses", "noise", "blur"} < names
    assert all(round(point.accuracy.value * SAMPLE, 2).is_integer() for point in damage.points)


def test_no_face_is_read_twice_and_the_number_is_told_before(measured: Measured) -> None:
    readers = active_readers(measured.settings)
    data = load_dataset(measured.data, size=32, duplicate_similarity=1.01)
    total = faces_to_read(readers, data, SAMPLE)
    assert {far[1] for far in measured.told} == {total}
    assert measured.told[-1][0] == total
    kept = sum(len(np.load(file)) for file in measured.cache.glob("*.npy"))
    assert kept == total


def test_each_images_answers_are_beside_the_study_and_its_cells_follow_from_them(
    measured: Measured, tmp_path: Path
) -> None:
    check_study(measured.settings.models_dir)

    shutil.copytree(measured.settings.models_dir, tmp_path / "models")
    path = tmp_path / "models" / "study_answers.npz"
    answers = read_answers(path)
    one_other = answers.answers.copy()
    one_other[3, 2, 0] = (one_other[3, 2, 0] + 1) % len(LABELS)
    write_answers(replace(answers, answers=one_other), path)
    with pytest.raises(AssertionError):
        check_study(tmp_path / "models")
    write_answers(answers, path)
    study = read_study(tmp_path / "models" / "study.json")
    stale = study.tests[0].model_copy(update={"only_first": study.tests[0].only_first + 1})
    write_study(study.model_copy(update={"tests": (stale, *study.tests[1:])}), tmp_path / "models" / "study.json")
    with pytest.raises(AssertionError):
        check_study(tmp_path / "models")
    path.unlink()
    with pytest.raises(AssertionError):
        check_study(tmp_path / "models")


def test_the_protocol_tells_how_the_versions_were_trained_as_their_cards_say(measured: Measured) -> None:
    words = measured.study.protocol.training
    assert f"{measured.study.models[0].version}: resnet18, from random weights, 2 epochs of" in words
    assert "on faces under one of the five views, drawn at random." in words
    assert words.count("epochs") == 1  # one version in six slots


def test_every_cell_on_every_part_is_found_again(measured: Measured, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    assert verify(measured.settings, measured.data, tmp_path, lambda *far: told.append(far)) == len(
        measured.study.cells
    )
    assert told[-1] == (5 * 21, 5 * 21)


def with_other_figures(study: StudyResult) -> StudyResult:
    """Return the study with another macro F1, another F1 of happy and another NLL of `upper` on left-hidden faces."""

    def more(figures: Any, name: str) -> Any:
        wrong = getattr(figures, name)
        return figures.model_copy(update={name: wrong.model_copy(update={"value": wrong.value + 0.1})})

    cells = []
    for cell in study.cells:
        if (cell.trained_on, cell.evaluated_on, cell.subset) == ("upper", View.LEFT, Subset.PUBLIC):
            changed = {
                "metrics": more(cell.metrics, "macro_f1"),
                "classes": tuple(
                    more(one, "f1").model_copy(update={"mean_probability": 0.9}) if one.label == "happy" else one
                    for one in cell.classes
                ),
                "calibration": more(cell.calibration, "nll_after"),
                "confusion": (cell.confusion[0][::-1], *cell.confusion[1:]),
            }
            cell = cell.model_copy(update=changed)
        cells.append(cell)
    return study.model_copy(update={"cells": tuple(cells)})


def test_each_figure_that_is_not_the_files_own_is_named(measured: Measured) -> None:
    path = measured.settings.models_dir / "study.json"
    write_study(with_other_figures(measured.study), path)
    try:
        with pytest.raises(StudyMismatchError) as refused:
            verify(measured.settings, measured.data, measured.cache, nothing)
    finally:
        write_study(measured.study, path)
    assert re.search(r"upper on left \(public\), confusion matrix: \d+ images in other cells", str(refused.value))
    named = re.findall(r"(\w+ on \w+ \(\w+\), [\w ]+): \d\.\d+ and not \d\.\d+", str(refused.value))
    assert named == [
        f"upper on left (public), {name}" for name in ("macro f1", "nll after", "happy f1", "happy mean probability")
    ]


def test_other_data_is_not_verified_against(measured: Measured, drawn_dataset: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(drawn_dataset, folder)
    next(folder.glob("test/happy/*")).unlink()
    with pytest.raises(StudyMismatchError, match="other is not the data set that the study measured"):
        verify(measured.settings, folder, measured.cache, nothing)


def test_a_study_from_before_a_figure_is_verified_by_its_others(measured: Measured) -> None:
    cells = tuple(
        cell.model_copy(
            update={"classes": tuple(one.model_copy(update={"mean_probability": None}) for one in cell.classes)}
        )
        for cell in measured.study.cells
    )
    path = measured.settings.models_dir / "study.json"
    write_study(measured.study.model_copy(update={"cells": cells}), path)
    try:
        assert verify(measured.settings, measured.data, measured.cache, nothing) == len(cells)
    finally:
        write_study(measured.study, path)


def test_a_study_made_at_other_temperatures_than_the_cards_is_named(measured: Measured) -> None:
    path = measured.settings.models_dir / "study.json"
    models = tuple(
        model.model_copy(update={"temperature": 0.9}) if model.slot == "left" else model
        for model in measured.study.models
    )
    write_study(measured.study.model_copy(update={"models": models}), path)
    try:
        with pytest.raises(StudyMismatchError, match=rf"temperature of \S+: 0\.9, its card's: {TEMPERATURE}[;.]"):
            verify(measured.settings, measured.data, measured.cache, nothing)
    finally:
        write_study(measured.study, path)


def test_quadrants_are_worth_probabilities_at_the_cards_temperature(measured: Measured) -> None:
    data = load_dataset(measured.data, size=32, duplicate_similarity=1.01)
    reader = next(reader for reader in active_readers(measured.settings) if reader.slot == "any")
    logits = Answers(measured.cache).logits(reader, data.test.faces, View.FULL)
    given = softmax(logits, TEMPERATURE)[np.arange(len(logits)), data.test.labels]
    assert measured.study.shapley is not None
    assert measured.study.shapley.rows[0].whole == pytest.approx(given.mean(), abs=1e-4)


def test_the_temperature_of_a_version_that_was_trained_on_other_data_is_passed_over(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temperature, "FEWEST", 1)
    data = load_dataset(measured.data, size=32, duplicate_similarity=1.01)
    (reader, *_) = active_readers(measured.settings)
    assert differing_temperatures([reader], data, Answers(tmp_path))
    assert differing_temperatures([reader], replace(data, fingerprint="0" * 64), Answers(tmp_path)) == []


def test_a_temperature_that_the_validation_images_do_not_give_is_named(
    measured: Measured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temperature, "FEWEST", 1)
    with pytest.raises(StudyMismatchError, match=rf"the temperature of \S+: [\d.]+ and not {TEMPERATURE}"):
        verify(measured.settings, measured.data, tmp_path, nothing)


def test_slots_without_a_model_are_named_with_the_command(models_dir: Path) -> None:
    with pytest.raises(StudyError, match=r"none serves any\. Promote one: python -m trainer promote"):
        active_readers(Settings(models_dir=models_dir))
