"""One run's folder and its files in the storage, brought together.

A file differs here if its time or size is another one than when both sides were last the same, there if its version
is. The worker of another machine only puts; the gateway's machine does both, as `trainer.storage.decisions` says. Files
travel in an order in which what one speaks of goes before it, so that each moment's files are enough to go on from.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from shared.files import write_atomically
from shared.run_folder import REQUEST_FILE, STATE_FILE
from trainer.storage.decisions import Holder, Known, Step, decide
from trainer.storage.files import (
    GATEWAYS,
    in_order,
    is_checkpoint,
    is_mirrored,
    is_weights,
    stamps,
)
from trainer.storage.store import Item, Storage

CHECKPOINTS_KEPT: Final = 2


class Mirror:
    """One run's folder beside its files in the storage. Every method raises StorageError.

    Args:
        storage: the other side.
        folder: `runs/<id>`, whether it is there or not.
        known: what is known from before; changed as files are brought.
    """

    def __init__(self, storage: Storage, folder: Path, known: dict[str, Known] | None = None) -> None:
        self._storage, self.folder = storage, folder
        self.prefix = f"runs/{folder.name}/"
        self.known = {} if known is None else known

    def listed(self) -> dict[str, Item]:
        """Return what the storage has of the run."""
        return {name: item for name, item in self._storage.files(self.prefix).items() if is_mirrored(name)}

    def put(self, name: str) -> None:
        """Put a file, whatever is there; nothing happens where it has gone here meanwhile."""
        path = self.folder / name
        try:
            about = path.stat()  # before it is read: what is appended meanwhile is put the next time
            self._note(name, self._storage.put_file(self.prefix + name, path), about)
        except FileNotFoundError:
            return

    def _note(self, name: str, version: str, about: os.stat_result | None = None) -> None:
        about = about or (self.folder / name).stat()
        self.known[name] = Known(version=version, mtime_ns=about.st_mtime_ns, size=about.st_size)

    def fetch(self, name: str, item: Item) -> None:
        """Fetch a file; readers here see the old one or the new one."""
        self._note(name, self._storage.fetch(self.prefix + name, item, self.folder / name))

    def fetch_all(self) -> None:
        """Fetch every file, request.json last: a folder without it is no run."""
        there = self.listed()
        for name in in_order(there):
            self.fetch(name, there[name])

    def put_changes(
        self,
        state_too: Callable[[bytes], bool] = lambda content: True,
        *,
        weights_too: bool = True,
        may: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Put what has changed here and remove there what is gone here, as the worker that has the run.

        The gateway's files are left alone.

        Args:
            state_too: whether a state.json of this content may be put now.
            weights_too: whether checkpoints and the best weights are looked at too.
            may: asked before each file whether the run is still this worker's; the rest is left alone if not.

        Returns:
            Whether a checkpoint was put.
        """
        here = stamps(self.folder)
        if REQUEST_FILE not in here:
            return False  # the folder has gone: that is no reason to remove what the storage has

        def is_wanted(name: str) -> bool:
            return name not in GATEWAYS and (weights_too or not is_weights(name))

        changed = [name for name, stamp in here.items() if is_wanted(name) and self._differs(name, stamp)]
        put_one = False
        for name in in_order(changed):
            if not may():
                return put_one
            if name == STATE_FILE:
                self._put_state(state_too)
            else:
                self.put(name)
            put_one = put_one or is_checkpoint(name)
        for name in [name for name in self.known if name not in here and is_wanted(name)]:
            if not may():
                break
            self._storage.delete([self.prefix + name])
            del self.known[name]
        return put_one

    def _put_state(self, may: Callable[[bytes], bool]) -> None:
        """Put state.json if its content may be put; it is read once, since the training may write it anew any time."""
        path = self.folder / STATE_FILE
        about, content = path.stat(), path.read_bytes()
        if may(content):
            self._note(STATE_FILE, self._storage.put(self.prefix + STATE_FILE, content), about)

    def _differs(self, name: str, stamp: tuple[int, int]) -> bool:
        known = self.known.get(name)
        return known is None or (known.mtime_ns, known.size) != stamp

    def recall(self) -> None:
        """Learn from the storage what is there: checkpoints of equal size are the same, all else counts as changed."""
        here = stamps(self.folder)
        for name, item in self.listed().items():
            mtime_ns, size = here[name] if _is_same(name, here, {name: item}) else (0, -1)
            self.known[name] = Known(version=item.version, mtime_ns=mtime_ns, size=size)

    def reconcile(
        self,
        there: Mapping[str, Item],
        holder: Holder,
        before_state: Callable[[bytes], None] = lambda content: None,
    ) -> bool:
        """Bring both sides together but for weights, as the gateway's machine; return whether the state here changed.

        Args:
            there: what the storage has of the run now.
            holder: who has the run.
            before_state: told the content of a state.json from there before it is written here.
        """
        here, state_changed = stamps(self.folder), False
        for name in in_order({*here, *self.known, *there}):
            if is_weights(name):
                continue
            step = decide(name, here.get(name), there.get(name), self.known.get(name), holder)
            if step is Step.FETCH and name == STATE_FILE:
                state_changed = self._fetch_state(before_state)
            elif step is Step.PUT and name == STATE_FILE:
                self._put_state_over(there.get(name))
            elif step is not Step.NOTHING:
                self._take(step, name, there)
            elif name not in here and name not in there:
                self.known.pop(name, None)
        return state_changed

    def _fetch_state(self, before_state: Callable[[bytes], None]) -> bool:
        found = self._storage.read(self.prefix + STATE_FILE)
        if found is None:
            return False
        before_state(found[0])
        write_atomically(self.folder / STATE_FILE, found[0])
        self._note(STATE_FILE, found[1])
        return True

    def _put_state_over(self, item: Item | None) -> None:
        """Put state.json unless a worker, which has just taken the run, was quicker: the next look then sees its."""
        path, key = self.folder / STATE_FILE, self.prefix + STATE_FILE
        about, content = path.stat(), path.read_bytes()
        version = self._storage.replace(key, content, item.version) if item else self._storage.create(key, content)
        if version is not None:
            self._note(STATE_FILE, version, about)

    def _take(self, step: Step, name: str, there: Mapping[str, Item]) -> None:
        match step:
            case Step.PUT:
                self.put(name)
            case Step.FETCH:
                self.fetch(name, there[name])
            case Step.REMOVE_THERE:
                self._storage.delete([self.prefix + name])
                self.known.pop(name, None)
            case Step.REMOVE_HERE:
                (self.folder / name).unlink(missing_ok=True)
                self.known.pop(name, None)

    def put_weights(self, there: Mapping[str, Item]) -> None:
        """Make the weights in the storage those that are here.

        Args:
            there: what the storage has of the run now.
        """
        here = stamps(self.folder)
        for name in in_order(filter(is_weights, here)):
            if not _is_same(name, here, there):
                self.put(name)
        self._storage.delete(self.prefix + name for name in there if is_weights(name) and name not in here)

    def remove_weights(self) -> None:
        """Remove all checkpoints and best weights from the storage: the run has made its model."""
        for name in filter(is_weights, self.listed()):
            self._storage.delete([self.prefix + name])
            self.known.pop(name, None)

    def fetch_weights(self, there: Mapping[str, Item]) -> None:
        """Fetch the weights of the storage, and remove the checkpoints here that gave way to two newer ones.

        Args:
            there: what the storage has of the run now.
        """
        here = stamps(self.folder)
        for name in in_order(filter(is_weights, there)):
            if not _is_same(name, here, there):
                self.fetch(name, there[name])
        for name in set(filter(is_checkpoint, here)) - set(there):
            if len([other for other in there if is_checkpoint(other) and other > name]) >= CHECKPOINTS_KEPT:
                (self.folder / name).unlink(missing_ok=True)


def _is_same(name: str, here: Mapping[str, tuple[int, int]], there: Mapping[str, Item]) -> bool:
    """Return whether a checkpoint, which never changes, is whole on both sides."""
    return is_checkpoint(name) and name in here and name in there and here[name][1] == there[name].size
