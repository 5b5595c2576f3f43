"""Random changes to a batch of faces, drawn from a generator of the step, so that a resumed run sees the same ones.

Order: mirror, rotate, scale and shift in one resampling (straight to the size that the network reads), contrast and
brightness, erase a rectangle (Zhong et al. 2020), and last of all hide: a mirrored face's left half is the left half of
what one sees.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the customary name
from torch import Tensor

from shared.masking import QUADRANTS, STUDY_VIEWS, View, mirrored
from shared.schemas.training import TrainSettings

ERASED_AREA: Final = (0.02, 0.2)
MID_GRAY: Final = 127.5

ANY_WHOLE: Final = 0.2
"""Share of the faces that `any` sees whole."""

ANY_HALVES: Final = {View.UPPER: 0.12, View.LOWER: 0.18, View.LEFT: 0.1, View.RIGHT: 0.1}
"""Shares of the faces of which `any` sees a half: it was furthest behind a specialist where the lower one is hidden."""

_ALL_SETS: Final = [frozenset(q for q in (1, 2, 3, 4) if bits >> (q - 1) & 1) for bits in range(15)]
_STUDY_SETS: Final = [QUADRANTS[view] for view in STUDY_VIEWS]


@dataclass(frozen=True)
class ViewMix:
    """What is hidden while training: quadrant sets and how often each is drawn."""

    sets: tuple[frozenset[int], ...]
    weights: tuple[float, ...]

    def draw(self, count: int, rng: np.random.Generator) -> list[frozenset[int]]:
        """Return `count` quadrant sets at random."""
        return [self.sets[index] for index in rng.choice(len(self.sets), size=count, p=self.weights)]

    def mirrored(self) -> "ViewMix":
        """Return the mix in which a set and its mirror image are drawn equally often."""
        halves = tuple(weight / 2 for weight in self.weights)
        return ViewMix((*self.sets, *map(mirrored, self.sets)), (*halves, *halves))

    def fixed(self, count: int) -> list[frozenset[int]]:
        """Return `count` quadrant sets in turn, for a validation that is the same every time."""
        order = [index for index, weight in enumerate(self.weights) if weight > 0]
        return [self.sets[order[index % len(order)]] for index in range(count)]


def view_mix(train_on: str, hide_share: float = 1.0, other_share: float = 0.0) -> ViewMix:
    """Return the mix for a view, for `five` (the study's views alike) or for `any`.

    `any` hides every set of quadrants but all four: none on one face in five, a half on one in two (more often those
    from which less can be read: see ANY_HALVES), and one of the ten other sets on the rest.

    Args:
        train_on: a view, `five` or `any`.
        hide_share: part of the faces that is hidden so; the rest is shown whole.
        other_share: part of the faces that is drawn from the mix `any` instead of all this.
    """
    if train_on == "five":
        sets, weights = list(_STUDY_SETS), np.full(5, 1 / 5)
    elif train_on == "any":
        others = [item for item in _ALL_SETS if item not in _STUDY_SETS]
        sets = [*_STUDY_SETS, *others]
        halves = [ANY_HALVES[view] for view in STUDY_VIEWS if view != View.FULL]
        weights = np.array([ANY_WHOLE, *halves, *[(1 - ANY_WHOLE - sum(halves)) / len(others)] * len(others)])
    else:
        sets, weights = [frozenset[int](), QUADRANTS[View(train_on)]], np.array([0.0, 1.0])
    weights = weights * hide_share
    weights[0] += 1 - hide_share
    if other_share:
        mixed = view_mix("any")
        sets += mixed.sets
        weights = np.concatenate([weights * (1 - other_share), np.array(mixed.weights) * other_share])
    return ViewMix(tuple(sets), tuple(float(weight) for weight in weights / weights.sum()))


@dataclass(frozen=True)
class Blend:
    """Mixup (Zhang et al. 2018): each face is blended with another of the batch, its loss with the other's label."""

    share: float
    """Of the face itself, 0.5 to 1; 1 blends nothing."""
    partners: Tensor
    """int64 (N,): the index of the other face."""

    @classmethod
    def draw(cls, count: int, alpha: float, rng: np.random.Generator) -> "Blend":
        """Draw one share for the batch, from Beta(alpha, alpha), and the pairs; alpha 0 blends nothing."""
        share = float(rng.beta(alpha, alpha)) if alpha else 1.0
        return cls(max(share, 1 - share), torch.from_numpy(rng.permutation(count)))

    def apply(self, batch: Tensor) -> Tensor:
        """Return the blended batch, float32 (N, C, H, W); the batch itself where nothing is blended."""
        return batch if self.share == 1 else torch.lerp(batch[self.partners.to(batch.device)], batch, self.share)

    def loss(self, criterion: Callable[[Tensor, Tensor], Tensor], logits: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of `logits` (N, 7) against the `labels` of both faces, one a row, by their shares."""
        own = criterion(logits, labels)
        if self.share == 1:
            return own
        return self.share * own + (1 - self.share) * criterion(logits, labels[self.partners.to(labels.device)])


def step_rng(seed: int, step: int, rank: int = 0) -> np.random.Generator:
    """Return the generator of one step in one process: what it draws depends on these three alone."""
    return np.random.default_rng([seed, step, rank] if rank else [seed, step])


def augment(faces: Tensor, settings: TrainSettings, size: int, rng: np.random.Generator) -> Tensor:
    """Return changed copies of `faces`.

    Args:
        faces: uint8 (N, S, S).
        settings: how much of each change.
        size: height and width of what is returned, in pixels.
        rng: the step's generator.

    Returns:
        float32 (N, size, size), pixels 0 to 255.
    """
    count, device = len(faces), faces.device
    theta = torch.from_numpy(_affine(count, settings, rng)).to(device)
    grid = F.affine_grid(theta, [count, 1, size, size], align_corners=False)
    pixels = F.grid_sample(faces[:, None].float(), grid, "bilinear", "border", align_corners=False)[:, 0]
    contrast = torch.from_numpy(_spread(count, settings.contrast, rng)).to(device)[:, None, None]
    brightness = torch.from_numpy(_spread(count, settings.contrast, rng)).to(device)[:, None, None]
    pixels = (pixels - MID_GRAY) * (1 + contrast) + MID_GRAY * (1 + brightness)
    return _erase(pixels.clamp_(0, 255), settings.erase, rng)


def resized(pixels: Tensor, size: int) -> Tensor:
    """Return faces (N, S, S) at another size: float32 (N, size, size), bilinear, as `SizeAverage` does."""
    if pixels.shape[-1] == size:
        return pixels
    return F.interpolate(pixels[:, None], size=(size, size), mode="bilinear")[:, 0]


def _spread(count: int, width: float, rng: np.random.Generator) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return rng.uniform(-width, width, count).astype(np.float32)


def _affine(
    count: int, settings: TrainSettings, rng: np.random.Generator
) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """Return (N, 2, 3) matrices from output to input coordinates (-1 to 1)."""
    angle = rng.uniform(-1, 1, count) * math.radians(settings.rotate_degrees)
    scale = 1 / (1 + rng.uniform(-settings.zoom, settings.zoom, count))
    mirror = np.where(rng.random(count) < 0.5, -1.0, 1.0) if settings.flip else np.ones(count)
    shift = rng.uniform(-2 * settings.shift, 2 * settings.shift, (count, 2))
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    theta = np.stack([cos * mirror, -sin, shift[:, 0], sin * mirror, cos, shift[:, 1]], axis=1)
    return theta.reshape(count, 2, 3).astype(np.float32)


def _erase(pixels: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """Fill a rectangle of some faces with a random gray, in place."""
    count, height, width = pixels.shape
    chosen = rng.random(count) < share
    area = rng.uniform(*ERASED_AREA, count) * height * width
    aspect = np.exp(rng.uniform(-1.2, 1.2, count))
    tall = np.clip(np.sqrt(area * aspect), 1, height - 1).astype(int)
    wide = np.clip(np.sqrt(area / aspect), 1, width - 1).astype(int)
    top = (rng.random(count) * (height - tall)).astype(int)
    left = (rng.random(count) * (width - wide)).astype(int)
    gray = rng.uniform(0, 255, count)
    for index in np.flatnonzero(chosen):
        rows = slice(top[index], top[index] + tall[index])
        pixels[index, rows, left[index] : left[index] + wide[index]] = float(gray[index])
    return pixels
