"""What the study's models answered to each test image: `models/study_answers.npz`, beside `models/study.json`.

Answers and confidences, a byte each; no image and no file's name. Images stand in the order of (digest of their pixels,
label), which every form of the data set gives alike, so whoever has the data set finds each image's row. The file holds
plain arrays: nothing in it is ever unpickled.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.errors import StudyError
from shared.files import write_atomically
from shared.labels import LABELS

STUDY_ANSWERS_FILE: Final = "study_answers.npz"

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class StudyAnswers:
    """Answers of M models on V views to N test images, in `image_order`.

    fingerprint: of the data set, as the study's protocol has it. test_fingerprint: of its test images alone (see
    `shared.dataset_images.fingerprint`). models: M slots. versions: the M versions that were asked. views: V names.
    labels: uint8 (N,), the truth. answers: uint8 (M, V, N), 0 to 6. confidences: uint8 (M, V, N), the answer's
    probability in per cent.
    """

    fingerprint: str
    test_fingerprint: str
    models: tuple[str, ...]
    versions: tuple[str, ...]
    views: tuple[str, ...]
    labels: Bytes
    answers: Bytes
    confidences: Bytes


def image_order(digests: Sequence[str], labels: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the order of the rows: the places of the images, int64 (N,), sorted by pixel digest and label."""
    return np.lexsort((np.asarray(labels), np.asarray(digests)))


def write_answers(answers: StudyAnswers, path: Path) -> None:
    """Write the file, all of it or nothing. The same answers give the same bytes."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in vars(answers).items()}
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def read_answers(path: Path) -> StudyAnswers:
    """Return the answers in `path`.

    Raises:
        StudyError: there is no such file, or it is none of this form.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            answers = StudyAnswers(
                fingerprint=str(file["fingerprint"]),
                test_fingerprint=str(file["test_fingerprint"]),
                models=tuple(file["models"].tolist()),
                versions=tuple(file["versions"].tolist()),
                views=tuple(file["views"].tolist()),
                labels=file["labels"],
                answers=file["answers"],
                confidences=file["confidences"],
            )
    except FileNotFoundError as error:
        raise StudyError(f"There is no {path.name}; make it with python -m trainer study-report.") from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StudyError(_broken(path)) from error
    if not _is_sound(answers):
        raise StudyError(_broken(path))
    return answers


def _broken(path: Path) -> str:
    return f"{path.name} cannot be read; make it again with python -m trainer study-report."


def _is_sound(answers: StudyAnswers) -> bool:
    arrays = (answers.labels, answers.answers, answers.confidences)
    shape = (len(answers.models), len(answers.views), len(answers.labels))
    return (
        all(array.dtype == np.uint8 for array in arrays)
        and answers.labels.ndim == 1
        and answers.answers.shape == answers.confidences.shape == shape
        and len(answers.versions) == len(answers.models)
        and all((array < len(LABELS)).all() for array in (answers.labels, answers.answers))
        and bool((answers.confidences <= 100).all())
    )
