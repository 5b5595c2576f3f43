"""Which network serves which slot, kept in step with the models folder while the service runs.

A thread looks at `active.json` twice a second. New versions are loaded and tested beside the old ones and all slots
change by one assignment, so a request sees either the old models or the new ones, and one under way ends on those that
it began with. A slot whose new version cannot be loaded or fails its self-test keeps its old one.
"""

import logging
import os
import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.inference.network import Network
from shared.errors import ModelFolderError
from shared.model_folder import message_of, model_path, read_active, read_card
from shared.schemas import SLOTS
from shared.web import ApiError

LOOK_EVERY_S: Final = 0.5
RETRY_AFTER_S: Final = 5

_log = logging.getLogger("halfface.inference.models")


@dataclass(frozen=True)
class Served:
    """What serves at one moment."""

    networks: Mapping[str, Network] = field(default_factory=dict)
    """Slot to network; slots with the same version share one."""
    problems: tuple[str, ...] = ()
    """Sentences: what of the models folder could not be loaded."""

    def choose(self, slots: list[str] | None) -> dict[str, Network]:
        """Return the networks of these slots, in this order and each once; of all slots that serve if None.

        Raises:
            ApiError: 503 `model_missing`: no model serves, or none serves a slot.
        """
        if not self.networks:
            raise _missing(self.why_not_ready() or "")
        asked = slots if slots is not None else [slot for slot in SLOTS if slot in self.networks]
        missing = [slot for slot in asked if slot not in self.networks]
        if missing:
            there = ", ".join(self.networks)
            raise _missing(f"No model serves {', '.join(missing)} now; choose from {there}, or promote one.")
        return {slot: self.networks[slot] for slot in asked}

    def why_not_ready(self) -> str | None:
        """Return a sentence on why nothing can be predicted, or None."""
        if self.networks:
            return None
        return " ".join(self.problems) or "No model is active; put one into the models folder and promote it."


class ModelStore:
    """Loads what `active.json` names and follows its changes; safe to use from many threads.

    Args:
        models_dir: the models folder; may be missing, and appear later.
        threads: CPU threads of a network.
    """

    def __init__(self, models_dir: Path, threads: int) -> None:
        self._models_dir = models_dir
        self._threads = threads
        self._served = Served()
        self._seen: Hashable = None
        self._lock = threading.Lock()
        self._trying = threading.Lock()
        self._stopped = threading.Event()

    def served(self) -> Served:
        """Return what serves now; one request works with one answer."""
        return self._served

    def follow(self) -> None:
        """Look at the models folder now, and twice a second from now on. Raises nothing for a bad folder."""
        self.refresh()
        threading.Thread(target=self._watch, name="models", daemon=True).start()

    def stop(self) -> None:
        """Follow no more."""
        self._stopped.set()

    def refresh(self) -> None:
        """Bring what serves in step with the models folder, if that has changed."""
        with self._lock:
            try:
                active = read_active(self._models_dir)
            except ModelFolderError as error:
                self._keep(message_of(error, self._models_dir))
                return
            seen = tuple((slot, model_id, self._state(model_id)) for slot, model_id in sorted(active.items()))
            if seen != self._seen:
                self._served = self._load(active)
                self._seen = seen

    def try_out(self, model_id: str) -> None:
        """Load a version and let it go again; what serves is not touched. One at a time, to save memory.

        Raises:
            UnknownModelError: there is no such version.
            ModelFolderError: it cannot be loaded or fails its self-test.
        """
        with self._trying:
            try:
                Network(model_path(self._models_dir, model_id), self._threads)
            except ModelFolderError as error:
                raise type(error)(message_of(error, self._models_dir)) from error

    def _keep(self, problem: str) -> None:
        if self._seen != problem:
            _log.error("the models stay as they are: %s", problem)
            self._served = Served(self._served.networks, (problem,))
            self._seen = problem

    def _watch(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_S):
            try:
                self.refresh()
            except Exception:  # the thread must live on; the log has the reason
                _log.exception("the models folder could not be looked at")

    def _load(self, active: Mapping[str, str]) -> Served:
        known = {network.card.id: network for network in self._served.networks.values()}
        loaded: dict[str, Network | ModelFolderError] = {}
        networks, problems = {}, []
        for slot in (slot for slot in SLOTS if slot in active):
            model_id = active[slot]
            if model_id not in loaded:
                loaded[model_id] = self._network(model_id, known.get(model_id))
            network = loaded[model_id]
            if isinstance(network, ModelFolderError):
                problems.append(f"{slot}: {message_of(network, self._models_dir)}")
                _log.error("the slot %s keeps what it had: %s", slot, network)
                if slot in self._served.networks:
                    networks[slot] = self._served.networks[slot]
            else:
                networks[slot] = network
        slots = {slot: network.card.id for slot, network in networks.items()}
        _log.info("models serve", extra={"slots": slots, "process_id": os.getpid()})
        return Served(networks, tuple(problems))

    def _network(self, model_id: str, known: Network | None) -> Network | ModelFolderError:
        try:
            folder = model_path(self._models_dir, model_id)
            if known is not None and _same_files(known, folder):
                return known
            return Network(folder, self._threads)
        except ModelFolderError as error:
            return error

    def _state(self, model_id: str) -> Hashable:
        """Return what changes when a model's files do."""
        try:
            files = sorted(model_path(self._models_dir, model_id).iterdir())
            return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        except (OSError, ModelFolderError):
            return None


def _same_files(known: Network, folder: Path) -> bool:
    return read_card(folder).sha256 == known.card.sha256


def _missing(message: str) -> ApiError:
    return ApiError(status=503, code="model_missing", message=message, headers={"Retry-After": str(RETRY_AFTER_S)})
