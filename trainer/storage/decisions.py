"""Which side is right about a file of a run, seen from the gateway's machine."""

import enum

from pydantic import BaseModel

from shared.run_folder import DEATHS_FILE
from trainer.storage.files import GATEWAYS
from trainer.storage.store import Item


class Known(BaseModel):
    """A file when both sides were the same."""

    version: str
    mtime_ns: int
    size: int


class Holder(enum.Enum):
    """Who does the run now."""

    NOBODY = enum.auto()
    HOME = enum.auto()
    """A worker that shares the gateway's folders."""
    ELSEWHERE = enum.auto()


class Step(enum.Enum):
    """What to do about one file, seen from here."""

    NOTHING = enum.auto()
    PUT = enum.auto()
    FETCH = enum.auto()
    REMOVE_THERE = enum.auto()
    REMOVE_HERE = enum.auto()


def decide(name: str, here: tuple[int, int] | None, there: Item | None, known: Known | None, holder: Holder) -> Step:
    """Return what the gateway's machine does about a file that is no weights.

    Args:
        name: in the run's folder.
        here: its (time, size) here, if it is here.
        there: its entry in the storage, if it is there.
        known: as both were when they were the same.
        holder: who has the run: one elsewhere is right about all but the gateway's files, one that shares the folders
            never is wrong, and while nobody has it a change there goes before one here.
    """
    changed_here = here != ((known.mtime_ns, known.size) if known else None)
    changed_there = (there.version if there else None) != (known.version if known else None)
    if not changed_here and not changed_there:
        return Step.NOTHING
    if name in GATEWAYS and known is not None:
        return _bring_there(here, there)
    if holder is Holder.ELSEWHERE and name not in GATEWAYS:
        return _take_from_there(name, here, there) if changed_there and (there or name == DEATHS_FILE) else Step.NOTHING
    if changed_there and not (changed_here and (holder is Holder.HOME or name in GATEWAYS)):
        return _take_from_there(name, here, there)
    return _bring_there(here, there)


def _bring_there(here: tuple[int, int] | None, there: Item | None) -> Step:
    if here:
        return Step.PUT
    return Step.REMOVE_THERE if there else Step.NOTHING


def _take_from_there(name: str, here: tuple[int, int] | None, there: Item | None) -> Step:
    """Follow the storage; of what is gone there nothing is removed here but the count of deaths."""
    if there:
        return Step.FETCH
    if not here:
        return Step.NOTHING
    return Step.REMOVE_HERE if name == DEATHS_FILE else Step.PUT
