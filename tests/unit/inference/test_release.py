"""A release's models come into a models folder, and nothing that a person chose is undone."""

import subprocess
import sys
from pathlib import Path

from services.inference.release import bring
from shared.model_folder import list_models, read_active, read_card, write_active
from shared.model_registry import promote
from tests.unit.inference.small_models import projection, write_five, write_projection

SLOTS = ("full", "upper", "lower", "left", "right")


def test_a_release_fills_an_empty_folder_and_brings_newer_versions_later(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "volume" / "models"
    write_five(released)

    assert bring(released, models) == []
    assert read_active(models) == read_active(released)
    assert dict(list_models(models)) == dict(list_models(released))
    assert read_card(models / "upper/1") == read_card(released / "upper/1")

    promote(models, "mixed/1", ["upper"], "ada", lambda card: None)
    write_projection(released, "new/1", projection(9))
    write_active(released, dict.fromkeys(SLOTS, "new/1"))
    assert bring(released, models) == []
    assert read_active(models) == {**dict.fromkeys(SLOTS, "new/1"), "upper": "mixed/1", "any": "mixed/1"}


def test_a_broken_version_of_the_release_is_named_and_the_others_come(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    write_five(released)
    (released / "left/1/model.onnx").write_text("half a download")

    command = [sys.executable, "-m", "services.inference.release", str(released), str(models)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "left/1/model.onnx is not the file that its card describes" in done.stderr
    assert set(read_active(models)) == {"full", "upper", "lower", "right", "any"}


def test_a_version_that_fails_its_self_test_here_is_named_and_the_old_one_stays(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    write_five(released)
    bring(released, models)
    write_projection(released, "new/1", projection(9), self_test={"full": (9.0,) * 7})
    write_active(released, dict.fromkeys(SLOTS, "new/1"))

    (problem,) = bring(released, models)

    assert problem.startswith("new/1 fails its self-test")
    assert read_active(models)["full"] == "full/1"


def test_a_list_that_cannot_be_read_keeps_no_service_from_starting(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    write_five(released)
    models.mkdir()
    (models / "active.json").write_text("{")

    command = [sys.executable, "-m", "services.inference.release", str(released), str(models)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert "active.json cannot be read" in done.stderr
    assert (models / "active.json").read_text() == "{"


def test_the_command_says_what_it_takes() -> None:
    command = [sys.executable, "-m", "services.inference.release"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.split(":")[0]) == (2, "Usage")
