"""How fast the released networks answer: each against the same architecture in torch and in float32 ONNX, in one run.

Weights do not matter for speed, so the comparison networks have random ones. One CPU thread; the median of many calls;
calls of the three take turns, so that a machine whose speed drifts slows all of them alike. Run by `make bench`.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from shared.model_folder import model_path, read_active, read_card
from trainer.evaluation import torch_forward
from trainer.export import write_float32
from trainer.network import build_network, shape_of
from trainer.onnx_forward import onnx_forward

CALLS = {1: 60, 32: 8}
"""Faces in a batch to number of calls."""


def median_ms(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return name to the median time of a call in milliseconds; the calls take turns, after one uncounted round."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                spent[name].append((time.perf_counter() - start) * 1000)
    return {name: statistics.median(times) for name, times in spent.items()}


def compare(models_dir: Path, model_id: str) -> None:
    """Print a row for each batch size of one released model."""
    folder = model_path(models_dir, model_id)
    card = read_card(folder)
    network = build_network(card.architecture, **shape_of(card)).to(memory_format=torch.channels_last).eval()
    with tempfile.TemporaryDirectory() as place:
        single = Path(place) / "float32.onnx"
        write_float32(network, card.input, single)
        forwards = {
            "torch": torch_forward(network, torch.device("cpu")),
            "float32 ONNX": onnx_forward(single, threads=1),
            "released": onnx_forward(folder / card.file, threads=1),
        }
        for faces, rounds in CALLS.items():
            batch = np.random.default_rng(0).random((faces, 3, card.input.size, card.input.size), np.float32)
            times = median_ms({name: partial(run, batch) for name, run in forwards.items()}, rounds)
            shown = " | ".join(f"{times[name]:.1f}" for name in forwards)
            print(f"| {model_id} | {faces} | {shown} | {times['torch'] / times['released']:.1f} |")


def main() -> None:
    """Print a Markdown table of every active model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="the models folder")
    models_dir = parser.parse_args().models
    torch.set_num_threads(1)
    print("| model | faces | torch, ms | float32 ONNX, ms | released, ms | torch / released |")
    print("|---|---:|---:|---:|---:|---:|")
    for model_id in sorted(set(read_active(models_dir).values())):
        compare(models_dir, model_id)


if __name__ == "__main__":
    main()
