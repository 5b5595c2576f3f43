"""From a grayscale face to what the network reads. Training, evaluation and inference all call this module.

`prepare` is the whole way: resize, hide, normalise, repeat the gray channel. `hide_and_normalise` is its second part,
for faces that have the network's size already, and takes torch tensors too: training augments on tensors.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.errors import FaceShapeError
from shared.masking import Hidden, hide, hide_each

CIFAR10_MEAN: Final = (0.4914, 0.4822, 0.4465)
CIFAR10_STD: Final = (0.2023, 0.1994, 0.2010)

ORIENTATION_TAG: Final = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

STRIP_PIXELS: Final = 1 << 20
"""So many pixels of a picture are converted at a time."""


class InputSpec(BaseModel):
    """What a network expects; part of every model's card."""

    model_config = ConfigDict(frozen=True)

    size: int = Field(48, ge=8, le=512, description="Height and width in pixels.")
    channels: int = Field(3, ge=1, le=4, description="The gray channel is repeated this often.")
    mean: tuple[float, ...] = Field(CIFAR10_MEAN, description="Subtracted per channel, after scaling.")
    std: tuple[float, ...] = Field(CIFAR10_STD, description="Divided by, per channel.")
    scale: float = Field(1 / 255, gt=0, description="Pixels (0 to 255) are multiplied by this first.")

    @model_validator(mode="after")
    def _one_value_a_channel(self) -> "InputSpec":
        if not len(self.mean) == len(self.std) == self.channels or min(self.std) <= 0:
            raise ValueError("mean and std need one value for each channel, std above 0")
        return self


def to_gray(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the luma (ITU-R 601-2, as Pillow's mode L) of `image` as uint8 (H, W); transparency lies on black.

    16 and 32 bits (modes I) are scaled from 65,535, floats from the largest one.
    """
    if image.mode.startswith("I"):
        return in_strips(image, lambda part: _scaled(part, 65535.0))
    if image.mode == "F":
        brightest = float(np.asarray(image).max(initial=0))
        return in_strips(image, lambda part: _scaled(part, max(brightest, 1e-12)))
    return in_strips(image, lambda part: np.asarray(on_black(part).convert("L"), dtype=np.uint8))


def to_rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Return the colours of `image` as uint8 (H, W, 3): what `to_gray` reads, before it is made gray."""
    if image.mode.startswith(("I", "F")):  # Pillow would clip 16 bits instead of scaling them
        return np.repeat(to_gray(image)[:, :, None], 3, axis=2)
    return in_strips(image, lambda part: np.asarray(on_black(part).convert("RGB"), dtype=np.uint8))


def upright(image: Image.Image) -> Image.Image:
    """Return an image as people see it: turned as its EXIF data say. What else these say is neither read nor kept.

    A BMP whose alpha is 0 everywhere is opaque: programs that know no alpha leave that byte empty.
    """
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        image = image.convert("RGB")
    turn = _TURNS.get(_orientation(image))
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = {key: value for key, value in image.info.items() if key == "transparency"}
    return turned


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION_TAG, 1))
    except Exception:  # damaged EXIF data: the picture itself can be read, so it is taken as it lies
        return 1


def _scaled(image: Image.Image, top: float) -> npt.NDArray[np.uint8]:
    values = np.asarray(image, dtype=np.float64)
    return (np.clip(values / top, 0, 1) * 255).round().astype(np.uint8)


def on_black(image: Image.Image) -> Image.Image:
    """Return `image` laid on black if any of it may be transparent, else itself."""
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    return image


def in_strips(
    image: Image.Image, convert: Callable[[Image.Image], npt.NDArray[np.uint8]], strip_pixels: int = STRIP_PIXELS
) -> npt.NDArray[np.uint8]:
    """Return what `convert` makes of an image, uint8 (H, W, ...), for a few rows at a time.

    What lies between, which may take many bytes a pixel, is thus never there for all of a large picture.

    Args:
        image: of any size.
        convert: gives each pixel a value that depends on no other pixel.
        strip_pixels: how many are converted at once; at least a row.
    """
    rows = max(1, strip_pixels // max(1, image.width))
    if image.height <= rows:
        return convert(image)
    first = convert(image.crop((0, 0, image.width, rows)))
    result = np.empty((image.height, *first.shape[1:]), np.uint8)
    result[:rows] = first
    for top in range(rows, image.height, rows):
        bottom = min(top + rows, image.height)
        result[top:bottom] = convert(image.crop((0, top, image.width, bottom)))
    return result


def resize(face: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Return `face`, uint8 (H, W), at `size` x `size` pixels (bilinear, antialiased; unchanged if it has that size).

    Raises:
        FaceShapeError: not a two-dimensional, non-empty uint8 array.
    """
    if face.ndim != 2 or face.dtype != np.uint8 or 0 in face.shape:
        raise FaceShapeError(f"A face is a uint8 array (height, width); got {face.dtype} {face.shape}.")
    if face.shape == (size, size):
        return face
    return np.asarray(Image.fromarray(face).resize((size, size), Image.Resampling.BILINEAR), dtype=np.uint8)


def hide_and_normalise(faces: Any, hidden: Hidden | Sequence[Hidden], spec: InputSpec) -> Any:
    """Hide part of each face, then scale, normalise and repeat the gray channel.

    Args:
        faces: NumPy array or torch tensor, pixels 0 to 255, of shape (N, H, W); uint8 or float32.
        hidden: one view or quadrant set for all, or a list with one for each face.
        spec: what the network expects.

    Returns:
        float32 of shape (N, channels, H, W), of the same kind (NumPy or torch) as `faces`.
    """
    if len(faces.shape) != 3:
        raise FaceShapeError(f"A batch of faces has the shape (N, height, width); got {tuple(faces.shape)}.")
    seen = hide_each(faces, hidden) if isinstance(hidden, list) else hide(faces, hidden)  # type: ignore[arg-type]
    is_numpy = isinstance(seen, np.ndarray)
    pixels = (seen.astype(np.float32) if is_numpy else seen.float()) * spec.scale
    shape = (len(faces), spec.channels, *faces.shape[-2:])
    out = np.empty(shape, np.float32) if is_numpy else pixels.new_empty(shape)
    for channel, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True)):
        out[:, channel] = (pixels - mean) / std
    return out


def prepare(
    faces: Sequence[npt.NDArray[np.uint8]] | npt.NDArray[np.uint8],
    hidden: Hidden | Sequence[Hidden],
    spec: InputSpec,
) -> npt.NDArray[np.float32]:
    """Return what the network reads: float32 of shape (N, channels, size, size).

    Args:
        faces: N grayscale faces, each uint8 (H, W) of any size.
        hidden: one view or quadrant set for all, or a list with one for each face.
        spec: what the network expects.

    Raises:
        FaceShapeError: an element is not a grayscale uint8 face.
        UnknownViewError: see `shared.masking.hidden_quadrants`.
    """
    if len(faces) == 0:
        return np.empty((0, spec.channels, spec.size, spec.size), np.float32)
    batch = np.stack([resize(face, spec.size) for face in faces])
    result: npt.NDArray[np.float32] = hide_and_normalise(batch, hidden, spec)
    return result
