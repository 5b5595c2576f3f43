"""A version measured again: its figures on a data set, and its report as files."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shared.masking import View
from shared.model_folder import Card
from trainer.data import load_dataset
from trainer.evaluation import measure
from trainer.study.answers import Answers, open_reader, split_of
from trainer.study.report_files import write_report
from trainer.study.runner import evaluation_of


def evaluate(
    models_dir: Path,
    model_id: str,
    data: Path,
    views: Sequence[View],
    report: Path | None = None,
    threads: int = 0,
) -> tuple[Card, dict[str, Any]]:
    """Measure a version's ONNX file on the test split of a data set.

    Args:
        models_dir: the folder `models`.
        model_id: `<name>/<version>`.
        data: a zip, folder or CSV.
        views: what to hide.
        report: also write the report of `trainer.study.report_files` to this folder.
        threads: CPU threads; 0 for as many as there are cores.

    Returns:
        The card, and view to its figures (see `trainer.evaluation.measure`).

    Raises:
        ModelFolderError: there is no such version, or its files are altered.
        DatasetError: the data set cannot be read.
        OSError: the report's folder cannot be made; nothing was measured.
    """
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)
    reader = open_reader(models_dir, "any", model_id, threads)
    dataset = load_dataset(data, size=reader.card.input.size, **split_of([reader.card]))
    with tempfile.TemporaryDirectory() as cache:
        evaluation = evaluation_of(reader, dataset, views, Answers(Path(cache)))
    if report is not None:
        write_report(evaluation, report)
    labels, temperature = evaluation.labels, evaluation.temperature
    return reader.card, {view: measure(logits, labels, temperature) for view, logits in evaluation.logits.items()}
