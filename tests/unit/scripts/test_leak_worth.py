"""What copies of test images are worth: a network that learns them by heart gains on them alone."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.model_folder import read_active


def test_the_gain_of_a_network_that_knows_half_of_the_test_images_is_told(
    models_dir: Path, drawn_dataset: Path, tmp_path: Path
) -> None:
    """The test images get wrong labels, so that whoever answers with them has seen them."""
    data = tmp_path / "leaky"
    shutil.copytree(drawn_dataset, data)
    for number, file in enumerate(sorted(drawn_dataset.glob("test/*/*"))):
        wrong = LABELS[LABELS.index(file.parent.name) - 1]
        (data / "test" / file.parent.name / file.name).rename(data / "test" / wrong / f"{number}.png")
        if number % 2:
            shutil.copy(file, data / "train" / wrong / f"copy-{number}.png")
    base = ["--models", models_dir, "--base-model", read_active(models_dir)["full"]]
    command = [sys.executable, "-m", "scripts.leak_worth", "--data", data, *base]
    options = ["--steps", "30", "--duplicate-similarity", "0.9999"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    assert "10 copies of 10 of 21 test images" in done.stdout
    rows = dict(re.findall(r"^\| (\w+) \| (\d.*) \|$", done.stdout, re.MULTILINE))
    assert list(rows) == [view.value for view in STUDY_VIEWS]
    figures = np.array([[float(figure) for figure in row.split(" | ")] for row in rows.values()])
    before, after, clean_before, clean_after = figures.mean(axis=0)
    assert after - before > 5
    assert clean_after - clean_before < after - before
