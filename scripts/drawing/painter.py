"""The brush: outlines in head units (half a head's width, x to the right, y down), painted crisp or soft."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from scripts.drawing.person import Colour, Person

Points = npt.NDArray[np.float64]


def ellipse(x: float, y: float, width: float, height: float) -> Points:
    """Return the outline of an ellipse with these half axes."""
    angle = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    return np.stack([x + width * np.cos(angle), y + height * np.sin(angle)], axis=1)


def curve(
    x0: float, x1: float, y: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]], count: int = 40
) -> Points:
    """Return points from x0 to x1 at heights `y(s)`, s from -1 to 1."""
    s = np.linspace(-1, 1, count)
    return np.stack([np.linspace(x0, x1, count), y(s) + 0 * s], axis=1)


def moved(points: Points, down: float) -> Points:
    """Return the points, moved down."""
    result: Points = points + np.array([0.0, down])
    return result


class Painter:
    """A square picture on which shapes in head units are painted, crisp or soft."""

    def __init__(self, pixels: int, unit: float, centre: tuple[float, float], tilt: float, wall: Colour) -> None:
        self.image = Image.new("RGB", (pixels, pixels), wall)
        self.unit, self.centre = unit, centre
        self.turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])

    def _patch(self, points: Points, blur: float) -> tuple[Image.Image, tuple[int, int, int, int]]:
        """Return a mask of the outline and the box of the picture that it covers, edges beyond the picture cut off."""
        places, spread = (points @ self.turn) * self.unit + self.centre, blur * self.unit
        low = np.clip(np.floor(places.min(axis=0) - 3 * spread - 2), 0, self.image.size).astype(int)
        high = np.clip(np.ceil(places.max(axis=0) + 3 * spread + 2), low + 1, [size + 1 for size in self.image.size])
        left, top, right, bottom = int(low[0]), int(low[1]), int(high[0]), int(high[1])
        mask = Image.new("L", (right - left, bottom - top), 0)
        ImageDraw.Draw(mask).polygon([(float(x), float(y)) for x, y in places - low], fill=255)
        return mask.filter(ImageFilter.GaussianBlur(spread)) if blur else mask, (left, top, right, bottom)

    def mask(self, points: Points, blur: float = 0.0) -> Image.Image:
        """Return the filled outline `points`, (N, 2) in head units, as a mask of the picture's size."""
        patch, box = self._patch(points, blur)
        mask = Image.new("L", self.image.size, 0)
        mask.paste(patch, box)
        return mask

    def fill(
        self, points: Points, colour: Colour, alpha: float = 1.0, blur: float = 0.008, clip: Image.Image | None = None
    ) -> None:
        """Paint an outline whose edge is `blur` soft; `clip` is a mask outside which nothing is painted."""
        mask, box = self._patch(points, blur)
        if clip is not None:
            mask = ImageChops.multiply(mask, clip.crop(box))
        if alpha < 1:
            mask = mask.point([round(value * alpha) for value in range(256)])
        self.image.paste(colour, box, mask)

    def stroke(self, points: Points, width: float, colour: Colour, alpha: float = 1.0, blur: float = 0.01) -> None:
        """Paint a line along `points` that is `width` wide in its middle and thin at its ends."""
        along = np.gradient(points, axis=0)
        normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / (np.hypot(along[:, 0], along[:, 1])[:, None] + 1e-9)
        half = (width / 2 * np.sin(np.linspace(0.12, np.pi - 0.12, len(points))) ** 0.6)[:, None]
        self.fill(np.concatenate([points + normal * half, (points - normal * half)[::-1]]), colour, alpha, blur)

    def light(self, person: Person, clip: Image.Image) -> None:
        """Shade what lies in `clip` as an ellipsoid lit from `person.light`."""
        side = self.image.size[0]
        rows, columns = np.mgrid[0:side, 0:side]
        x = (columns - self.centre[0]) / self.unit / 1.12
        y = ((rows - self.centre[1]) / self.unit - 0.1) / 1.55
        z = np.sqrt(np.clip(1 - x**2 - y**2, 0.02, 1))
        shade = 0.5 + 0.55 * (x * person.light[0] + y * person.light[1] + z)
        shade = 1 + (np.clip(shade, 0.35, 1.16) - 1) * np.asarray(clip, dtype=np.float64) / 255
        pixels = np.asarray(self.image, dtype=np.float64)
        warm = shade[..., None] ** np.array([0.85, 1.05, 1.15])
        self.image = Image.fromarray(np.clip(pixels * warm, 0, 255).astype(np.uint8))
