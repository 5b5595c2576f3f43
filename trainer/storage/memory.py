"""What `python -m trainer sync` remembers of each run, in `runs/.sync/<id>.json`: a file that is lost costs a look."""

import logging
from pathlib import Path

from pydantic import BaseModel, ValidationError

from shared.files import write_atomically
from trainer.storage.decisions import Known

log = logging.getLogger(__name__)


class Memory(BaseModel):
    """One run, as it was when both sides were last the same."""

    files: dict[str, Known] = {}
    rests: int | None = None
    """The modification time (ns) of a state.json under which neither side changes; None while one may."""


class Memories:
    """The memory of every run, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[str, str] = {}
        self._loaded: dict[str, Memory] = {}

    def has(self, run_id: str) -> bool:
        """Return whether the run was seen before."""
        return self._path(run_id).exists()

    def all(self) -> list[str]:
        """Return the ids of the runs that were seen before."""
        return sorted(path.stem for path in self._folder.glob("*.json"))

    def of(self, run_id: str) -> Memory:
        """Return what is remembered of a run; nothing of a new one, or where the file cannot be read."""
        if run_id not in self._loaded:
            self._loaded[run_id] = self._read(run_id)
        return self._loaded[run_id]

    def _read(self, run_id: str) -> Memory:
        try:
            return Memory.model_validate_json(self._path(run_id).read_bytes())
        except FileNotFoundError:
            return Memory()
        except ValidationError:
            log.error("what was remembered of run %s cannot be read; it is compared anew", run_id)
            return Memory()

    def keep(self, run_id: str, memory: Memory) -> None:
        """Remember this of a run from now on."""
        content = memory.model_dump_json()
        if self._written.get(run_id) != content:
            write_atomically(self._path(run_id), content)
            self._written[run_id] = content

    def drop(self, run_id: str) -> None:
        """Forget a run."""
        self._path(run_id).unlink(missing_ok=True)
        self._written.pop(run_id, None)
        self._loaded.pop(run_id, None)

    def _path(self, run_id: str) -> Path:
        return self._folder / f"{run_id}.json"
