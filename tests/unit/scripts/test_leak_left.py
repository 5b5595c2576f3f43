"""Whether relatives of test images in the training helped: groups beside what their emotions let expect."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scripts.leak_left import BANDS, groups, rise, surplus, table
from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.model_folder import read_active, write_active
from shared.schemas.wire import SLOTS
from shared.study_answers import StudyAnswers
from trainer.settings import Settings
from trainer.study.released import measure_released


def answers_of(right: np.ndarray[tuple[int], np.dtype[np.bool_]], labels: list[int]) -> StudyAnswers:
    """Return answers of all slots on all views that are right where `right` says so."""
    truth = np.array(labels, np.uint8)
    given = np.where(right, truth, (truth + 1) % len(LABELS)).astype(np.uint8)
    views = tuple(view.value for view in STUDY_VIEWS)
    shape = (len(SLOTS), len(views), len(truth))
    every = np.broadcast_to(given, shape)
    return StudyAnswers("data", "test", SLOTS, ("a/1",) * len(SLOTS), views, truth, every, np.zeros(shape, np.uint8))


def test_each_group_stands_beside_the_clean_recalls_of_its_emotions() -> None:
    labels = [0] * 8 + [3] * 8
    right = np.array([1, 1, 0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1], bool)
    clean = np.array(([True] * 6 + [False] * 2) * 2)
    close = np.array([0.5] * 4 + [0.95] * 2 + [0.5, 0.91] + [0.5] * 4 + [0.95] * 2 + [0.91] * 2, np.float32)
    answers = answers_of(right, labels)
    found = groups(answers, close, clean, surplus(answers, clean))
    told = {(group.name, group.clean): group for group in found}
    assert {key: group.images for key, group in told.items()} == {
        ("below 0.8", True): 8,
        ("below 0.8", False): 1,
        ("0.9 to 0.93", False): 3,
        ("0.93 or more", True): 4,
    }
    angry, happy = 3 / 6, 5 / 6
    near = told["0.93 or more", True]
    assert (near.accuracy, near.expected) == pytest.approx((50.0, 100 * (angry + happy) / 2))
    copied = told["0.9 to 0.93", False]
    assert (copied.accuracy, copied.expected) == pytest.approx((100.0, 100 * (angry + 2 * happy) / 3))
    assert "| 0.93 or more | no | 4 | 50.0 | 66.7 | -16.7 | " in table(found)
    assert near.low < near.accuracy - near.expected < near.high


def test_the_rise_is_what_the_groups_above_the_least_similar_read_better() -> None:
    labels = [0] * 400
    close = np.array([0.5] * 200 + [0.95] * 200, np.float32)
    clean = np.ones(400, bool)
    right = np.array(([True] * 5 + [False] * 5) * 20 + ([True] * 8 + [False] * 2) * 20)
    points, low, high = rise(surplus(answers_of(right, labels), clean), close, clean)
    assert points == pytest.approx(100 * (0.8 - 0.5) / 2)  # of half of the images
    assert 0 < low < points < high
    assert rise(surplus(answers_of(right[::-1].copy(), labels), clean), close, clean)[2] < 0


def test_a_difference_is_as_uncertain_as_the_shares_that_it_is_made_of() -> None:
    """Half of 900 images below, 0.6 of 900 above: 5 points more than all; the error of a half difference, 1.17."""
    right = np.array(([True, False] * 450) + ([True] * 6 + [False] * 4) * 90)
    close = np.array([0.5] * 900 + [0.95] * 900, np.float32)
    clean, answers = np.ones(1800, bool), answers_of(right, [0] * 1800)
    near = groups(answers, close, clean, surplus(answers, clean))[1]
    assert near.accuracy - near.expected == pytest.approx(5)
    assert (near.low, near.high) == pytest.approx((5 - 1.96 * 1.17, 5 + 1.96 * 1.17), abs=0.25)


def test_the_table_of_a_study_is_printed_and_other_data_refused(
    models_dir: Path, drawn_dataset: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(models_dir, models)
    write_active(models, dict.fromkeys(SLOTS, read_active(models_dir)["full"]))
    command = [sys.executable, "-m", "scripts.leak_left", "--models", models, "--data"]
    unmeasured = subprocess.run([*command, drawn_dataset], capture_output=True, text=True, check=False)
    assert (unmeasured.returncode, "There is no study_answers.npz" in unmeasured.stderr) == (2, True)

    settings = Settings(models_dir=models, runs_dir=tmp_path / "runs", threads=1)
    measure_released(settings, drawn_dataset, tmp_path / "cache", lambda done, total: None, 1)
    done = subprocess.run([*command, drawn_dataset], capture_output=True, text=True, check=True)
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:] if line.startswith("|")]
    assert re.search(r"All above the least similar ones: -?\d+\.\d points .* \(-?\d+\.\d to -?\d+\.\d\)", done.stdout)
    assert sum(int(row[2]) for row in rows) == 21
    assert len(rows) <= 2 * len(BANDS)

    other = tmp_path / "other"
    shutil.copytree(drawn_dataset, other)
    next(other.glob("test/happy/*")).unlink()
    refused = subprocess.run([*command, other], capture_output=True, text=True, check=False)
    assert (refused.returncode, "other has other test images" in refused.stderr) == (2, True)
