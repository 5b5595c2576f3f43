"""What a worker asks of the storage, in a real process apart, also where that process ends before it can answer."""

import logging
from pathlib import Path

import pytest

from trainer.storage import apart


@pytest.fixture
def broken_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what reaches the storage crash when it is loaded."""
    (tmp_path / "obstore.py").write_text("raise SystemError('of another machine')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("TRAINER_STORAGE_URL", f"file://{tmp_path}/there")


def test_a_storage_that_answers_is_no_trouble_and_one_that_cannot_be_used_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINER_STORAGE_URL", f"file://{tmp_path}/there")
    assert apart.problem() is None
    monkeypatch.setenv("TRAINER_STORAGE_URL", "nonsense")
    assert "TRAINER_STORAGE_URL" in (apart.problem() or "")


@pytest.mark.usefixtures("broken_library")
def test_a_check_that_crashes_is_trouble_and_no_success() -> None:
    assert apart.problem() == (
        "`python -m trainer.storage check` ended with status 1; the log has what it said before this."
    )


@pytest.mark.usefixtures("broken_library")
def test_a_run_that_could_not_be_given_back_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        apart.hand_back("run-1", "worker")
    assert "run run-1 could not be given back: `python -m trainer.storage hand-back run-1 worker` ended" in caplog.text
