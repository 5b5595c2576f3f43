"""The study's figures as the gateway sends them: read and checked once for each state of their file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from services.gateway.remembered import Remembered
from shared.study import STUDY_FILE, read_study


@dataclass(frozen=True)
class StudyDocument:
    """The study as JSON, and the digest by which a client asks whether it is still the same."""

    body: bytes
    etag: str


class StudyFile:
    """`models/study.json`; safe to use from many threads."""

    def __init__(self, models_dir: Path) -> None:
        self._path = models_dir / STUDY_FILE
        self._read: Remembered[StudyDocument] = Remembered()

    def document(self) -> StudyDocument | None:
        """Return the study; None if there is none.

        Raises:
            StudyError: the file is there but is no study of this version.
        """
        try:
            state = self._path.stat()
        except OSError:
            return None
        return self._read.get(STUDY_FILE, (state.st_mtime_ns, state.st_size, state.st_ino), self._load)

    def _load(self) -> StudyDocument:
        body = read_study(self._path).model_dump_json().encode()
        return StudyDocument(body, hashlib.sha256(body).hexdigest()[:32])
