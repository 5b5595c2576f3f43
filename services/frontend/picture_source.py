"""Where a picture comes from: a sample, an upload or the camera. Returns its bytes; knows nothing of the gateway."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import streamlit as st

from services.frontend.settings import MAX_UPLOAD_MB

SAMPLES_DIR: Final = Path(__file__).parent / "samples"
SHOWN_FIRST: Final = "Happy face"
"""The sample that the page opens with; without it, the first by name."""
SOURCES: Final = {
    "sample": ":material/palette: Sample",
    "upload": ":material/upload: Upload",
    "camera": ":material/photo_camera: Camera",
}
IMAGE_TYPES: Final = ["jpg", "jpeg", "png", "webp", "bmp"]


@dataclass(frozen=True)
class Picture:
    """A picture as it was given: its file name and bytes."""

    name: str
    content: bytes


def sample_files() -> dict[str, Path]:
    """Return the samples by their name for people."""
    return {
        path.stem.replace("-", " ").replace("_", " ").capitalize(): path for path in sorted(SAMPLES_DIR.glob("*.png"))
    }


def choose_picture() -> Picture | None:
    """Show the ways to give a picture; return the one that was given, or None."""
    source = st.segmented_control(
        "Picture",
        list(SOURCES),
        format_func=SOURCES.__getitem__,
        default="sample",
        required=True,
        key="source",
        persist_state="session",
    )
    if source == "upload":
        return _uploaded()
    if source == "camera":
        shot = st.camera_input("Take a picture", key="camera")
        return Picture("camera.jpg", shot.getvalue()) if shot else None
    return _sample()


def _uploaded() -> Picture | None:
    hint = f"JPEG, PNG, WebP or BMP, up to {MAX_UPLOAD_MB} MB. It is read and forgotten, not stored."
    file = st.file_uploader("Upload a picture", IMAGE_TYPES, max_upload_size=MAX_UPLOAD_MB, key="upload", help=hint)
    st.caption(hint)
    return Picture(file.name, file.getvalue()) if file else None


def _sample() -> Picture | None:
    files = sample_files()
    if not files:
        st.info("There are no sample pictures here; upload one.", icon=":material/info:")
        return None
    first = SHOWN_FIRST if SHOWN_FIRST in files else next(iter(files))
    chosen = st.pills(
        "Sample",
        list(files),
        default=first,
        required=True,
        wrap=True,
        key="sample",
        persist_state="session",
        help="Drawn for this page; nobody's photograph.",
    )
    path = files.get(chosen or first, files[first])
    return Picture(path.name, path.read_bytes())
