"""The study of the released models: the active version of each slot, by its exported file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from shared.errors import StudyError
from shared.masking import STUDY_VIEWS, View
from shared.model_folder import read_active
from shared.probabilities import Logits
from shared.schemas.wire import SLOTS
from shared.study import STUDY_FILE, Cell, Estimate, StudyResult, read_study, write_study
from shared.study_answers import STUDY_ANSWERS_FILE, write_answers
from trainer.data import Dataset, load_dataset
from trainer.errors import StudyMismatchError
from trainer.settings import Settings
from trainer.study import temperature
from trainer.study.answers import Answers, Reader, open_reader, split_of
from trainer.study.image_answers import image_answers
from trainer.study.inputs import subsets_of
from trainer.study.metrics import measure_cell
from trainer.study.runner import faces_to_read, read_views, run_study
from trainer.study.sample import ROBUSTNESS_IMAGES

TOLERANCE: Final = 1e-3
TOLERANCES: Final = {
    "accuracy": 5e-4,
    "micro f1": 5e-4,
    "macro f1": 3e-3,
    "macro ap": 3e-3,
    "ece before": 3e-3,
    "ece after": 3e-3,
}
"""Figures over all test images may differ by this much on another CPU, whose arithmetic rounds some faces otherwise;
those of a part of them, or of one class, by as many images, that is by more."""

STUDY_CACHE: Final = ".study-answers"
"""In the folder of the runs: what the models answered, to go on after a stop. It may be deleted at any time."""

TEMPERATURE_TOLERANCE: Final = 0.01
"""As a share."""

ROUNDED: Final = 1e-4
"""By how much a temperature of a study may differ from the card's: it has four places."""

Show = Callable[[int, int], None]
"""Told how many faces were read, of how many; may raise to stop."""


def measure_released(
    settings: Settings, data: Path, cache: Path | None, show: Show, robustness_images: int = ROBUSTNESS_IMAGES
) -> Path:
    """Write the study of the active models, and their answers, to the models folder; return the study's path.

    Args:
        settings: where models and runs lie.
        data: the data set.
        cache: where answers are kept, and nothing else is trusted; a folder in the runs if None, and what the versions
            answered when they were registered is trusted too.
        show: see `Show`.
        robustness_images: how many test images are damaged; 0 for all.
    """
    readers = active_readers(settings)
    dataset = _dataset_of(readers, data)
    show_all = _counting(show, faces_to_read(readers, dataset, robustness_images))
    answers = Answers(cache or settings.runs_dir / STUDY_CACHE, show_all, None if cache else settings.runs_dir)
    study = run_study(readers, dataset, answers, robustness_images)
    path = settings.models_dir / STUDY_FILE
    write_answers(image_answers(readers, dataset, answers), path.with_name(STUDY_ANSWERS_FILE))
    write_study(study, path)
    return path


def verify(settings: Settings, data: Path, cache: Path, show: Show) -> int:
    """Compute every cell again, on each part of the test set, from the active models' files; return how many agree.

    The temperatures, at which probabilities are taken, are fitted again too.

    Raises:
        StudyMismatchError: other versions or other data than the study's, or a figure that differs; names each.
    """
    study, readers = read_study(settings.models_dir / STUDY_FILE), active_readers(settings)
    versions: dict[str, str] = {model.slot: model.version for model in study.models}
    other = [f"{reader.slot} is {reader.card.id}" for reader in readers if versions.get(reader.slot) != reader.card.id]
    if other:
        raise StudyMismatchError(f"The study measured other versions than serve now: {', '.join(other)}.")
    dataset = _dataset_of(readers, data)
    if dataset.fingerprint != study.protocol.fingerprint:
        raise StudyMismatchError(f"{data.name} is not the data set that the study measured: its images are others.")
    files = len({reader.file_digest for reader in readers})
    total = files * (len(STUDY_VIEWS) * len(dataset.test) + temperature.faces_to_read(dataset))
    answers = Answers(cache, _counting(show, total))
    wrong = [*stale_temperatures(study, readers), *differing_temperatures(readers, dataset, answers)]
    wrong += differing_figures(study, read_views(readers, dataset, answers), dataset)
    if wrong:
        raise StudyMismatchError(f"These figures are not those of {STUDY_FILE}: {'; '.join(wrong)}.")
    return len(study.cells)


def _dataset_of(readers: Sequence[Reader], data: Path) -> Dataset:
    """Return the data set, faces as large as any of the networks reads them, divided as all of them were trained."""
    cards = [reader.card for reader in readers]
    return load_dataset(data, size=max(card.input.size for card in cards), **split_of(cards))


def stale_temperatures(study: StudyResult, readers: Sequence[Reader]) -> list[str]:
    """Return in which slots the card names another temperature than the study, which was then made before it."""
    cards = {reader.slot: reader.card for reader in readers}
    return [
        f"the study's temperature of {model.version}: {model.temperature}, its card's: {cards[model.slot].temperature}"
        for model in study.models
        if abs(model.temperature - cards[model.slot].temperature) > ROUNDED
    ]


def differing_temperatures(readers: Sequence[Reader], data: Dataset, answers: Answers) -> list[str]:
    """Return which cards name another temperature than the validation images give, where these are enough to tell.

    A version that was trained on other data, or on these divided otherwise, had other validation images and is passed
    over.
    """
    divided = split_of([reader.card for reader in readers])
    fitted = [
        (reader, temperature.temperature_of(reader, reader.card.view, data, answers))
        for reader in readers
        if split_of([reader.card]) == divided and reader.card.data.get("fingerprint") == data.fingerprint
    ]
    return [
        f"the temperature of {reader.card.id}: {found} and not {reader.card.temperature}"
        for reader, found in fitted
        if found and abs(found / reader.card.temperature - 1) > TEMPERATURE_TOLERANCE
    ]


def differing_figures(study: StudyResult, found: Mapping[tuple[str, View], Logits], data: Dataset) -> list[str]:
    """Return what differs: each figure of a cell with its value as it was found and as the study has it.

    Intervals are not drawn again, curves and reliability bins, which follow from the same answers, are not compared,
    and probabilities are those at the temperatures that the study names.
    """
    temperatures: dict[str, float] = {model.slot: model.temperature for model in study.models}
    parts, wrong = subsets_of(data.test.names, data.clean), []
    for subset, chosen in parts.items():
        once = np.ones((1, int(chosen.sum())), np.float32)
        for (slot, view), logits in found.items():
            told = study.cell(slot, view.value, subset)
            where = f"{slot} on {view.value} ({subset})"
            if told is None:
                wrong.append(f"{where} is not in the study")
                continue
            measured = measure_cell(
                logits[chosen],
                data.test.labels[chosen],
                trained_on=slot,
                evaluated_on=view,
                subset=subset,
                temperature=temperatures[slot],
                weights=once,
            )
            wrong += [f"{where}, {words}" for words in _differences(told, measured, len(chosen))]
    return wrong


def _differences(told: Cell, measured: Cell, images: int) -> list[str]:
    """Return the figures that differ by more than their tolerance, which is told for so many images."""
    out, was = [], dict(_figures(told))
    for name, (found, count) in _figures(measured):
        if name not in was:
            continue  # a study from before this figure
        expected, _ = was[name]
        if found is None or expected is None:
            if found is not expected:
                out.append(f"{name}: there for one of the two only")
        elif abs(expected - found) > TOLERANCES.get(name, TOLERANCE) * images / count:
            out.append(f"{name}: {found:.4f} and not {expected:.4f}")
    moved = int(np.abs(np.subtract(measured.confusion, told.confusion)).sum()) // 2
    if moved > TOLERANCE * images:
        out.append(f"confusion matrix: {moved} images in other cells")
    return out


def _figures(cell: Cell) -> Iterator[tuple[str, tuple[float | None, int]]]:
    """Yield the name of each figure of a cell, its value and the number of images that it is taken over."""
    groups: list[tuple[str, Iterable[tuple[str, Any]], int]] = [
        ("", cell.metrics, cell.count),
        ("", cell.calibration, cell.count),
        *((f"{one.label} ", one, one.count) for one in cell.classes),
    ]
    for prefix, figures, count in groups:
        for name, value in figures:
            if isinstance(value, Estimate) or (value is None and name != "mean_probability"):
                yield f"{prefix}{name.replace('_', ' ')}", (value.value if value else None, max(1, count))
    for one in cell.classes:
        if one.mean_probability is not None:
            yield f"{one.label} mean probability", (one.mean_probability, max(1, cell.count))


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
