"""A release's models come into a models folder, and nothing that a person chose is undone."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from services.inference.release import BROUGHT_FILE, STUDY_FILES, bring, bring_study
from shared.errors import StudyError
from shared.masking import STUDY_VIEWS
from shared.model_folder import list_models, read_active, read_card, write_active
from shared.model_registry import promote
from shared.study import STUDY_FILE, read_study, write_study
from shared.study_answers import STUDY_ANSWERS_FILE, StudyAnswers, read_answers, write_answers
from tests.study_example import example_study
from tests.unit.inference.small_models import projection, write_five, write_projection

SLOTS = ("full", "upper", "lower", "left", "right")
STUDY = example_study()
ANSWERS = StudyAnswers(
    fingerprint=STUDY.protocol.fingerprint,
    test_fingerprint="1" * 64,
    models=tuple(str(model.slot) for model in STUDY.models),
    versions=tuple(model.version for model in STUDY.models),
    views=tuple(STUDY_VIEWS),
    labels=np.arange(7, dtype=np.uint8),
    answers=np.zeros((6, 5, 7), np.uint8),
    confidences=np.full((6, 5, 7), 50, np.uint8),
)


def write_both(folder: Path, number: int) -> dict[str, bytes]:
    """Write a study and its answers that differ from those of another number; return the files' contents."""
    folder.mkdir(parents=True, exist_ok=True)
    protocol = STUDY.protocol.model_copy(update={"created": f"2026-01-{number:02}T00:00:00Z"})
    write_study(STUDY.model_copy(update={"protocol": protocol}), folder / STUDY_FILE)
    write_answers(replace(ANSWERS, confidences=np.full((6, 5, 7), number, np.uint8)), folder / STUDY_ANSWERS_FILE)
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    """Return the contents of the study's files that are there."""
    return {name: (folder / name).read_bytes() for name in STUDY_FILES if (folder / name).exists()}


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


def test_a_version_that_was_damaged_in_the_folder_is_named_and_the_old_one_stays(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    write_five(released)
    bring(released, models)
    write_projection(released, "new/1", projection(9))
    shutil.copytree(released / "new", models / "new")
    (models / "new/1/model.onnx").write_text("half a file")
    write_active(released, dict.fromkeys(SLOTS, "new/1"))

    (problem,) = bring(released, models)

    assert "new/1/model.onnx is not the file that its card describes" in problem
    assert read_active(models)["full"] == "full/1"


def test_a_release_without_a_model_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "released").mkdir()
    command = [sys.executable, "-m", "services.inference.release", str(tmp_path / "released"), str(tmp_path / "models")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "released holds no model" in done.stderr


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


def test_a_release_that_cannot_be_read_ends_the_command_with_what_helps(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.inference.release", str(tmp_path / "away"), str(tmp_path / "models")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "chmod -R a+rX models" in ended.stderr


def test_the_command_says_what_it_takes() -> None:
    command = [sys.executable, "-m", "services.inference.release"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.split(":")[0]) == (2, "Usage")


# --- the study -------------------------------------------------------------------------------------------------------


def test_the_study_comes_with_its_answers_and_a_newer_release_replaces_both(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "volume" / "models"
    write_five(released)
    for number in (1, 2):
        expected = write_both(released, number)
        assert bring(released, models) == []
        assert files(models) == expected
    assert read_study(models / STUDY_FILE).protocol.created == "2026-01-02T00:00:00Z"
    assert read_answers(models / STUDY_ANSWERS_FILE).versions == ANSWERS.versions
    assert {path.name for path in models.glob(".*")} == {BROUGHT_FILE, ".active.lock"}
    assert {(models / name).stat().st_mode & 0o777 for name in STUDY_FILES} == {0o644}


def test_a_study_that_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    write_both(released, 1)
    bring_study(released, models)
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in models.iterdir()}

    bring_study(released, models)

    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in models.iterdir()} == before


def test_an_older_release_brings_its_study_back(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    for number in (1, 2, 1):
        expected = write_both(released, number)
        bring_study(released, models)
    assert files(models) == expected


@pytest.mark.parametrize("brought_before", [False, True])
@pytest.mark.parametrize("made", [STUDY_FILES, (STUDY_FILE,), (STUDY_ANSWERS_FILE,)], ids=["both", "study", "answers"])
def test_what_a_person_measured_stays(tmp_path: Path, made: tuple[str, ...], brought_before: bool) -> None:
    released, models, own = tmp_path / "released", tmp_path / "models", tmp_path / "own"
    models.mkdir()
    if brought_before:
        write_both(released, 1)
        bring_study(released, models)
    write_both(own, 9)
    for name in made:
        (own / name).rename(models / name)
    before = files(models)
    write_both(released, 2)

    bring_study(released, models)

    assert files(models) == before


def test_a_study_of_ones_own_that_was_deleted_makes_room_for_the_releases(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    write_both(models, 9)
    expected = write_both(released, 1)
    for name in STUDY_FILES:
        (models / name).unlink()

    bring_study(released, models)

    assert files(models) == expected


def test_a_releases_study_that_was_copied_by_hand_follows_the_next_release(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    assert write_both(models, 1) == write_both(released, 1)
    bring_study(released, models)
    expected = write_both(released, 2)

    bring_study(released, models)

    assert files(models) == expected


def test_a_start_that_died_between_the_two_files_is_completed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    first = write_both(released, 1)
    bring_study(released, models)
    second = write_both(released, 2)
    rename = Path.replace

    def dies(path: Path, target: Path) -> Path:
        if target == models / STUDY_FILE:
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            bring_study(released, models)
    assert files(models) == {STUDY_ANSWERS_FILE: second[STUDY_ANSWERS_FILE], STUDY_FILE: first[STUDY_FILE]}

    bring_study(released, models)

    assert files(models) == second


def test_a_release_without_a_study_leaves_what_is_there(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    write_five(released)
    assert bring(released, models) == []
    assert files(models) == {}
    expected = write_both(released, 1)
    bring_study(released, models)
    for name in STUDY_FILES:
        (released / name).unlink()

    bring_study(released, models)

    assert files(models) == expected


@pytest.mark.parametrize("name", STUDY_FILES)
def test_half_a_study_is_not_brought_and_named_and_the_models_come(tmp_path: Path, name: str) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    write_five(released)
    write_both(released, 1)
    (released / name).unlink()

    (problem,) = bring(released, models)

    assert problem.startswith("The release's study is left out. There is no ")
    assert files(models) == {}
    assert read_active(models) == read_active(released)


def test_a_broken_study_or_one_with_the_answers_of_another_replaces_nothing(tmp_path: Path) -> None:
    released, models = tmp_path / "released", tmp_path / "models"
    expected = write_both(released, 1)
    bring_study(released, models)

    write_both(released, 2)
    write_answers(replace(ANSWERS, versions=("other/1", *ANSWERS.versions[1:])), released / STUDY_ANSWERS_FILE)
    with pytest.raises(StudyError, match=r"^study_answers\.npz and study\.json belong to two studies"):
        bring_study(released, models)
    (released / STUDY_FILE).write_text("half a download")
    with pytest.raises(StudyError, match=r"^study\.json is no study of this version"):
        bring_study(released, models)

    assert files(models) == expected


def test_a_models_folder_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    released = tmp_path / "released"
    write_both(released, 1)
    (tmp_path / "file").write_text("")

    with pytest.raises(StudyError, match=r"^It could not be brought to .*: Not a directory\.$"):
        bring_study(released, tmp_path / "file" / "models")
