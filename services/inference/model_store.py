"""Which network serves which slot, kept in step with the models folder while the service runs.

A thread looks at `active.json` four times a second. New versions are loaded and tested beside the old ones and all
slots change by one assignment, so a request sees either the old models or the new ones, and one under way ends on those
that it began with. Of what serves already nothing is read again, and a version that was tried a moment ago is taken as
it is, so a promotion takes as long as loading what is new.

A slot whose new version cannot be loaded or fails its self-test keeps its old one. A process that has just started has
none: there the version serves that served the slot before, as `active.json` tells.
"""

import logging
import threading
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from services.inference.network import Network
from shared.errors import ModelFolderError
from shared.model_folder import ACTIVE_FILE, message_of, model_path, read_active, read_active_models, read_network
from shared.model_registry import previous
from shared.schemas.wire import SLOTS
from shared.web import ApiError

LOOK_EVERY_S: Final = 0.25
KEEP_TRIED_S: Final = 30.0
"""So long a version that was tried stays in memory: its promotion is likely to follow."""

RETRY_LOADING_S: Final = 30.0
"""After this time what could not be loaded is tried again: a disk or a mount may have been away for a moment."""

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


@dataclass(frozen=True)
class Tried:
    """A version that was tried, the state that its files had, and when that was."""

    network: Network
    state: Hashable
    at_s: float


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
        self._states: dict[str, Hashable] = {}
        """Version to the state that its files had when they were last found to be those that serve."""
        self._tried: Tried | None = None
        self._loaded_s = 0.0
        self._lock = threading.Lock()
        self._trying = threading.Lock()

    def served(self) -> Served:
        """Return what serves now; one request works with one answer."""
        return self._served

    def follow(self) -> None:
        """Look at the models folder now, and four times a second from now on. Raises nothing for a bad folder."""
        self._look()
        threading.Thread(target=self._watch, name="models", daemon=True).start()

    def refresh(self) -> None:
        """Bring what serves in step with the models folder, if that has changed or something could not be loaded."""
        with self._lock:
            tried = self._tried
            if tried and time.monotonic() - tried.at_s >= KEEP_TRIED_S:
                self._tried = None
            changed_ns = self._changed_ns()
            if changed_ns is None and self._served.networks:
                self._keep(f"{ACTIVE_FILE} is gone; put a copy of it back, or promote the versions that shall serve.")
                return
            try:
                active = read_active(self._models_dir)
            except ModelFolderError as error:
                self._keep(message_of(error, self._models_dir))
                return
            states = {model_id: self._state(model_id) for model_id in active.values()}
            seen = (changed_ns, *sorted(active.items()), *sorted(states.items(), key=lambda each: each[0]))
            retry = self._served.problems and time.monotonic() - self._loaded_s >= RETRY_LOADING_S
            if seen == self._seen and not retry:
                return
            self._served = self._load(active, states)
            self._seen, self._loaded_s = seen, time.monotonic()
            slots = {slot: network.card.id for slot, network in self._served.networks.items()}
            _log.info("models serve", extra={"slots": slots, "active_json_ns": changed_ns})

    def try_out(self, model_id: str) -> None:
        """Load a version, and keep it for a moment; what serves is not touched. One at a time, to save memory.

        Raises:
            UnknownModelError: there is no such version.
            ModelFolderError: it cannot be loaded or fails its self-test.
        """
        with self._trying:
            self._tried, state = None, self._state(model_id)
            try:
                network = Network(model_path(self._models_dir, model_id), self._threads)
                self._tried = Tried(network, state, time.monotonic())
            except ModelFolderError as error:
                raise type(error)(message_of(error, self._models_dir)) from error

    def _keep(self, problem: str) -> None:
        if self._seen != problem:
            _log.error("the models stay as they are: %s", problem)
            self._served = Served(self._served.networks, (problem,))
            self._seen = problem

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            self._look()

    def _look(self) -> None:
        try:
            self.refresh()
        except Exception:  # the service must live on; the log has the reason
            _log.exception("the models folder could not be looked at")

    def _load(self, active: Mapping[str, str], states: dict[str, Hashable]) -> Served:
        loaded: dict[str, Network | ModelFolderError] = {}
        networks, problems = {}, []
        for slot in (slot for slot in SLOTS if slot in active):
            model_id = active[slot]
            if model_id not in loaded:
                loaded[model_id] = self._network(model_id, states[model_id])
            network: Network | ModelFolderError | None = loaded[model_id]
            if isinstance(network, ModelFolderError):
                problem = f"{slot}: {message_of(network, self._models_dir)}"
                network = self._served.networks.get(slot) or self._earlier(slot, loaded)
                if network:
                    problem += f" {network.card.id} serves {'on' if network.card.id == model_id else 'in its place'}."
                _log.error("a version cannot serve: %s", problem)
                problems.append(problem)
            if network:
                networks[slot] = network
        self._states = {network.card.id: self._states.get(network.card.id) for network in networks.values()}
        return Served(networks, tuple(problems))

    def _network(self, model_id: str, state: Hashable) -> Network | ModelFolderError:
        """Return the network of a version, the one that serves if it is the same; or why there is none."""
        known = {network.card.id: network for network in self._served.networks.values()}.get(model_id)
        if known and self._states.get(model_id) == state:
            return known
        tried = self._tried
        if tried and (tried.network.card.id, tried.state) == (model_id, state):
            self._states[model_id], self._tried = state, None
            return tried.network
        try:
            folder = model_path(self._models_dir, model_id)
            if known is None or read_network(folder)[0].sha256 != known.card.sha256:
                known = Network(folder, self._threads)
        except ModelFolderError as error:
            return error
        except Exception:  # such as too little memory: this version's trouble must not be that of the others
            _log.exception("a version could not be loaded", extra={"model": model_id})
            return ModelFolderError(f"{model_id} could not be loaded; the log of inference says why.")
        self._states[model_id] = state
        return known

    def _earlier(self, slot: str, loaded: dict[str, Network | ModelFolderError]) -> Network | None:
        """Return the network of the version that served a slot before, or None if that cannot serve either.

        Args:
            slot: that has no other.
            loaded: what was loaded by now, by version; this one is added.
        """
        try:
            model_id = previous(self._models_dir, read_active_models(self._models_dir), slot)
        except ModelFolderError:
            return None
        if model_id is None:
            return None
        if model_id not in loaded:
            loaded[model_id] = self._network(model_id, self._state(model_id))
        network = loaded[model_id]
        return None if isinstance(network, ModelFolderError) else network

    def _changed_ns(self) -> int | None:
        """Return when `active.json` was written, which each change of it changes; None where there is none."""
        try:
            return (self._models_dir / ACTIVE_FILE).stat().st_mtime_ns
        except OSError:
            return None

    def _state(self, model_id: str) -> Hashable:
        """Return what changes when a model's files do."""
        try:
            files = sorted(file for file in model_path(self._models_dir, model_id).iterdir() if file.exists())
            return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
        except (OSError, ModelFolderError):
            return None


def _missing(message: str) -> ApiError:
    return ApiError(status=503, code="model_missing", message=message, headers={"Retry-After": str(RETRY_AFTER_S)})
