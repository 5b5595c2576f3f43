"""Damage beyond the study's views, as pure functions on uint8 faces (N, S, S). What is random is drawn for each image
from (seed, its index), so every model sees the same and a rectangle grows about the same place.

Shapes are placed for a face framed as in FER2013 (eyes near 38 % of the height, mouth near 77 %), in shares of the
side, and drawn anti-aliased. Noise, blur and resolution follow the idea of Hendrycks and Dietterich, Benchmarking
Neural Network Robustness to Common Corruptions, ICLR 2019; the severities are our own, for 48 x 48 pixels.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from shared.masking import View, hide
from shared.preprocessing import resize
from shared.study import Corruption

Faces = npt.NDArray[np.uint8]
Points = list[tuple[float, float]]

SUPERSAMPLING: Final = 8
MASK_GRAY: Final = 190
PLEAT_GRAY: Final = 150
GLASSES_GRAY: Final = 20

MASK: Final[Points] = [
    (0.50, 0.47), (0.60, 0.50), (0.72, 0.56), (0.88, 0.60), (0.87, 0.75), (0.80, 0.88), (0.66, 0.98), (0.50, 1.00),
    (0.34, 0.98), (0.20, 0.88), (0.13, 0.75), (0.12, 0.60), (0.28, 0.56), (0.40, 0.50),
]  # fmt: skip
"""From the bridge of the nose over the cheeks to the chin."""
PLEATS: Final[tuple[Points, ...]] = tuple([(0.15, y), (0.5, y + 0.03), (0.85, y)] for y in (0.66, 0.74, 0.82))
LOOPS: Final[tuple[Points, ...]] = ([(0.12, 0.60), (0.0, 0.50)], [(0.88, 0.60), (1.0, 0.50)])
LENS: Final[Points] = [
    (0.10, 0.30), (0.28, 0.28), (0.46, 0.31), (0.45, 0.42), (0.38, 0.49), (0.25, 0.50), (0.14, 0.46), (0.10, 0.38),
]  # fmt: skip
"""The left lens of the sunglasses; the right one is its mirror."""
BRIDGE: Final[Points] = [(0.45, 0.33), (0.50, 0.32), (0.55, 0.33)]
TEMPLES: Final[tuple[Points, ...]] = ([(0.11, 0.32), (0.0, 0.30)], [(0.89, 0.32), (1.0, 0.30)])

CORRUPTIONS: Final = (
    Corruption(name="diagonal", title="Top left and bottom right hidden", unit="", severities=(1,)),
    Corruption(name="transdiagonal", title="Top right and bottom left hidden", unit="", severities=(1,)),
    Corruption(
        name="rectangle",
        title="Random rectangle hidden",
        unit="share of the area",
        severities=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
    ),
    Corruption(name="mask", title="Surgical mask", unit="", severities=(1,)),
    Corruption(name="sunglasses", title="Sunglasses", unit="", severities=(1,)),
    Corruption(name="noise", title="Gaussian noise", unit="deviation in gray levels", severities=(8, 16, 32, 64)),
    Corruption(name="blur", title="Gaussian blur", unit="deviation in pixels", severities=(0.5, 1, 2, 3)),
    Corruption(name="resolution", title="Low resolution", unit="pixels a side", severities=(32, 24, 16, 12, 8)),
)
"""What the study measures; severity 1 stands for damage of one kind alone."""

HALVES: Final = ("diagonal", "transdiagonal")


def corrupt(faces: Faces, name: str, severity: float) -> Faces:
    """Return damaged copies of the faces; what is random depends on a face's place among them.

    Args:
        faces: uint8 (N, S, S).
        name: one of `CORRUPTIONS`.
        severity: in the corruption's unit.
    """
    if len(faces) == 0:
        return faces.copy()
    randoms = [np.random.default_rng((0, place)) for place in range(len(faces))]
    return _DAMAGE[name](faces, severity, randoms)


def view_after(name: str, own: View) -> View:
    """Return what is hidden from a model of the view `own` besides the damage: its own half, or nothing further where
    the damage is itself a way to hide half of the face."""
    return View.FULL if name in HALVES else own


Randoms = list[np.random.Generator]


def _rectangle(faces: Faces, share: float, randoms: Randoms) -> Faces:
    """Hide a rectangle of `share` of the area, up to twice as wide as high or the other way, about a random place."""
    side = faces.shape[-1]
    out = faces.copy()
    for face, random in zip(out, randoms, strict=True):
        aspect, down, across = 2 ** random.uniform(-1, 1), random.uniform(), random.uniform()
        height = min(side, max(1, round(side * (share * aspect) ** 0.5), round(share * side)))
        width = min(side, round(share * side * side / height))
        top, left = round(down * (side - height)), round(across * (side - width))
        face[top : top + height, left : left + width] = 0
    return out


def _noise(faces: Faces, deviation: float, randoms: Randoms) -> Faces:
    noise = np.stack([random.normal(size=faces.shape[1:]) for random in randoms])
    return (faces + deviation * noise).round().clip(0, 255).astype(np.uint8)


def _blur(faces: Faces, deviation: float, randoms: Randoms) -> Faces:
    blurred = gaussian_filter(faces.astype(np.float32), (0, deviation, deviation), mode="nearest")
    return np.asarray(blurred.round().clip(0, 255), np.uint8)


def _resolution(faces: Faces, pixels: float, randoms: Randoms) -> Faces:
    return np.stack([resize(resize(face, int(pixels)), faces.shape[-1]) for face in faces])


def _mask(faces: Faces, severity: float, randoms: Randoms) -> Faces:
    side = faces.shape[-1]
    loops, body = _coverage(side, lines=LOOPS), _coverage(side, areas=(MASK,))
    return _paint(_paint(_paint(faces, loops, MASK_GRAY), body, MASK_GRAY), _coverage(side, lines=PLEATS), PLEAT_GRAY)


def _sunglasses(faces: Faces, severity: float, randoms: Randoms) -> Faces:
    mirrored = [(1 - x, y) for x, y in LENS]
    return _paint(faces, _coverage(faces.shape[-1], areas=(LENS, mirrored), lines=(BRIDGE, *TEMPLES)), GLASSES_GRAY)


def _hide(view: View) -> Callable[[Faces, float, Randoms], Faces]:
    return lambda faces, severity, randoms: hide(faces, view)


def _coverage(side: int, areas: tuple[Points, ...] = (), lines: tuple[Points, ...] = ()) -> npt.NDArray[np.float64]:
    """Return (S, S), 0 to 1: how far each pixel is covered by the shapes, lines a thirtieth of the side wide."""
    large = side * SUPERSAMPLING
    image = Image.new("L", (large, large))
    draw = ImageDraw.Draw(image)
    for area in areas:
        draw.polygon([(x * large, y * large) for x, y in area], fill=255)
    for line in lines:
        draw.line([(x * large, y * large) for x, y in line], fill=255, width=large // 30, joint="curve")
    return np.asarray(image.resize((side, side), Image.Resampling.BOX), np.float64) / 255


def _paint(faces: Faces, coverage: npt.NDArray[np.float64], gray: int) -> Faces:
    return (faces * (1 - coverage) + gray * coverage).round().astype(np.uint8)


_DAMAGE: Final[dict[str, Callable[[Faces, float, Randoms], Faces]]] = {
    "diagonal": _hide(View.DIAGONAL),
    "transdiagonal": _hide(View.TRANSDIAGONAL),
    "rectangle": _rectangle,
    "mask": _mask,
    "sunglasses": _sunglasses,
    "noise": _noise,
    "blur": _blur,
    "resolution": _resolution,
}
