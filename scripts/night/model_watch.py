"""Looks at the models all the while, and notes each version that was to be seen before it was whole."""

import threading
from pathlib import Path
from typing import Final

from shared.errors import HalffaceError
from shared.model_folder import list_models, model_path, read_card

LOOK_S: Final = 0.2


class ModelWatch:
    """A thread that reads each new version in full, digests too, as soon as it is there."""

    def __init__(self, models_dir: Path) -> None:
        self.problems: list[str] = []
        self._models_dir = models_dir
        self._seen = {name for name, _ in list_models(models_dir)}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="models", daemon=True)

    def __enter__(self) -> "ModelWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.look()

    def look(self) -> None:
        """Read the versions that are new since the last look."""
        for name, card in list_models(self._models_dir):
            if name in self._seen:
                continue
            self._seen.add(name)
            if isinstance(card, HalffaceError):
                self.problems.append(f"{name}: {card}")
            elif problem := problem_of(self._models_dir, name):
                self.problems.append(problem)

    def _watch(self) -> None:
        while not self._done.wait(LOOK_S):
            self.look()


def problem_of(models_dir: Path, model_id: str) -> str | None:
    """Return what is wrong with a version's files, or None where each is what its card says."""
    try:
        read_card(model_path(models_dir, model_id))
    except HalffaceError as error:
        return f"{model_id}: {error}"
    return None
