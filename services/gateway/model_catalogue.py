"""What lies in the models folder, with what each version serves, or why it cannot be used."""

import logging
from collections.abc import Hashable
from pathlib import Path

from services.gateway.remembered import Remembered
from shared.errors import ModelFolderError
from shared.model_folder import Card, list_models, model_path, read_active, read_card
from shared.schemas import ModelInfo, ModelList

_log = logging.getLogger("halfface.gateway.models")


class ModelCatalogue:
    """The models folder's content; digests are checked once for each state of a model's files."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        self._checked: Remembered[str | None] = Remembered()

    def all(self) -> ModelList:
        """Return every version, sorted by name, and which of them serve."""
        active = self._active()
        ids = [model_id for model_id, _ in list_models(self._models_dir)]
        return ModelList(models=[self._info(model_id, active) for model_id in ids], active=active)

    def card(self, model_id: str) -> Card | None:
        """Return the card of `<name>/<version>`; None if there is no such model.

        Raises:
            ModelFolderError: it is there but cannot be used.
        """
        try:
            folder = model_path(self._models_dir, model_id)
        except ModelFolderError:
            return None
        if not (folder / "card.json").is_file():
            return None
        try:
            card = read_card(folder, verify=False)
        except ModelFolderError as error:
            raise ModelFolderError(self._without_path(error)) from error
        problem = self._problem(folder, model_id)
        if problem:
            raise ModelFolderError(problem)
        return card

    def _active(self) -> dict[str, str]:
        try:
            return read_active(self._models_dir)
        except ModelFolderError as error:
            _log.error("no model counts as active: %s", error)
            return {}

    def _info(self, model_id: str, active: dict[str, str]) -> ModelInfo:
        name, version = model_id.split("/")
        info = ModelInfo(
            id=model_id,
            name=name,
            version=version,
            view="",
            architecture="",
            created="",
            serves=sorted(slot for slot, served in active.items() if served == model_id),
            metrics={},
            size_bytes=0,
            problem=None,
        )
        try:
            card = self.card(model_id)
        except ModelFolderError as error:
            return info.model_copy(update={"problem": str(error)})
        if card is None:
            problem = f"The folder {model_id} has a name that no model can have; rename it."
            return info.model_copy(update={"problem": problem})
        return info.model_copy(
            update={
                "view": card.view,
                "architecture": card.architecture,
                "created": card.created,
                "metrics": card.metrics,
                "trainable": card.has_weights,
                "size_bytes": _size_bytes(model_path(self._models_dir, model_id)),
            }
        )

    def _problem(self, folder: Path, model_id: str) -> str | None:
        """Return why the files are not those of the card, or None."""

        def check() -> str | None:
            try:
                read_card(folder)
            except ModelFolderError as error:
                return self._without_path(error)
            return None

        return self._checked.get(model_id, _files_state(folder), check)

    def _without_path(self, error: ModelFolderError) -> str:
        """Return the sentence with places as seen from the models folder: a server's paths are its own."""
        return str(error).replace(f"{self._models_dir}/", "")


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _files_state(folder: Path) -> Hashable:
    states = ((file.name, file.stat()) for file in folder.iterdir())
    return tuple(sorted((name, state.st_mtime_ns, state.st_size) for name, state in states))
