"""Who serves what: promote, roll back, archive, restore, and follow a release; each change is noted with who and when.

A change and its record are one rename of `models/active.json`. A lock file lets the gateway, several of its processes
and the command line take turns; readers need no lock. Versions never change, so a version may be tested before the lock
is taken, and the lock is held for a few milliseconds only.
"""

import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, cast

from shared.errors import ModelChangeError, ModelFolderError, ModelsUnavailableError, UnknownModelError
from shared.model_folder import (
    CARD_FILE,
    ActiveModels,
    Card,
    list_models,
    model_path,
    read_active,
    read_active_models,
    read_card,
    write_active,
)
from shared.run_folder import utc_now
from shared.schemas.models import ModelChange
from shared.schemas.wire import SLOTS, Slot

LOCK_FILE: Final = ".active.lock"
KEPT_CHANGES: Final = 1000
RELEASE: Final = "release"
"""In place of a person's name where slots followed a release."""
EARLY_RELEASES: Final = frozenset({"first/1"})
"""All that releases brought before there was a history. Promotions were not noted then either, so a slot without a line
in the history may be a person's choice if another version serves it."""

SelfTest = Callable[[Card], None]
"""Raises an error, such as SelfTestError, if the version must not serve."""


def promote(models_dir: Path, model_id: str, slots: Sequence[Slot], by: str, self_test: SelfTest) -> ActiveModels:
    """Let a version serve these slots, all of them or none.

    Args:
        models_dir: the folder `models`.
        model_id: `<name>/<version>`.
        slots: what it shall serve; slots that it serves already stay as they are, and follow no release from now on.
        by: who wants it.
        self_test: called once the version's files are those of its card.

    Returns:
        What serves now.

    Raises:
        UnknownModelError: there is no such version.
        ModelChangeError: it is archived.
        ModelFolderError: its files are not those of its card, `active.json` cannot be read or written, or `self_test`
            refused it. What serves stays as it was.
    """
    self_test(_trusted_card(models_dir, model_id))
    with _turn(models_dir):
        _must_exist(models_dir, model_id)  # it may have been deleted during its self-test
        state = read_active_models(models_dir)
        if model_id in state.archived:
            raise ModelChangeError(f"{model_id} is archived; restore it, then promote it.")
        changed = [slot for slot in dict.fromkeys(slots) if not _is_chosen(state, slot, model_id)]
        return _serve(models_dir, state, dict.fromkeys(changed, model_id), by, "promote")


def roll_back(models_dir: Path, slot: Slot, by: str, self_test: SelfTest) -> ActiveModels:
    """Let the version serve that served the slot before the present one.

    The history is read as an editor's undo: a promotion puts a version on a pile, a roll back takes the uppermost off.
    So a second roll back goes further back, not forth again; to go forth, promote. Versions that were archived or
    deleted since are passed over.

    Returns:
        What serves now.

    Raises:
        ModelChangeError: nothing that can serve did so before, or somebody changed the slot at the same time.
        ModelFolderError: as `promote`.
    """
    target = previous(models_dir, read_active_models(models_dir), slot)
    if target is None:
        raise ModelChangeError(f"No earlier version of {slot} can serve; promote the version that you want instead.")
    self_test(_trusted_card(models_dir, target))
    with _turn(models_dir):
        state = read_active_models(models_dir)
        if previous(models_dir, state, slot) != target:
            raise ModelChangeError(f"Somebody changed {slot} at this moment; look at what serves, then try again.")
        return _serve(models_dir, state, {slot: target}, by, "roll_back")


def archive(models_dir: Path, model_id: str, by: str) -> ActiveModels:
    """Put a version away: it stays in the folder, but is not listed unasked and cannot be promoted.

    Raises:
        UnknownModelError: there is no such version.
        ModelChangeError: it is in service.
        ModelFolderError: `active.json` cannot be read or written.
    """
    _must_exist(models_dir, model_id)
    with _turn(models_dir):
        state = read_active_models(models_dir)
        serves = [slot for slot, served in state.active.items() if served == model_id]
        if serves:
            raise ModelChangeError(
                f"{model_id} serves {', '.join(serves)}; promote another version there, then archive it."
            )
        if model_id in state.archived:
            return state
        change = ModelChange(time=utc_now(), by=by, action="archive", model=model_id)
        return _write(models_dir, state.active, (*state.archived, model_id), (*state.history, change))


def restore(models_dir: Path, model_id: str, by: str) -> ActiveModels:
    """Take a version back out of the archive.

    Raises:
        UnknownModelError: there is no such version.
        ModelFolderError: `active.json` cannot be read or written.
    """
    _must_exist(models_dir, model_id)
    with _turn(models_dir):
        state = read_active_models(models_dir)
        if model_id not in state.archived:
            return state
        change = ModelChange(time=utc_now(), by=by, action="restore", model=model_id)
        archived = tuple(each for each in state.archived if each != model_id)
        return _write(models_dir, state.active, archived, (*state.history, change))


def follow_release(
    models_dir: Path, released_dir: Path, self_test: SelfTest, tell: Callable[[str], object] = lambda problem: None
) -> ActiveModels:
    """Let released versions serve the slots that no person has decided on; their choice stays.

    A slot follows if nothing serves it, or if what serves it came with a release, also one that this release no longer
    has (see `_came_with_a_release`). Versions that are not in the models folder, are archived or altered there, or are
    refused by `self_test`, are left out; of the last two `tell` is told why.

    Raises:
        ModelFolderError: an `active.json` cannot be read or written.
    """
    released = read_active(released_dir)
    ids = {model_id for model_id, _ in list_models(released_dir)}

    def wanted(state: ActiveModels) -> dict[str, str]:
        return {
            slot: released[slot]
            for slot in SLOTS
            if slot in released
            and state.active.get(slot) != released[slot]
            and _came_with_a_release(state, slot, ids)
            and _can_serve(models_dir, state, released[slot])
        }

    candidates = set(wanted(read_active_models(models_dir)).values())
    fit = {model_id for model_id in candidates if _passes(models_dir, model_id, self_test, tell)}
    with _turn(models_dir):
        state = read_active_models(models_dir)
        follow = {slot: model_id for slot, model_id in wanted(state).items() if model_id in fit}
        return _serve(models_dir, state, follow, RELEASE, "release")


def serving_since(state: ActiveModels) -> dict[str, str]:
    """Return slot to the time when its version began to serve, UTC; a slot that nobody noted is absent."""
    last = {change.slot: change for change in state.history if change.slot}
    return {slot: change.time for slot, change in last.items() if state.active.get(slot) == change.model}


def previous(models_dir: Path, state: ActiveModels, slot: str) -> str | None:
    """Return the version that a roll back of the slot would bring back, or None; see `roll_back`."""
    for model_id in _served_before(state, slot):
        if model_id != state.active.get(slot) and _can_serve(models_dir, state, model_id):
            return model_id
    return None


def _served_before(state: ActiveModels, slot: str) -> list[str]:
    """Return the versions that served the slot before the present one, the latest first."""
    pile: list[str] = []
    for change in (each for each in state.history if each.slot == slot):
        if change.action == "roll_back":
            while pile and pile[-1] != change.model:
                pile.pop()
        elif change.before and pile[-1:] != [change.before]:
            pile.append(change.before)  # put there without a record, such as by an older release
        if pile[-1:] != [change.model]:
            pile.append(change.model)
    if pile and pile[-1] == state.active.get(slot):
        pile.pop()
    return pile[::-1]


def _came_with_a_release(state: ActiveModels, slot: str, released: Set[str]) -> bool:
    """Return whether what serves the slot, if anything does, came with a release and not by a person's choice.

    The slot's last line in the history tells; if another version serves than it says, a person edited the file.
    Without a line, the version tells: it is one of `released`, or of the releases before there was a history.
    """
    served = state.active.get(slot)
    last = next((change for change in reversed(state.history) if change.slot == slot), None)
    if last is None:
        return served is None or served in released | EARLY_RELEASES
    return last.action == RELEASE and served in {None, last.model}


def _is_chosen(state: ActiveModels, slot: str, model_id: str) -> bool:
    """Return whether a version serves a slot, and by a person's choice: the slot no longer follows releases then."""
    return state.active.get(slot) == model_id and not _came_with_a_release(state, slot, frozenset({model_id}))


def _can_serve(models_dir: Path, state: ActiveModels, model_id: str) -> bool:
    return model_id not in state.archived and _exists(models_dir, model_id)


def _exists(models_dir: Path, model_id: str) -> bool:
    try:
        return (model_path(models_dir, model_id) / CARD_FILE).is_file()
    except (ModelFolderError, OSError):  # no name of a version, or a folder that this user may not look into
        return False


def _must_exist(models_dir: Path, model_id: str) -> None:
    if not _exists(models_dir, model_id):
        raise UnknownModelError(f"There is no model '{model_id}'; list the models to see those there are.")


def _trusted_card(models_dir: Path, model_id: str) -> Card:
    _must_exist(models_dir, model_id)
    folder = model_path(models_dir, model_id)
    return read_card(folder).at(folder)


def _passes(models_dir: Path, model_id: str, self_test: SelfTest, tell: Callable[[str], object]) -> bool:
    try:
        self_test(_trusted_card(models_dir, model_id))
    except ModelFolderError as error:
        tell(str(error))
        return False
    return True


@contextmanager
def _turn(models_dir: Path) -> Iterator[None]:
    """Hold the right to change `active.json`; the system frees it when a process dies."""
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with (models_dir / LOCK_FILE).open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
    except OSError as error:
        message = f"The models folder cannot be changed ({error.strerror}); make it writable for this user."
        raise ModelsUnavailableError(message) from error


def _serve(
    models_dir: Path,
    state: ActiveModels,
    models: Mapping[str, str],
    by: str,
    action: Literal["promote", "roll_back", "release"],
) -> ActiveModels:
    if not models:
        return state
    now = utc_now()
    changes = tuple(
        ModelChange(
            time=now, by=by, action=action, slot=cast(Slot, slot), model=model_id, before=state.active.get(slot)
        )
        for slot, model_id in models.items()
    )
    return _write(models_dir, {**state.active, **models}, state.archived, (*state.history, *changes))


def _write(
    models_dir: Path, active: Mapping[str, str], archived: tuple[str, ...], history: tuple[ModelChange, ...]
) -> ActiveModels:
    ordered = {slot: active[slot] for slot in sorted(active, key=lambda slot: (*SLOTS, slot).index(slot))}
    write_active(models_dir, ordered, archived, _newest(history))
    return read_active_models(models_dir)


def _newest(history: tuple[ModelChange, ...]) -> list[ModelChange]:
    """Return the newest changes, and each slot's last one however old: it says since when, and whose choice it is."""
    last = {change.slot: change for change in history if change.slot}
    first_kept = len(history) - KEPT_CHANGES
    return [
        change
        for number, change in enumerate(history)
        if number >= first_kept or (change.slot and change is last[change.slot])
    ]
