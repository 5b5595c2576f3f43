"""Files that a reader sees whole: the old content or the new one, also after a power cut."""

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
