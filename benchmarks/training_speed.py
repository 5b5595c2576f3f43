"""How fast the training loop is beside a bare one, on the same network and batch size, in one run.

The bare loop takes one prepared batch again and again: forward, backward, step of the same optimiser, in the same
precision and memory layout. The training is `trainer.training.train` on random faces, with the hooks that a job has.
After every few of its steps the bare loop takes as many, while the training's clock stands still, so that a machine
whose speed drifts slows both alike, and checkpoints come as often as in a training that nobody interrupts.

Counted as training: what a job does between its first step and its end, but for reading the data set. That is drawing
and augmenting each batch, hiding, the step, the average of the weights, the loss, progress.json, the wish to stop,
the checkpoints (every 120 s, and one at the end of each epoch), the weights of the best epoch, metrics.jsonl, and
setting the run up. Validation is no training step, so the rate is given without and with it. Short epochs have more
of what comes once an epoch than a data set's have: FER2013 has about 24,000 faces to train on, the default here is a
fifth, which takes some minutes on two cores. Not counted: a few steps of each before.

Run: `PYTHONPATH=. .venv/bin/python benchmarks/training_speed.py`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import nn

from shared.labels import LABELS
from shared.run_folder import RunFolder
from shared.schemas.jobs import JobProgress, JobRequest
from shared.schemas.training import Architecture, TrainSettings
from shared.study import Leaks
from trainer.data import Dataset, LeftOut, Part
from trainer.devices import choose_arithmetic, choose_device
from trainer.network import network_of
from trainer.optimisation import build_optimizer
from trainer.runs import run_hooks
from trainer.training import Hooks, Plan, train

WARM_UP_STEPS = 2
LEAST_PERCENT = 95.0
"""The training must reach so much of the bare loop's images/s, validation not counted."""


class Watch:
    """A clock in seconds that can be held while something else has its turn."""

    def __init__(self) -> None:
        self._held = 0.0

    def __call__(self) -> float:
        """Return the time that passed while it was not held."""
        return time.perf_counter() - self._held

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stand still, after what the device has been given to do and until it has done what it is given here."""
        finish()
        began = time.perf_counter()
        yield
        finish()
        self._held += time.perf_counter() - began


def finish() -> None:
    """Wait until a GPU has done what it was given."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


class Bare:
    """The bare loop, and the seconds that it has taken."""

    def __init__(self, settings: TrainSettings, device: torch.device) -> None:
        self.arithmetic, self.batch_size = choose_arithmetic(settings.precision, device), settings.batch_size
        network = network_of(settings)
        self.network = self.arithmetic.place(network).train()
        self.optimizer, self.scaler = build_optimizer(self.network, settings), self.arithmetic.scaler()
        self.criterion = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
        batch = torch.randn(self.batch_size, 3, settings.size, settings.size, device=device)
        self.batch = batch.contiguous(memory_format=self.arithmetic.layout)
        self.labels = torch.randint(0, len(LABELS), (self.batch_size,), device=device)
        self.steps, self.seconds = 0, 0.0

    def take(self, steps: int) -> None:
        """Take so many steps."""
        began = time.perf_counter()
        for _ in range(steps):
            with self.arithmetic.autocast():
                loss = self.criterion(self.network(self.batch), self.labels)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        finish()
        self.steps, self.seconds = self.steps + steps, self.seconds + time.perf_counter() - began

    @property
    def images_per_s(self) -> float:
        return self.steps * self.batch_size / self.seconds


@dataclass(frozen=True)
class Speed:
    """What was measured, in images/s."""

    bare: float
    training: float
    with_validation: float


def random_faces(count: int, size: int, seed: int = 0) -> Part:
    """Return faces of random pixels: what is on them does not matter for speed."""
    rng = np.random.default_rng(seed)
    faces = rng.integers(0, 256, (count, size, size), dtype=np.uint8)
    return Part(faces, rng.integers(0, len(LABELS), count), [f"random {index}" for index in range(count)])


def random_dataset(faces: int, settings: TrainSettings) -> Dataset:
    """Return a data set of `faces` to train on and, by the settings' share, some to validate on."""
    held_out = max(1, round(faces * settings.validation_share / (1 - settings.validation_share)))
    return Dataset(
        name="random",
        train=random_faces(faces, settings.size),
        validation=random_faces(held_out, settings.size, seed=1),
        test=random_faces(0, settings.size),
        clean=np.ones(0, np.bool_),
        leaks=Leaks(equal=0, near=0, similarity=1.0),
        left_out=LeftOut(0, 0, 0),
        fingerprint="random",
        test_digests=(),
        test_fingerprint="random",
        division="random",
    )


def train_once(
    settings: TrainSettings, faces: int, device: torch.device, runs_dir: Path, bare: Bare, turn: int
) -> Speed:
    """Train, with the bare loop's turns in between, and return how fast both were."""
    run = RunFolder.create(runs_dir, JobRequest(dataset="random", settings=settings))
    usual, watch, data = run_hooks(run, lambda: False, lambda progress: None), Watch(), random_dataset(faces, settings)
    plan = Plan(settings, "five", faces)
    network = network_of(settings)

    def progress(value: JobProgress) -> None:
        usual.progress(value)
        if value.step % turn == 0:
            with watch.held():
                bare.take(turn)

    began = watch()
    train(plan, data, network, device, run.path, Hooks(progress, usual.stop_asked, watch))
    finish()
    seconds = watch() - began
    validating = sum(row.validation_seconds or 0.0 for row in run.metrics())
    images = plan.steps * min(settings.batch_size, faces)
    return Speed(bare.images_per_s, images / (seconds - validating), images / seconds)


def compare(settings: TrainSettings, faces: int, device: torch.device, turn: int) -> Speed:
    """Return the speeds of both loops, after a few steps of each that are not counted."""
    with tempfile.TemporaryDirectory() as place:
        few = settings.model_copy(update={"epochs": 1})
        train_once(few, WARM_UP_STEPS * settings.batch_size, device, Path(place), Bare(settings, device), turn=1)
        return train_once(settings, faces, device, Path(place), Bare(settings, device), turn)


def main() -> None:
    """Print a Markdown table of both loops; end with a sentence if the training is slower than it has to be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=5120, help="faces to train on (default: 5120)")
    parser.add_argument("--epochs", type=int, default=1, help="passes over them (default: 1)")
    parser.add_argument("--architecture", default="resnet18", choices=get_args(Architecture))
    parser.add_argument("--size", type=int, default=48, help="height and width in pixels (default: 48)")
    parser.add_argument("--batch-size", type=int, default=128, help="(default: 128)")
    parser.add_argument("--precision", default="auto", choices=("auto", "bf16", "fp16", "fp32"))
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: PyTorch's choice)")
    parser.add_argument("--turn", type=int, default=4, help="steps until the other loop's turn (default: 4)")
    given = vars(parser.parse_args())
    faces, turn, device = given.pop("faces"), given.pop("turn"), choose_device(given.pop("device"))
    if threads := given.pop("threads"):
        torch.set_num_threads(threads)
    settings = TrainSettings.model_validate(given)
    if Plan(settings, "five", faces).steps < turn:
        parser.error("--faces and --epochs must give at least as many steps as --turn")
    words = choose_arithmetic(settings.precision, device).describe()
    described = ", ".join(f"{key} {value}" for key, value in words.items())
    print(
        f"{settings.architecture} at {settings.size} px, batches of {settings.batch_size}, {faces} faces, "
        f"{settings.epochs} epochs, {described}, {torch.get_num_threads()} threads\n",
        flush=True,
    )
    speed = compare(settings, faces, device, turn)
    print("| loop | images/s | of the bare loop, % |\n|---|---:|---:|")
    rows = {"bare": speed.bare, "training": speed.training, "training and validation": speed.with_validation}
    for name, rate in rows.items():
        print(f"| {name} | {rate:.1f} | {100 * rate / speed.bare:.1f} |")
    if 100 * speed.training / speed.bare < LEAST_PERCENT:
        sys.exit(f"The training reaches less than {LEAST_PERCENT:.0f} % of the bare loop's images/s.")


if __name__ == "__main__":
    main()
