"""Who is drawn and what the face does: chosen by chance, the same for the same seed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Expression:
    """How an emotion moves a face; lengths in half head widths, 0 at rest."""

    brow_up: float = 0.0  # the whole brow
    brow_inner: float = 0.0  # its inner end, downwards
    eye_open: float = 1.0  # 1 at rest
    lid_up: float = 0.0  # the lower lid
    wrinkle: float = 0.0  # folds at the nose, 0 to 1
    mouth_curve: float = 0.0  # corners, upwards
    mouth_open: float = 0.0
    mouth_width: float = 0.36
    teeth: float = 0.0  # share of the opening that the upper teeth fill


EXPRESSIONS: Final = {
    "angry": Expression(-0.09, 0.17, 0.8, 0.02, 0.5, -0.09, 0.13, 0.33, 1.0),
    "disgust": Expression(-0.06, 0.06, 0.5, 0.07, 1.0, -0.17, 0.07, 0.3, 0.7),
    "fear": Expression(0.1, -0.1, 1.4, 0.0, 0.0, -0.08, 0.15, 0.44, 0.35),
    "happy": Expression(0.04, 0.0, 0.72, 0.06, 0.2, 0.22, 0.17, 0.5, 0.7),
    "neutral": Expression(),
    "sad": Expression(0.02, -0.15, 0.62, 0.0, 0.1, -0.17, 0.0, 0.31, 0.0),
    "surprise": Expression(0.2, 0.01, 1.55, 0.0, 0.0, -0.02, 0.36, 0.27, 0.15),
}


@dataclass(frozen=True)
class Person:
    """What stays the same when the expression changes."""

    skin: Colour
    hair: Colour
    iris: Colour
    shirt: Colour
    wall: Colour
    lips: Colour
    long_hair: bool
    hairline: float  # y of the hair's edge on the forehead
    parting: float  # x of its highest point
    jaw: float  # how much the face narrows to the chin
    eye_gap: float
    nose: float  # width of the nose
    brow: float  # thickness of the brows
    light: tuple[float, float]  # where the light comes from, x and y


def mix(a: Sequence[float], b: Sequence[float], share: float) -> Colour:
    """Return the colour that lies `share` (0 to 1) of the way from `a` to `b`."""
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def make_person(rng: np.random.Generator) -> Person:
    """Return somebody."""
    tone = rng.uniform(0, 1)
    skin = (
        mix((244, 208, 182), (198, 142, 104), tone * 2)
        if tone < 0.5
        else mix((198, 142, 104), (112, 72, 52), tone * 2 - 1)
    )
    hairs = ((28, 22, 22), (58, 38, 28), (96, 62, 38), (140, 84, 44), (186, 146, 92), (120, 118, 118))
    shirts = ((52, 84, 120), (120, 60, 66), (62, 104, 88), (92, 86, 124), (60, 64, 72), (170, 130, 80))
    walls = ((204, 212, 220), (222, 208, 190), (190, 206, 196), (214, 202, 214), (168, 184, 200))
    irises = ((70, 46, 30), (84, 62, 36), (70, 96, 110), (78, 98, 66))
    dark = tone > 0.45
    return Person(
        skin=skin,
        hair=hairs[int(rng.integers(2 if dark else len(hairs)))],
        iris=irises[int(rng.integers(1 if dark else len(irises)))],
        shirt=shirts[int(rng.integers(len(shirts)))],
        wall=walls[int(rng.integers(len(walls)))],
        lips=mix(skin, (168, 60, 66), 0.5),
        long_hair=bool(rng.random() < 0.5),
        hairline=rng.uniform(-0.92, -0.78),
        parting=rng.uniform(-0.5, 0.5),
        jaw=rng.uniform(0.08, 0.2),
        eye_gap=rng.uniform(0.37, 0.42),
        nose=rng.uniform(0.15, 0.2),
        brow=rng.uniform(0.04, 0.06),
        light=(rng.uniform(-0.6, 0.6), rng.uniform(-0.6, -0.2)),
    )


def make_expression(label: str, rng: np.random.Generator) -> Expression:
    """Return the emotion's expression, a little stronger, weaker and otherwise than the typical one."""
    typical, rest, strength = EXPRESSIONS[label], Expression(), rng.uniform(0.8, 1.15)
    values = {}
    for field in fields(Expression):
        calm, full = getattr(rest, field.name), getattr(typical, field.name)
        values[field.name] = calm + (full - calm) * strength * rng.uniform(0.9, 1.1)
    shaken = replace(typical, **values)
    return replace(
        shaken, brow_up=shaken.brow_up + rng.normal(0, 0.012), eye_open=shaken.eye_open * rng.uniform(0.94, 1.06)
    )
