"""What keeps a machine from doing any job, whichever it is: no device, no data, no room.

A worker asks this before each job. Without that, one sick machine would fail every job of the queue within seconds,
while others could do them.
"""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from shared.dataset_layout import list_datasets
from trainer.apart import ask
from trainer.errors import TrainerError
from trainer.settings import Settings

RESERVE_BYTES: Final = 1 << 16
"""Held in a run's folder, and given back so that the end can be written on a full disk."""

ROOM_BYTES: Final = 64 << 20
"""Less holds no version of the default network."""

DEVICE_TIMEOUT_S: Final = 60


def trouble(settings: Settings) -> str | None:
    """Return why this machine can do no job now, as a sentence that says what to do; None if it can."""
    return (
        _without_data(settings.data_dir)
        or _without_room(settings.runs_dir)
        or _without_room(settings.models_dir)
        or _without_device(settings.device)
    )


def _without_data(data_dir: Path) -> str | None:
    """Return what is wrong with the data folder. Docker makes an empty one where none is to be mounted."""
    try:
        if list_datasets(data_dir):
            return None
        what = "holds no data set" if data_dir.is_dir() else "is not there"
    except OSError as error:
        return f"The data folder {data_dir} cannot be read ({error.strerror}); check the disk and who may read it."
    return f"The data folder {data_dir} {what}; put FER2013's zip, folder or CSV there, or set TRAINER_DATA_DIR."


def _without_room(folder: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:  # neither rights nor quotas show in what the disk has free
            file.write(bytes(2 * RESERVE_BYTES))
        if shutil.disk_usage(folder).free < ROOM_BYTES:
            return f"The disk of {folder} has less than {ROOM_BYTES >> 20} MB free; make room."
    except FileNotFoundError:  # the first job makes it
        return None
    except OSError as error:
        return f"{folder} cannot be written ({error.strerror}); make room on the disk, or check who may write there."
    return None


def _without_device(name: str) -> str | None:
    """Return why a GPU that the settings name is not there; a process apart tells, since torch must not be here."""
    return None if name in ("auto", "cpu") else ask("trainer.machine", name, timeout_s=DEVICE_TIMEOUT_S)


def main() -> int:
    """`python -m trainer.machine cuda`: print why there is no such device; return the exit status."""
    from trainer.devices import choose_device

    try:
        choose_device(sys.argv[1])
    except TrainerError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
