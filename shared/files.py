"""Files that a reader sees whole: the old content or the new one, also after a power cut."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Yield a file to write that takes the place of `path` when the block ends; one that fails leaves nothing behind.

    Args:
        path: the file; its folder is made.
        mode: as in chmod.

    Raises:
        OSError: no room or no permission; what was there before is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes, mode: int = 0o644) -> None:
    """Write a file of this content; see `replacing`. Raises OSError."""
    with replacing(path, mode) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def publish_folder(staging: Path, folder: Path) -> None:
    """Give a filled folder the name by which readers find it, in a folder that may be new itself.

    A power cut after the return takes nothing back: what says that the folder is there may lie on another disk. Raises
    OSError.
    """
    staging.chmod(0o755)
    _sync(staging)
    staging.rename(folder)
    _sync(folder.parent)
    _sync(folder.parent.parent)


def _sync(folder: Path) -> None:
    """Have the disk keep which files are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that know no such thing
            raise
    finally:
        os.close(descriptor)
