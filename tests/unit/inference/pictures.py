"""Picture files as people send them, whole and broken."""

import base64
import io
import struct
import zlib
from typing import Any

from PIL import Image


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the file of an image."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def data_url(data: bytes, media_type: str = "image/png") -> str:
    """Return a file as a data URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """Return a PNG of some hundred bytes whose header promises width x height black pixels, and has the first rows."""
    rows = zlib.compress(bytes((width // 8 + 1) * 8))
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)),
        (b"IDAT", rows),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def compressed_bitmap(width: int, bits: int, compression: int) -> bytes:
    """Return a BMP of one row and some hundred bytes with run-length compression: a pixel, then the row's end."""
    palette, rows = bytes(4 << bits), b"\x01\x01\x00\x00"
    header = struct.pack("<IiiHHIIiiII", 40, width, 1, 1, bits, compression, len(rows), 0, 0, 1 << bits, 0)
    offset = 14 + len(header) + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + len(rows), 0, 0, offset) + header + palette + rows
