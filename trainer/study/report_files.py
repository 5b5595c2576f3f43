"""An evaluation of one model as a folder: a page, and its figures as files.

report.html       see `trainer.study.pages`
metrics.json      every figure, as in `shared.study.Cell`
confusion.csv     view, true emotion, and the number of each answer
predictions.csv   view, file name, true emotion, answer, probabilities at the temperature; no image
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.files import write_atomically
from shared.labels import LABELS
from shared.masking import View
from shared.probabilities import Logits, softmax
from shared.schemas.wire import SLOTS
from shared.study import Cell, Subset
from trainer.study.bootstrap import RESAMPLES, draw
from trainer.study.confusion import Labels
from trainer.study.metrics import measure_cell
from trainer.study.pages import evaluation_page

PAGE_FILE: Final = "report.html"
METRICS_FILE: Final = "metrics.json"
CONFUSION_FILE: Final = "confusion.csv"
PREDICTIONS_FILE: Final = "predictions.csv"


@dataclass(frozen=True)
class Evaluation:
    """A model's answers to the test images.

    model: `<name>/<version>`. trained_on: the card's view. data: the data set's name. names: N file names.
    labels: int64 (N,). logits: view to float32 (N, 7), not divided by the temperature.
    temperature: the card's.
    """

    model: str
    trained_on: str
    data: str
    names: Sequence[str]
    labels: Labels
    logits: Mapping[View, Logits]
    temperature: float


def measure_views(evaluation: Evaluation, resamples: int = RESAMPLES) -> list[Cell]:
    """Return the figures of each view. A model trained on several views counts as `any`."""
    weights = draw(len(evaluation.labels), resamples)
    return [
        measure_cell(
            logits,
            evaluation.labels,
            trained_on=evaluation.trained_on if evaluation.trained_on in SLOTS else "any",
            evaluated_on=view,
            subset=Subset.ALL,
            temperature=evaluation.temperature,
            weights=weights,
        )
        for view, logits in evaluation.logits.items()
    ]


def write_report(evaluation: Evaluation, folder: Path, *, resamples: int = RESAMPLES) -> None:
    """Measure the answers and write the four files into `folder`, made if need be."""
    cells = measure_views(evaluation, resamples)
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "model": evaluation.model,
        "trained_on": evaluation.trained_on,
        "data": evaluation.data,
        "cells": [cell.model_dump(mode="json") for cell in cells],
    }
    write_atomically(folder / METRICS_FILE, json.dumps(document, indent=1) + "\n")
    title = f"{evaluation.model} on {evaluation.data}"
    write_atomically(folder / PAGE_FILE, evaluation_page(title, len(evaluation.labels), cells))
    _write_confusion(cells, folder / CONFUSION_FILE)
    _write_predictions(evaluation, folder / PREDICTIONS_FILE)


def _write_confusion(cells: Sequence[Cell], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["view", "true", *LABELS])
        for cell in cells:
            rows = zip(LABELS, cell.confusion, strict=True)
            writer.writerows([cell.evaluated_on, label, *row] for label, row in rows)


def _write_predictions(evaluation: Evaluation, path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["view", "name", "true", "answer", *(f"p_{label}" for label in LABELS)])
        for view, logits in evaluation.logits.items():
            probabilities = softmax(logits, evaluation.temperature)
            rows = zip(evaluation.names, evaluation.labels, probabilities, strict=True)
            writer.writerows(
                [view, name, LABELS[truth], LABELS[shares.argmax()], *(f"{share:.4f}" for share in shares)]
                for name, truth, shares in rows
            )
