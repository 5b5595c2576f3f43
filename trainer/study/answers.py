"""What the models answer, kept on disk as it is computed, so that a study that was stopped goes on where it was."""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.masking import Hidden
from shared.model_folder import Card, model_path, read_card, write_atomically
from shared.shapley import coalition_faces
from trainer.evaluation import Forward, Logits, logits_of
from trainer.export import onnx_forward

FACES_AT_ONCE = 64
"""Faces of which all coalitions are made at once."""

Faces = npt.NDArray[np.uint8]
Progress = Callable[[], None]


@dataclass(frozen=True)
class Reader:
    """One released version and its network."""

    slot: str
    card: Card
    forward: Forward
    path: Path


def open_reader(models_dir: Path, slot: str, model_id: str, threads: int) -> Reader:
    """Return the version's reader.

    Raises:
        ModelFolderError: there is no such version, or its files are altered.
    """
    folder = model_path(models_dir, model_id)
    card = read_card(folder)
    return Reader(slot, card, onnx_forward(folder / card.file, threads), folder / card.file)


class Answers:
    """Logits of readers, each computed once.

    Args:
        folder: where they are kept; a file for each model's content and what it was asked.
        progress: called before each computation; may raise to stop.
    """

    def __init__(self, folder: Path, progress: Progress = lambda: None) -> None:
        self._folder = folder
        self._progress = progress

    def logits(self, reader: Reader, faces: Faces, hidden: Hidden | Sequence[Hidden]) -> Logits:
        """Return the logits (N, 7) of `faces`, uint8 (N, H, W), each with its part hidden."""
        asked = f"{sorted(hidden) if isinstance(hidden, frozenset) else hidden}"
        return self._kept(reader, faces, asked, lambda: logits_of(reader.forward, faces, hidden, reader.card.input))

    def coalitions(self, reader: Reader, faces: Faces) -> Logits:
        """Return the logits (N * 15, 7) of every coalition of the faces' quadrants (see `shared.shapley`)."""

        def read() -> Logits:
            parts = []
            for start in range(0, len(faces), FACES_AT_ONCE):
                self._progress()
                batch = coalition_faces(faces[start : start + FACES_AT_ONCE], reader.card.input)
                parts.append(reader.forward(batch))
            return np.concatenate(parts)

        return self._kept(reader, faces, "coalitions", read)

    def _kept(self, reader: Reader, faces: Faces, asked: str, read: Callable[[], Logits]) -> Logits:
        digest = hashlib.sha256(f"{reader.card.sha256[reader.card.file]} {faces.shape} {asked} ".encode())
        digest.update(np.ascontiguousarray(faces).data)
        path = self._folder / f"{digest.hexdigest()[:24]}.npy"
        if path.is_file():
            kept: Logits = np.load(path, allow_pickle=False)
            return kept
        self._progress()
        answer = read()
        buffer = io.BytesIO()
        np.save(buffer, answer, allow_pickle=False)
        write_atomically(path, buffer.getvalue())
        return answer
