"""Measure what the copies of test images in a data set's training split are worth to a network that trains on them.

    python -m scripts.leak_worth --data data/fer2013.zip --base-model any/9

goes on from a released version, which was trained without them, half on the copies and half on other training faces,
under the study's five views, until it knows the copies well. It prints the accuracy on the whole test set and on its
clean part (the images without a copy), before and after: what the whole gains and the clean part does not is no skill.
Nothing is kept; the network is not registered.
"""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import nn
from tqdm import trange

from shared.dataset_images import read_images
from shared.errors import HalffaceError
from shared.masking import STUDY_VIEWS, View
from shared.model_folder import model_path, read_card
from shared.preprocessing import InputSpec
from shared.schemas.training import TrainSettings
from trainer.data import Dataset, Part, load_dataset, part_of
from trainer.devices import choose_device
from trainer.duplicates import similarity
from trainer.evaluation import logits_of, torch_forward
from trainer.network import load_version
from trainer.training import Plan, Run

BATCH_SIZE: Final = 64
MAX_STEPS: Final = 1000
SETTINGS: Final = {
    **{"batch_size": BATCH_SIZE, "learning_rate": 5e-4, "warmup_steps": 50, "label_smoothing": 0},
    **{"ema_decay": 0, "shift": 0.08, "rotate_degrees": 0, "zoom": 0, "contrast": 0, "erase": 0},
}
"""Augmented as in the original study: a crop with padding, and the mirror."""

Accuracies = dict[View, tuple[float, float]]


def copies(path: Path, like: float, size: int) -> Part:
    """Return the training images that are copies of a test image: equal to it, or at least as similar as `like`."""
    images = list(read_images(path))
    test = [image.face for image in images if image.split == "test"]
    train = [image for image in images if image.split == "train"]
    near = similarity([image.face for image in train], test) >= like
    return part_of([image for image, is_copy in zip(train, near, strict=True) if is_copy], size)


def accuracies(network: nn.Module, data: Dataset, spec: InputSpec) -> Accuracies:
    """Return view to the accuracy on all test images and on the clean ones, in per cent."""
    forward, found = torch_forward(network, torch.device("cpu")), {}
    for view in STUDY_VIEWS:
        right = logits_of(forward, data.test.faces, view, spec, batch_size=64).argmax(axis=1) == data.test.labels
        found[view] = (100 * float(right.mean()), 100 * float(right[data.clean].mean()))
    return found


def learn_by_heart(network: nn.Module, known: Part, data: Dataset, settings: TrainSettings) -> nn.Module:
    """Train on batches that are half copies, half other training faces; return the network."""
    both = Part(
        np.concatenate([known.faces, data.train.faces]),
        np.concatenate([known.labels, data.train.labels]),
        [*known.names, *data.train.names],
    )
    plan = Plan(settings, "five", len(both))
    rng, half = np.random.default_rng(settings.seed), BATCH_SIZE // 2
    with tempfile.TemporaryDirectory() as folder:
        run = Run(plan, replace(data, train=both), network, choose_device("cpu"), Path(folder))
        for _ in trange(plan.steps, unit="step", disable=None):
            chosen = [rng.integers(0, len(known), half), rng.integers(len(known), len(both), half)]
            run.step(torch.from_numpy(np.concatenate(chosen)))
            run.position.step += 1
    return run.shown().eval()


def main() -> int:
    """Print the table, Markdown; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a zip, folder or CSV of FER2013")
    parser.add_argument("--base-model", required=True, help="the version to go on from")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the models folder")
    parser.add_argument("--steps", type=int, default=MAX_STEPS, help="of 64 faces each (default: %(default)s)")
    parser.add_argument(
        "--duplicate-similarity", type=float, default=0.96, help="from which on two are one (default: %(default)s)"
    )
    arguments = parser.parse_args()
    if not 1 <= arguments.steps <= MAX_STEPS:
        parser.error(f"--steps must be 1 to {MAX_STEPS}")
    try:
        _measure(arguments)
    except HalffaceError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _measure(arguments: argparse.Namespace) -> None:
    """Raises HalffaceError: data or version cannot be used, or there are no copies."""
    like, spec = arguments.duplicate_similarity, read_card(model_path(arguments.models, arguments.base_model)).input
    settings = TrainSettings(size=spec.size, epochs=arguments.steps, epoch_faces=BATCH_SIZE, **SETTINGS)
    data = load_dataset(arguments.data, size=spec.size, duplicate_similarity=like)
    known = copies(arguments.data, like, spec.size)
    if not len(known):
        raise HalffaceError(f"{arguments.data.name} holds no copy of a test image in its training split.")
    network = load_version(arguments.models, arguments.base_model)
    before = accuracies(network, data, spec)
    after = accuracies(learn_by_heart(network, known, data, settings), data, spec)
    print(f"{len(known)} copies of {int((~data.clean).sum())} of {len(data.clean)} test images; accuracy, %:\n")
    print("| view | all, before | all, after | clean, before | clean, after |")
    print("|---|---:|---:|---:|---:|")
    for view in STUDY_VIEWS:
        figures = (before[view][0], after[view][0], before[view][1], after[view][1])
        print(f"| {view.value} | {' | '.join(f'{figure:.1f}' for figure in figures)} |")


if __name__ == "__main__":
    sys.exit(main())
