"""The study of the released models: the active version of each slot, by its exported file."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from shared.errors import StudyError
from shared.masking import STUDY_VIEWS, View
from shared.model_folder import read_active
from shared.schemas import SLOTS
from shared.study import STUDY_FILE, Cell, Estimate, StudyResult, read_study, write_study
from shared.study_answers import STUDY_ANSWERS_FILE, write_answers
from trainer.data import Dataset, load_dataset
from trainer.errors import StudyMismatchError
from trainer.evaluation import Logits, measure
from trainer.settings import Settings
from trainer.study.answers import Answers, Reader, open_reader, split_of
from trainer.study.image_answers import image_answers
from trainer.study.inputs import subsets_of
from trainer.study.runner import faces_to_read, read_views, run_study
from trainer.study.sample import ROBUSTNESS_IMAGES

TOLERANCES: Final = {"accuracy": 5e-4, "weighted_f1": 1e-3, "weighted_auc": 1e-3, "macro_f1": 3e-3}
"""Figures over all test images may differ by this much on another CPU, whose arithmetic rounds some faces otherwise;
those of a part of the test set by as many images, that is by more."""

Show = Callable[[int, int], None]
"""Told how many faces were read, of how many; may raise to stop."""


def measure_released(
    settings: Settings, data: Path, cache: Path, show: Show, robustness_images: int = ROBUSTNESS_IMAGES
) -> Path:
    """Write the study of the active models, and their answers, to the models folder; return the study's path."""
    readers = active_readers(settings)
    dataset = load_dataset(data, size=readers[0].card.input.size, **split_of(readers))
    answers = Answers(cache, _counting(show, faces_to_read(readers, dataset, robustness_images)))
    study = run_study(readers, dataset, answers, robustness_images)
    path = settings.models_dir / STUDY_FILE
    write_answers(image_answers(readers, dataset, answers), path.with_name(STUDY_ANSWERS_FILE))
    write_study(study, path)
    return path


def verify(settings: Settings, data: Path, cache: Path, show: Show) -> int:
    """Compute every cell again, on each part of the test set, from the active models' files; return how many agree.

    Raises:
        StudyMismatchError: other versions or other data than the study's, or a figure that differs; names each.
    """
    study, readers = read_study(settings.models_dir / STUDY_FILE), active_readers(settings)
    versions: dict[str, str] = {model.slot: model.version for model in study.models}
    other = [f"{reader.slot} is {reader.card.id}" for reader in readers if versions.get(reader.slot) != reader.card.id]
    if other:
        raise StudyMismatchError(f"The study measured other versions than serve now: {', '.join(other)}.")
    dataset = load_dataset(data, size=readers[0].card.input.size, **split_of(readers))
    if dataset.fingerprint != study.protocol.fingerprint:
        raise StudyMismatchError(f"{data.name} is not the data set that the study measured: its images are others.")
    total = len({reader.file_digest for reader in readers}) * len(STUDY_VIEWS) * len(dataset.test)
    found = read_views(readers, dataset, Answers(cache, _counting(show, total)))
    wrong = differing_figures(study, found, dataset)
    if wrong:
        raise StudyMismatchError(f"These figures are not those of {STUDY_FILE}: {'; '.join(wrong)}.")
    return len(study.cells)


def differing_figures(study: StudyResult, found: Mapping[tuple[str, View], Logits], data: Dataset) -> list[str]:
    """Return what differs: each figure of a cell with its value as it was found and as the study has it."""
    parts, wrong = subsets_of(data.test.names, data.clean), []
    for subset, chosen in parts.items():
        for (slot, view), logits in found.items():
            cell = study.cell(slot, view.value, subset)
            where = f"{slot} on {view.value} ({subset})"
            if cell is None:
                wrong.append(f"{where} is not in the study")
                continue
            measured = measure(logits[chosen], data.test.labels[chosen])
            wrong += [f"{where}, {words}" for words in _differences(cell, measured, len(chosen) / int(chosen.sum()))]
    return wrong


def _differences(cell: Cell, measured: Mapping[str, Any], looser: float) -> list[str]:
    """Return the figures that differ by more than `looser` times their tolerance."""
    out = []
    for name, tolerance in TOLERANCES.items():
        told: Estimate | None = getattr(cell.metrics, name)
        value: float | None = measured[name]
        if told is None or value is None:
            if told is not None or value is not None:
                out.append(f"{name.replace('_', ' ')}: there for one of the two only")
        elif abs(told.value - value) > tolerance * looser:
            out.append(f"{name.replace('_', ' ')}: {value:.4f} and not {told.value:.4f}")
    return out


def active_readers(settings: Settings) -> list[Reader]:
    """Return the active version of each slot.

    Raises:
        StudyError: a slot has none; names each.
        ModelFolderError: see `open_reader`.
    """
    active = read_active(settings.models_dir)
    if empty := [slot for slot in SLOTS if slot not in active]:
        raise StudyError(
            f"The study needs a model in every slot; none serves {', '.join(empty)}. Promote one: "
            f"python -m trainer promote <name>/<version> --slots {' '.join(empty)}"
        )
    return [open_reader(settings.models_dir, slot, active[slot], settings.threads) for slot in SLOTS]


def _counting(show: Show, total: int) -> Callable[[int], None]:
    """Return what adds up the faces that were read and shows how many of `total` they are."""
    done = 0

    def tell(faces: int) -> None:
        nonlocal done
        done = min(done + faces, total)
        show(done, total)

    return tell
