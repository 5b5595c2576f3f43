"""Figures as text: the README's table from the study or the cards, and a version measured again."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.errors import ModelFolderError
from shared.masking import STUDY_VIEWS, View
from shared.model_folder import Card, model_path, read_active, read_card
from shared.schemas import SLOTS
from shared.study import STUDY_FILE, StudyResult, read_study
from trainer.data import load_dataset
from trainer.evaluation import measure
from trainer.study.answers import Answers, open_reader
from trainer.study.report_files import write_report
from trainer.study.runner import evaluation_of

COLUMNS = {"accuracy": "accuracy", "macro_f1": "macro F1", "weighted_f1": "weighted F1", "weighted_auc": "weighted AUC"}


def metrics_table(rows: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """Return a Markdown table: view to (model, its figures on the view), accuracies and F1 in per cent."""
    lines = [f"| view | model | {' | '.join(COLUMNS.values())} |", f"|---|---|{'---:|' * len(COLUMNS)}"]
    for view, (model, figures) in rows.items():
        cells = ["–" if figures[key] is None else f"{figures[key] * 100:.1f}" for key in COLUMNS]
        lines.append(f"| {view} | {model} | {' | '.join(cells)} |")
    return "\n".join(lines)


def released_table(models_dir: Path) -> str:
    """Return the table of what each view's active model reached on the test split, as its card says.

    Raises:
        ModelFolderError: an active model is missing or has no figures for its view.
    """
    rows = {}
    for slot, model_id in read_active(models_dir).items():
        card = read_card(model_path(models_dir, model_id))
        try:
            rows[slot] = (model_id, card.metrics["test"][slot])
        except KeyError as error:
            raise ModelFolderError(f"The card of {model_id} has no figures for the view {slot}.") from error
    return metrics_table(rows)


def study_table(study: StudyResult) -> str:
    """Return a Markdown table of accuracies in per cent: models (rows) by views, on all test images."""
    lines = [f"| trained on | {' | '.join(STUDY_VIEWS)} |", f"|---|{'---:|' * len(STUDY_VIEWS)}"]
    for slot in SLOTS:
        found = [study.cell(slot, view.value) for view in STUDY_VIEWS]
        cells = ["–" if cell is None else f"{cell.metrics.accuracy.value * 100:.1f}" for cell in found]
        lines.append(f"| {slot} | {' | '.join(cells)} |")
    return "\n".join(lines)


def readme_table(models_dir: Path) -> str:
    """Return the README's table: the study's if there is one, else that of the active models' cards.

    Raises:
        StudyError: the study cannot be read.
        ModelFolderError: see `released_table`.
    """
    path = models_dir / STUDY_FILE
    return study_table(read_study(path)) if path.exists() else released_table(models_dir)


def evaluate(
    models_dir: Path, model_id: str, data: Path, views: Sequence[View], report: Path | None = None
) -> tuple[Card, dict[str, Any]]:
    """Measure a version's ONNX file on the test split of a data set.

    Args:
        models_dir: the folder `models`.
        model_id: `<name>/<version>`.
        data: a zip, folder or CSV.
        views: what to hide.
        report: also write the report of `trainer.study.report_files` to this folder.

    Returns:
        The card, and view to its figures (see `trainer.evaluation.measure`).

    Raises:
        ModelFolderError: there is no such version, or its files are altered.
        DatasetError: the data set cannot be read.
    """
    reader = open_reader(models_dir, "any", model_id, threads=0)
    dataset = load_dataset(data, size=reader.card.input.size)
    with tempfile.TemporaryDirectory() as cache:
        evaluation = evaluation_of(reader, dataset, views, Answers(Path(cache)))
    if report is not None:
        write_report(evaluation, report)
    return reader.card, {view: measure(logits, dataset.test.labels) for view, logits in evaluation.logits.items()}
