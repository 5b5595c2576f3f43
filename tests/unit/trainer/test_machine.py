"""What keeps a machine from doing any job is told with what to do; what only the first job makes is no trouble."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from shared.run_folder import RunFolder
from tests.integration.scarcity import MountedDisk
from trainer import machine
from trainer.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a machine that has all that a job needs, and has done none yet."""
    (tmp_path / "data" / "drawn").mkdir(parents=True)
    return Settings(data_dir=tmp_path / "data", runs_dir=tmp_path / "runs", models_dir=tmp_path / "models")


def test_a_machine_that_lacks_nothing_has_no_trouble(settings: Settings) -> None:
    assert machine.trouble(settings) is None
    settings.runs_dir.mkdir()
    settings.models_dir.mkdir()
    assert machine.trouble(settings) is None
    assert list(settings.runs_dir.iterdir()) == []


def test_a_data_folder_that_is_away_or_empty_is_told(settings: Settings) -> None:
    (settings.data_dir / "drawn").rmdir()
    assert "holds no data set; put FER2013's zip, folder or CSV there" in (machine.trouble(settings) or "")
    settings.data_dir.rmdir()
    assert "is not there; put FER2013's zip, folder or CSV there" in (machine.trouble(settings) or "")


@pytest.mark.parametrize("name", ["runs_dir", "models_dir"])
def test_a_disk_that_is_nearly_full_and_a_folder_that_cannot_be_written_are_told(
    settings: Settings, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder: Path = getattr(settings, name)
    folder.touch()
    assert f"{folder} cannot be written (Not a directory)" in (machine.trouble(settings) or "")
    folder.unlink()
    folder.mkdir()
    monkeypatch.setattr(machine, "ROOM_BYTES", 1 << 60)
    assert f"The disk of {folder} has less than" in (machine.trouble(settings) or "")


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk without any room."""
    try:
        disk = MountedDisk(tmp_path / "small")
    except OSError as error:
        pytest.skip(f"a disk of its own cannot be mounted here: {error}")
    (disk.runs / "file").write_bytes(bytes(1 << 20))
    disk.leave_no_room(RunFolder(disk.runs))
    yield disk.runs
    disk.unmount()


def test_a_full_disk_is_told(settings: Settings, full_disk: Path) -> None:
    full = settings.model_copy(update={"runs_dir": full_disk})
    assert "small cannot be written (No space left on device); make room on the disk" in (machine.trouble(full) or "")


def test_a_device_that_is_not_there_is_told_by_a_process_apart(settings: Settings) -> None:
    if torch.accelerator.is_available():
        pytest.skip("this machine has one")
    told = machine.trouble(settings.model_copy(update={"device": "cuda"})) or ""
    assert told.startswith("TRAINER_DEVICE is cuda, and this process sees no such GPU: look at the driver")
    assert machine.trouble(settings.model_copy(update={"device": "cpu"})) is None
