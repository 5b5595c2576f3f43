"""Draws faces, so that samples and tests need no photograph of anybody.

`draw_face` gives a tight gray face as in FER2013, `draw_portrait` a colour picture in which a face detector finds a
face. One head is modelled in units of half its width (x to the right, y down, the eyes near y = 0) and painted in soft
layers; the seed makes the person, the label the expression, with a little chance in it. The emotion shows in the brows
and eyes, in the mouth and, the head being symmetric, in either side.

    python scripts/draw_faces.py dataset FOLDER [--train-per-class 40] [--test-per-class 10] [--size 48] [--seed 0]
    python scripts/draw_faces.py samples FOLDER
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs as a script, too

from scripts.drawing.head import paint_body, paint_head
from scripts.drawing.painter import Painter
from scripts.drawing.person import make_expression, make_person
from shared.labels import LABEL_INDEX, LABELS

SAMPLES: Final = {
    "happy-face": ("happy", 38),
    "surprised-face": ("surprise", 6),
    "sad-face": ("sad", 33),
    "angry-face": ("angry", 35),
    "fearful-face": ("fear", 9),
    "neutral-face": ("neutral", 32),
}
"""The page's sample pictures: file name to emotion and seed."""


def render(label: str, seed: int, pixels: int, head: float, down: float) -> Image.Image:
    """Return a picture, RGB, in which half the head's width is `head` of the side, centred `down` of the side."""
    rng = np.random.default_rng(seed)
    person, mood = make_person(rng), np.random.default_rng((seed, LABEL_INDEX[label]))
    look = make_expression(label, mood)
    unit = pixels * head * mood.uniform(0.95, 1.05)
    centre = (pixels * (0.5 + mood.uniform(-0.02, 0.02)), pixels * (down + mood.uniform(-0.02, 0.02)))
    painter = Painter(pixels, unit, centre, mood.uniform(-0.06, 0.06), person.wall)
    paint_body(painter, person)
    paint_head(painter, person, look, rng)
    return painter.image


def add_grain(image: Image.Image, deviation: float, seed: int) -> Image.Image:
    """Return the picture with normal noise of this standard deviation, in gray levels, and 8 bits again."""
    pixels = np.asarray(image, dtype=np.float64)
    noise = np.random.default_rng((seed, 99)).normal(0, deviation, pixels.shape[:2])
    noise = noise[..., None] if pixels.ndim == 3 else noise
    return Image.fromarray(np.clip(pixels + noise, 0, 255).round().astype(np.uint8))


def draw_face(label: str, seed: int, size: int = 48) -> Image.Image:
    """Return a tight gray face (mode L) of `size` x `size` pixels that shows the emotion `label`.

    Raises:
        KeyError: `label` is none of the seven emotions.
    """
    big = render(label, seed, 4 * size, 0.47, 0.42).convert("L")
    return add_grain(big.resize((size, size), Image.Resampling.BOX), 5.0, seed)


def draw_portrait(label: str, seed: int, size: int = 512) -> Image.Image:
    """Return a colour picture (mode RGB) of `size` x `size` pixels: head and shoulders before a wall.

    Raises:
        KeyError: `label` is none of the seven emotions.
    """
    big = render(label, seed, 2 * size, 0.235, 0.47)
    return add_grain(big.resize((size, size), Image.Resampling.BOX), 1.5, seed)


def write_dataset(
    folder: Path, train_per_class: int = 40, test_per_class: int = 10, size: int = 48, seed: int = 0
) -> None:
    """Write train/<label>/NAME.png and test/<label>/NAME.png below `folder`; no person is in both."""
    for label in LABELS:
        for split, first, count in (("train", 0, train_per_class), ("test", 500_000, test_per_class)):
            place = folder / split / label
            place.mkdir(parents=True, exist_ok=True)
            for index in range(count):
                number = seed * 10_000_000 + LABEL_INDEX[label] * 1_000_000 + first + index
                draw_face(label, number, size).save(place / f"{label}-{index:04d}.png")


def three_faces(seeds: Sequence[int] = (10, 20, 18), size: int = 320) -> Image.Image:
    """Return a picture, RGB, of three people side by side: happy, surprised and neutral."""
    people = zip(("happy", "surprise", "neutral"), seeds, strict=True)
    row = Image.new("RGB", (len(seeds) * size, size))
    for place, (label, seed) in enumerate(people):
        row.paste(draw_portrait(label, seed, size), (place * size, 0))
    return row


def write_samples(folder: Path) -> None:
    """Write the sample pictures of the page below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (label, seed) in SAMPLES.items():
        draw_portrait(label, seed).save(folder / f"{name}.png", optimize=True)
    three_faces().save(folder / "three-faces.png", optimize=True)
    draw_face("happy", 24).save(folder / "tiny-face-48x48.png", optimize=True)


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description="Draw faces for samples and tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    dataset = commands.add_parser("dataset", help="a small data set laid out as FER2013 is")
    dataset.add_argument("--train-per-class", type=int, default=40, help="training faces of each emotion")
    dataset.add_argument("--test-per-class", type=int, default=10, help="test faces of each emotion")
    dataset.add_argument("--size", type=int, default=48, help="height and width in pixels")
    dataset.add_argument("--seed", type=int, default=0, help="another seed draws other people")
    samples = commands.add_parser("samples", help="the sample pictures of the page")
    for command in (dataset, samples):
        command.add_argument("folder", type=Path, help="where to write")
    asked = parser.parse_args()
    if asked.command == "dataset":
        write_dataset(asked.folder, asked.train_per_class, asked.test_per_class, asked.size, asked.seed)
    else:
        write_samples(asked.folder)


if __name__ == "__main__":
    main()
