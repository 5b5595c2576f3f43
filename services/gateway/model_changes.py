"""What people change of the models: promote, roll back, archive, restore; refusals as the gateway's errors."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.gateway.inference_client import InferenceClient
from shared import model_registry
from shared.errors import ModelChangeError, ModelFolderError, ModelsUnavailableError, UnknownModelError
from shared.model_folder import Card, message_of
from shared.schemas.wire import Slot
from shared.web import ApiError


class ModelChanges:
    """Changes `models/active.json`; a version is tried by inference before it may serve.

    Every method raises ApiError: 404 `model_not_found`, 409 `model_change_refused` where the state of the models does
    not allow it, 409 `self_test_failed` or `model_broken` where the version must not serve, and what inference's client
    raises. What serves then stays as it was.
    """

    def __init__(self, models_dir: Path, inference: InferenceClient) -> None:
        self._models_dir = models_dir
        self._self_test: Callable[[Card], None] = lambda card: inference.self_test(card.id)

    def promote(self, model_id: str, slots: Sequence[Slot], by: str) -> None:
        """Let a version serve these slots."""
        with self._refusals():
            model_registry.promote(self._models_dir, model_id, slots, by, self._self_test)

    def roll_back(self, slot: Slot, by: str) -> str:
        """Let the version that served the slot before serve it again, and return it."""
        with self._refusals():
            return model_registry.roll_back(self._models_dir, slot, by, self._self_test).active[slot]

    def archive(self, model_id: str, by: str) -> None:
        """Put a version away."""
        with self._refusals():
            model_registry.archive(self._models_dir, model_id, by)

    def restore(self, model_id: str, by: str) -> None:
        """Take a version back out of the archive."""
        with self._refusals():
            model_registry.restore(self._models_dir, model_id, by)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except UnknownModelError as error:
            raise ApiError(status=404, code="model_not_found", message=self._sentence(error)) from error
        except ModelChangeError as error:
            raise ApiError(status=409, code="model_change_refused", message=self._sentence(error)) from error
        except ModelsUnavailableError as error:
            raise ApiError(status=503, code="models_unavailable", message=self._sentence(error)) from error
        except ModelFolderError as error:
            raise ApiError(status=409, code="model_broken", message=self._sentence(error)) from error

    def _sentence(self, error: ModelFolderError) -> str:
        return message_of(error, self._models_dir)
