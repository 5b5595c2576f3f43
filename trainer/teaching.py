"""What teaches a network: other versions, asked in each step or once before."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from torch import nn

from shared.model_folder import model_path, read_card
from shared.probabilities import Logits
from shared.run_folder import ANSWERS_DIR
from trainer.data import Dataset
from trainer.errors import BaseModelError, Stopped
from trainer.network import MeanOf, load_version
from trainer.pace import Pace
from trainer.study.answers import Answers, open_reader
from trainer.work import Work

log = logging.getLogger(__name__)

ASKED_AT_ONCE: Final = 2048
"""Training faces to which a fixed teacher's answers are kept together: so many are asked again after a death."""


def teacher_of(work: Work, data: Dataset) -> nn.Module | Logits | None:
    """Return what teaches, as `train` takes it: several teachers' mean; None if nobody does."""
    request, models_dir = work.request, work.settings.models_dir
    names = [name for name in (request.teacher, request.second_teacher) if name]
    if not names:
        return None
    if not request.settings.fixed_teacher:
        with work.stoppable("fetching the teacher's weights"):
            return MeanOf([_teaching(models_dir, name, request.settings.size) for name in names])
    if not work.group.leads:
        work.group.wait()  # the leader asks, and the others read what it has kept
    answers = _fixed_answers(work, data, names)
    if work.group.leads:
        work.group.wait()
    return answers


def _teaching(models_dir: Path, name: str, size: int) -> nn.Module:
    """Return the network of a version that is to see faces as the student does. Raises BaseModelError."""
    network = load_version(models_dir, name)
    own = read_card(model_path(models_dir, name), verify=False).input.size
    if own != size:
        raise BaseModelError(
            f"{name} reads faces of {own} pixels, and would teach nonsense on {size}: choose a size of {own}, or a "
            "fixed teacher, which is asked at its own size."
        )
    return network


def _fixed_answers(work: Work, data: Dataset, names: Sequence[str]) -> Logits:
    """Return what versions answer to each training face, whole and at their own size: the mean of their logits."""
    log.info("asking %s for each training face", " and ".join(names))
    readers = [open_reader(work.settings.models_dir, "full", name, work.settings.threads) for name in names]
    begun, pace = work.run.progress(), Pace(len(readers) * len(data.train), work.hooks.clock)

    def tell(next_faces: int) -> None:
        if work.hooks.stop_asked():
            raise Stopped("Stopped while the teacher was asked; it is asked for the rest when the run is resumed.")
        pace.begin(next_faces)
        asking = {"phase": "asking", "images_per_s": pace.progress().images_per_s, "eta_s": None}
        work.hooks.progress(begun.model_copy(update=asking))

    answers, logits = Answers(work.run.path / ANSWERS_DIR, tell), []
    for reader in readers:
        size = reader.card.input.size
        faces = (data if size == work.request.settings.size else work.dataset(size)).train.faces
        parts = [faces[start : start + ASKED_AT_ONCE] for start in range(0, len(faces), ASKED_AT_ONCE)]
        logits.append(np.concatenate([answers.logits(reader, part, frozenset()) for part in parts]))
    mean: Logits = np.mean(logits, axis=0, dtype=np.float32)
    return mean
