"""The study of the released models: the active version of each slot, by its exported file."""

from pathlib import Path
from typing import Final

from shared.model_folder import read_active
from shared.schemas import SLOTS, TrainSettings
from shared.study import STUDY_FILE, Subset, read_study, write_study
from trainer.data import load_dataset
from trainer.errors import StudyMismatchError
from trainer.evaluation import accuracy
from trainer.settings import Settings
from trainer.study.answers import Answers, Reader, open_reader
from trainer.study.runner import read_views, run_study

TOLERANCE: Final = 5e-4
"""Accuracies may differ by this much on another CPU, whose int8 arithmetic rounds some faces otherwise."""


def measure_released(settings: Settings, data: Path, cache: Path) -> Path:
    """Write the study of the active models to the models folder; return its path."""
    readers = active_readers(settings)
    dataset = load_dataset(data, size=readers[0].card.input.size, **_split_of(readers[0]))
    study = run_study(readers, dataset, Answers(cache))
    path = settings.models_dir / STUDY_FILE
    write_study(study, path)
    return path


def verify(settings: Settings, data: Path, cache: Path) -> int:
    """Compute every cell's accuracy again from the active models' files; return how many cells agree.

    Raises:
        StudyMismatchError: a cell differs; names each.
    """
    study, readers = read_study(settings.models_dir / STUDY_FILE), active_readers(settings)
    versions: dict[str, str] = {model.slot: model.version for model in study.models}
    other = [f"{reader.slot} is {reader.card.id}" for reader in readers if versions.get(reader.slot) != reader.card.id]
    if other:
        raise StudyMismatchError(f"The study measured other versions than serve now: {', '.join(other)}.")
    dataset = load_dataset(data, size=readers[0].card.input.size, **_split_of(readers[0]))
    found = read_views(readers, dataset, Answers(cache))
    wrong = []
    for (slot, view), logits in found.items():
        cell = study.cell(slot, view.value, Subset.ALL)
        measured = accuracy(logits, dataset.test.labels)
        if cell is None or abs(cell.metrics.accuracy.value - measured) > TOLERANCE:
            wrong.append(f"{slot} on {view.value}: {measured:.4f}")
    if wrong:
        raise StudyMismatchError(f"These cells are not those of {STUDY_FILE}: {'; '.join(wrong)}.")
    return len(found)


def active_readers(settings: Settings) -> list[Reader]:
    """Return the active version of each slot."""
    active = read_active(settings.models_dir)
    return [open_reader(settings.models_dir, slot, active.get(slot) or "", settings.threads) for slot in SLOTS]


def _split_of(reader: Reader) -> dict[str, float]:
    """Return how the version's training split was divided."""
    asked = TrainSettings.model_validate(reader.card.training["request"]["settings"])
    return {"validation_share": asked.validation_share, "duplicate_similarity": asked.duplicate_similarity}
