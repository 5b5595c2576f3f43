"""A model version as a zip that is written while it is sent: stored, since networks hardly compress."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shared.model_folder import CARD_FILE, Card

CHUNK_BYTES: Final = 1 << 18


class _Outbox:
    """A file to write to whose bytes are taken out again; it cannot be rewound, so the zip is written in one go."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes in."""
        self._written += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: what was written can be taken out at once."""

    def take(self) -> bytes:
        """Return what was written since the last time."""
        taken = bytes(self._written)
        self._written.clear()
        return taken


def zipped(folder: Path, card: Card) -> Iterator[bytes]:
    """Yield the zip of a version, `<name>/<version>/` with its card and files: unpack it in a models folder."""
    outbox = _Outbox()
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name in (*sorted(card.sha256), CARD_FILE):
            entry = zipfile.ZipInfo.from_file(folder / name, f"{card.id}/{name}", strict_timestamps=False)
            with (folder / name).open("rb") as source, archive.open(entry, "w") as target:
                while chunk := source.read(CHUNK_BYTES):
                    target.write(chunk)
                    yield outbox.take()
    yield outbox.take()
