"""What the models answer, kept on disk as it is computed: what was stopped goes on, and nothing is asked twice."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from shared.files import write_atomically
from shared.labels import LABELS
from shared.masking import Hidden, hidden_quadrants
from shared.model_folder import Card, model_path, read_card
from shared.preprocessing import InputSpec
from shared.probabilities import Forward, Logits
from shared.run_folder import ANSWERS_DIR
from shared.schemas.training import TrainSettings
from shared.self_test import check
from shared.shapley import COALITIONS, hidden_of
from trainer.evaluation import logits_of
from trainer.onnx_forward import onnx_forward

Faces = npt.NDArray[np.uint8]
Tell = Callable[[int], None]


class Asked(Protocol):
    """A network that is asked by its exported file."""

    @property
    def file_digest(self) -> str:
        """The SHA-256 of the ONNX file: networks that share it give the same answers."""

    @property
    def input(self) -> InputSpec:
        """What it reads."""

    @property
    def forward(self) -> Forward:
        """What answers to prepared faces."""


@dataclass(frozen=True)
class Reader:
    """One released version and its network."""

    slot: str
    card: Card
    forward: Forward
    path: Path

    @property
    def file_digest(self) -> str:
        """The SHA-256 of the ONNX file."""
        return self.card.sha256[self.card.file]

    @property
    def input(self) -> InputSpec:
        """What it reads."""
        return self.card.input


def open_reader(models_dir: Path, slot: str, model_id: str, threads: int) -> Reader:
    """Return the version's reader, on `threads` CPU threads; 0 for all cores.

    Raises:
        ModelFolderError: there is no such version, its files are altered, or it fails its self-test.
    """
    folder = model_path(models_dir, model_id)
    card = read_card(folder)
    forward = onnx_forward(folder / card.file, threads or os.cpu_count() or 1)
    check(card, forward)
    return Reader(slot, card, forward, folder / card.file)


def split_of(cards: Sequence[Card]) -> dict[str, float]:
    """Return how to divide the training split, as arguments of `load_dataset`.

    It is the narrowest way of all versions', whose validation part each of them has held out, since what is held out
    are the lowest hashes of the pixels; of versions with another `duplicate_similarity` than the others', all but the
    images that move up into the place of near copies. A version whose card does not say how it was trained counts as
    the default.
    """
    asked = [TrainSettings.model_validate(card.settings) for card in cards]
    return {
        "validation_share": min(one.validation_share for one in asked),
        "duplicate_similarity": min(one.duplicate_similarity for one in asked),
    }


class Answers:
    """Logits of networks, each computed once: for each model's content, faces, and hidden quadrants a file.

    Args:
        folder: where they are kept.
        tell: called before each batch with its number of faces, and once for answers that are kept from before; may
            raise to stop.
        runs_dir: of runs whose answers are taken over as well: what was registered has been asked already.
    """

    def __init__(self, folder: Path, tell: Tell = lambda faces: None, runs_dir: Path | None = None) -> None:
        self._folder = folder
        self._others = sorted(runs_dir.glob(f"*/{ANSWERS_DIR}")) if runs_dir else []
        self._tell = tell
        self._given: set[Path] = set()

    def logits(self, network: Asked, faces: Faces, hidden: Hidden | Sequence[Hidden]) -> Logits:
        """Return the logits (N, 7) of `faces`, uint8 (N, H, W), each with its part hidden (a list: one for each)."""
        path = self._folder / f"{_question(network, faces, hidden)}.npy"
        is_new = path not in self._given
        self._given.add(path)
        kept = next(self._kept(path.name, len(faces)), None)
        if kept is not None:
            if is_new:
                self._tell(len(faces))
            return kept

        def forward(batch: npt.NDArray[np.float32]) -> Logits:
            self._tell(len(batch))
            return network.forward(batch)

        answer = logits_of(forward, faces, hidden, network.input)
        buffer = io.BytesIO()
        np.save(buffer, answer, allow_pickle=False)
        write_atomically(path, buffer.getvalue())
        return answer

    def _kept(self, name: str, faces: int) -> Iterator[Logits]:
        """Yield the answers to so many faces that are kept under this name."""
        for folder in (self._folder, *self._others):
            if (kept := _read(folder / name, faces)) is not None:
                yield kept

    def coalitions(self, network: Asked, faces: Faces) -> Logits:
        """Return the logits (N * 15, 7) of every coalition of the faces' quadrants (see `shared.shapley`).

        Five of them are the study's views, which the same network has read already.
        """
        rows = [self.logits(network, faces, hidden_of(coalition)) for coalition in range(1, COALITIONS)]
        return np.stack(rows, axis=1).reshape(-1, rows[0].shape[1])


def _read(path: Path, faces: int) -> Logits | None:
    """Return the answers to so many faces in a file; None if there is none, or they are none."""
    try:
        kept = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    is_whole = kept.shape == (faces, len(LABELS)) and kept.dtype == np.float32 and np.isfinite(kept).all()
    return kept if is_whole else None


def _question(network: Asked, faces: Faces, hidden: Hidden | Sequence[Hidden]) -> str:
    """Return the digest of what is asked: two ways to say that the same quadrants are hidden are one question.

    Another version of the runtime may round otherwise, and is asked anew.
    """
    each: Sequence[Hidden] = hidden if isinstance(hidden, list) else [hidden]  # type: ignore[list-item]
    asked = [sorted(hidden_quadrants(one)) for one in each]
    digest = hashlib.sha256(f"{onnxruntime.__version__} {network.file_digest} {faces.shape} {asked} ".encode())
    digest.update(np.ascontiguousarray(faces).data)
    return digest.hexdigest()[:24]
