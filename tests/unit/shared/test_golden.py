"""Golden images: what each view hides and what the network reads, pinned to the pixel and to the bit.

The inputs are drawn (`scripts/draw_faces.py`) but stored, so that another release of Pillow cannot change them.
After a change that is meant, write the golden files anew and look at them:

    python tests/unit/shared/test_golden.py
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.masking import View, hide
from shared.preprocessing import InputSpec, prepare, to_gray

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
ARRAYS = GOLDEN / "network_input.json"
SPECS = {
    "48x48x3": InputSpec(),
    "64x64x1": InputSpec(size=64, channels=1, mean=(0.5,), std=(0.25,)),
}
INPUTS = ("face.png", "photo.png")  # 48 x 48 gray; colour, 97 x 113


def gray(name: str) -> np.ndarray[Any, Any]:
    """Return a stored input as uint8 (H, W)."""
    with Image.open(GOLDEN / name) as image:
        return to_gray(image)


def summary(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Return a digest of an array, and a few values that help where it differs."""
    digest = hashlib.sha256(np.ascontiguousarray(array, dtype="<f4").tobytes()).hexdigest()
    few = [float(value) for value in array.ravel()[:: array.size // 7]]
    return {"shape": list(array.shape), "values": few, "sha256": digest}


def network_inputs() -> dict[str, dict[str, Any]]:
    """Return "input, spec, view" to the summary of what the network reads."""
    return {
        f"{name}, {spec_name}, {view}": summary(prepare([gray(name)], view, spec))
        for name in INPUTS
        for spec_name, spec in SPECS.items()
        for view in View
    }


@pytest.mark.parametrize("view", View)
def test_each_view_hides_the_pixels_of_its_golden_image(view: View) -> None:
    np.testing.assert_array_equal(hide(gray("face.png"), view), gray(f"face-{view}.png"))


@pytest.mark.parametrize("view", View)
def test_an_odd_photo_is_hidden_as_in_its_golden_image(view: View) -> None:
    np.testing.assert_array_equal(hide(gray("photo.png"), view), gray(f"photo-{view}.png"))


def test_the_network_reads_the_golden_arrays_to_the_bit() -> None:
    assert network_inputs() == json.loads(ARRAYS.read_text())


def write_golden_files() -> None:
    """Draw the inputs where they are missing, and write every golden file."""
    from scripts.draw_faces import draw_face, draw_portrait

    GOLDEN.mkdir(exist_ok=True)
    if not (GOLDEN / "face.png").exists():
        draw_face("happy", 3).save(GOLDEN / "face.png")
        draw_portrait("surprise", 6, 256).crop((78, 68, 175, 181)).save(GOLDEN / "photo.png")
    for name in INPUTS:
        for view in View:
            Image.fromarray(hide(gray(name), view)).save(GOLDEN / f"{Path(name).stem}-{view}.png")
    ARRAYS.write_text(json.dumps(network_inputs(), indent=1) + "\n")


if __name__ == "__main__":
    write_golden_files()
