"""The study's figures and answers as the gateway sends them: read and checked once for each state of their files."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.gateway.remembered import Remembered
from shared.errors import StudyError
from shared.study import STUDY_FILE, read_study
from shared.study_answers import STUDY_ANSWERS_FILE, StudyAnswers, read_answers


@dataclass(frozen=True)
class StudyDocument:
    """The study as JSON, the digest by which a client asks whether it is still the same, and what was measured."""

    body: bytes
    etag: str
    fingerprint: str
    """Of the data set."""
    versions: Mapping[str, str]
    """Slot to `<name>/<version>`."""


class StudyFile:
    """`models/study.json` and `models/study_answers.npz`; safe to use from many threads."""

    def __init__(self, models_dir: Path) -> None:
        self._path = models_dir / STUDY_FILE
        self._answers_path = models_dir / STUDY_ANSWERS_FILE
        self._read: Remembered[StudyDocument] = Remembered()
        self._read_answers: Remembered[StudyAnswers] = Remembered()

    def document(self) -> StudyDocument | None:
        """Return the study; None if there is none.

        Raises:
            StudyError: the file is there but is no study of this version.
        """
        try:
            state = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StudyError(f"{STUDY_FILE} cannot be read ({error.strerror}).") from error
        return self._read.get(STUDY_FILE, (state.st_mtime_ns, state.st_size, state.st_ino), self._load)

    def answers(self, document: StudyDocument) -> StudyAnswers | None:
        """Return what the study's models answered to each image; None if that file is missing.

        Raises:
            StudyError: the file cannot be read, or belongs to another study than `document`.
        """
        try:
            state = self._answers_path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StudyError(f"{STUDY_ANSWERS_FILE} cannot be read ({error.strerror}).") from error
        files = (state.st_mtime_ns, state.st_size, state.st_ino)
        answers = self._read_answers.get(STUDY_ANSWERS_FILE, files, lambda: read_answers(self._answers_path))
        versions = dict(zip(answers.models, answers.versions, strict=True))
        if answers.fingerprint != document.fingerprint or versions != document.versions:
            raise StudyError(
                f"{STUDY_ANSWERS_FILE} belongs to another study than {STUDY_FILE}; make both again with "
                "python -m trainer study-report."
            )
        return answers

    def _load(self) -> StudyDocument:
        study = read_study(self._path)
        body = study.model_dump_json().encode()
        versions = {str(model.slot): model.version for model in study.models}
        return StudyDocument(body, hashlib.sha256(body).hexdigest()[:32], study.protocol.fingerprint, versions)
