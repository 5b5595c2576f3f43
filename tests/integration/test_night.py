"""A short night: four fine-tunings queued at once, one of each kind of kill, and four models at the end."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.model_folder import list_models, read_active
from tests.integration.service_process import ROOT

VIEWS = ["upper", "lower", "left", "right"]
STEPS_PER_EPOCH = 4
"""Of the drawn data set's faces, in batches of 16; each epoch ends with a checkpoint."""


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_four_fine_tunings_end_with_four_models_although_what_trains_them_is_killed(
    tmp_path: Path, drawn_dataset: Path, models_dir: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(models_dir, models)
    before = {name for name, _ in list_models(models)}
    base = read_active(models)["full"]
    stack = ["--folder", tmp_path / "night", "--data-dir", drawn_dataset.parent, "--models-dir", models]
    kills = ["--kill-every", 3, "--most-kills", 4, "--look-every", 0.5]
    settings = {
        "epochs": 4,
        "batch-size": 16,
        "size": 16,
        "warmup-steps": 4,
        "precision": "fp32",
        "checkpoint-seconds": 2,
        "duplicate-similarity": 1.01,
    }
    named = [part for name, value in settings.items() for part in (f"--{name}", value)]
    command = ["--dataset", drawn_dataset.name, "--base-model", base, *stack, *kills, *named]
    night = subprocess.run(
        [sys.executable, "-m", "scripts.night", *map(str, command)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert night.returncode == 0, night.stdout + night.stderr
    report = json.loads((tmp_path / "night" / "night.json").read_text())
    assert report["kills"] == {"training": 1, "worker": 1, "both": 1, "queue": 1}
    assert [0 <= kill["steps_again"] <= STEPS_PER_EPOCH for kill in report["each_kill"] if kill["run"]] == [True, True]
    assert sorted(job["view"] for job in report["jobs"]) == sorted(VIEWS)
    new = {name for name, _ in list_models(models)} - before
    assert new == {job["model"] for job in report["jobs"]}
    assert len(new) == len(VIEWS)
