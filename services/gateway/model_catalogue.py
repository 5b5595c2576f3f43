"""What lies in the models folder, with what each version serves, or why it cannot be used."""

import logging
from collections.abc import Hashable
from pathlib import Path

from services.gateway.remembered import Remembered
from shared.errors import ModelFolderError, UnknownModelError
from shared.model_folder import (
    CARD_FILE,
    ActiveModels,
    Card,
    list_models,
    message_of,
    model_path,
    read_active_models,
    read_card,
)
from shared.model_registry import previous, serving_since
from shared.schemas.models import ModelHistory, ModelInfo, ModelList

_log = logging.getLogger("halfface.gateway.models")


class ModelCatalogue:
    """The models folder's content; digests are checked once for each state of a model's files."""

    def __init__(self, models_dir: Path) -> None:
        self._models_dir = models_dir
        self._checked: Remembered[str | None] = Remembered()

    def all(self, *, archived: bool = False) -> ModelList:
        """Return every version, sorted by name, and which of them serve; archived ones only if asked for."""
        state, problem = self._state()
        ids = [model_id for model_id, _ in list_models(self._models_dir)]
        shown = [model_id for model_id in ids if archived or model_id not in state.archived]
        models = [self._info(model_id, state) for model_id in shown]
        before = {slot: previous(self._models_dir, state, slot) for slot in state.active}
        return ModelList(
            models=models,
            active=state.active,
            previous={slot: model_id for slot, model_id in before.items() if model_id},
            problem=problem,
        )

    def info(self, model_id: str) -> ModelInfo:
        """Return one version, which may be archived."""
        return self._info(model_id, self._state()[0])

    def history(self, limit: int) -> ModelHistory:
        """Return the newest changes of what serves, newest first.

        Raises:
            ModelFolderError: `active.json` cannot be read.
        """
        try:
            changes = read_active_models(self._models_dir).history
        except ModelFolderError as error:
            raise ModelFolderError(message_of(error, self._models_dir)) from error
        return ModelHistory(changes=list(changes[::-1][:limit]))

    def folder(self, model_id: str) -> Path:
        """Return a version's folder. Raises ModelFolderError if this is no version's name."""
        return model_path(self._models_dir, model_id)

    def card(self, model_id: str) -> Card | None:
        """Return the card of `<name>/<version>`; None if there is no such model.

        Raises:
            ModelFolderError: it is there but cannot be used.
        """
        try:
            folder = model_path(self._models_dir, model_id)
        except ModelFolderError:
            return None
        try:
            card = read_card(folder, verify=False).at(folder)
            problem = self._problem(folder, model_id)
        except UnknownModelError:
            return None
        except ModelFolderError as error:
            raise ModelFolderError(message_of(error, self._models_dir)) from error
        except OSError as error:
            raise ModelFolderError(f"{model_id} cannot be read; check the disk and who may read its files.") from error
        if problem:
            raise ModelFolderError(problem)
        return card

    def _state(self) -> tuple[ActiveModels, str | None]:
        """Return what serves, and why nobody can tell where that is so."""
        try:
            return read_active_models(self._models_dir), None
        except ModelFolderError as error:
            _log.error("no model counts as active: %s", error)
            return ActiveModels(), message_of(error, self._models_dir)

    def _info(self, model_id: str, state: ActiveModels) -> ModelInfo:
        name, version = model_id.split("/")
        serves = sorted(slot for slot, served in state.active.items() if served == model_id)
        since = serving_since(state)
        info = ModelInfo(
            id=model_id,
            name=name,
            version=version,
            view="",
            architecture="",
            created="",
            serves=serves,
            since={slot: since[slot] for slot in serves if slot in since},
            metrics={},
            size_bytes=0,
            archived=model_id in state.archived,
            problem=None,
        )
        try:
            card = self.card(model_id)
        except ModelFolderError as error:
            return info.model_copy(update={"problem": str(error)})
        if card is None:
            problem = f"The folder {model_id} is no model, or has a name that none can have; rename or remove it."
            return info.model_copy(update={"problem": problem})
        return info.model_copy(
            update={
                "view": card.view,
                **card.fixed_by_weights,
                "size": card.input.size,
                "created": card.created,
                "metrics": card.metrics,
                "fingerprint": _text(card.data.get("fingerprint")),
                "trainable": card.has_weights,
                "size_bytes": _size_bytes(model_path(self._models_dir, model_id), card),
            }
        )

    def _problem(self, folder: Path, model_id: str) -> str | None:
        """Return why the files are not those of the card, or None."""

        def check() -> str | None:
            try:
                read_card(folder)
            except ModelFolderError as error:
                if isinstance(error.__cause__, OSError):
                    raise  # not remembered: it may pass without a change of the files
                return message_of(error, self._models_dir)
            return None

        try:
            return self._checked.get(model_id, _files_state(folder), check)
        except ModelFolderError as error:
            return message_of(error, self._models_dir)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _size_bytes(folder: Path, card: Card) -> int:
    return sum(file.stat().st_size for file in map(folder.joinpath, (*card.sha256, CARD_FILE)) if file.is_file())


def _files_state(folder: Path) -> Hashable:
    """Return what changes when a file does. Raises OSError; a link that leads nowhere is none of a version's files."""
    states = ((file.name, file.stat()) for file in folder.iterdir() if file.exists())
    return tuple(sorted((name, state.st_mtime_ns, state.st_ctime_ns, state.st_size) for name, state in states))
