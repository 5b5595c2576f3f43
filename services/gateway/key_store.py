"""The store of keys: one JSON file, readable by its owner alone, without any secret.

It is replaced atomically under a lock, since the gateway's start and the command may write at the same time. Readers
look at the file's identity before each use, so a key that another process revokes stops working at once.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from services.gateway.keys import Key, KeyStoreError, Role, is_secret_of, new_key, split_key
from shared.files import write_atomically
from shared.run_folder import utc_now

FIRST_NAME: Final = "owner"
FILE_MODE: Final = 0o600


class KeyFile(BaseModel):
    """The content of the file."""

    format: Literal[1] = 1
    keys: list[Key] = []


class Loaded(NamedTuple):
    """The keys that work, by id, and the file that they were read from."""

    identity: tuple[int, int, int] | None
    keys: dict[str, Key]


class KeyStore:
    """The keys in one file; safe to use from many threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loaded = Loaded(None, {})

    def find(self, key: str) -> Key | None:
        """Return what is stored of `key`; None if it is unknown or revoked. Takes as long for a wrong secret.

        Raises:
            KeyStoreError: the file cannot be read.
        """
        key_id, secret = split_key(key) or ("", "")
        known = self._working().get(key_id)
        return known if is_secret_of(known, secret) else None

    def all(self) -> list[Key]:
        """Return every key in the order of making, revoked ones too.

        Raises:
            KeyStoreError: the file cannot be read.
        """
        return self._read().keys

    def create(self, name: str, role: Role) -> str:
        """Store a new key and return it: the only time that it is known.

        Raises:
            KeyStoreError: the name is taken or not allowed, or the file cannot be read or written.
        """
        key = new_key()
        with self._changing() as content:
            _add(content, Key.of(key, name, role))
        return key

    def create_first(self, given: str | None = None) -> str | None:
        """Store an admin key if none works; of several processes that start at once, one does.

        Args:
            given: the key to store; a random one if None.

        Returns:
            The key that was stored; None if an admin key was there.

        Raises:
            KeyStoreError: the given key was there before and revoked, or the file cannot be read or written.
        """
        with self._changing() as content:
            if any(key.role == Role.ADMIN and not key.revoked for key in content.keys):
                return None
            key = given or new_key()
            _add(content, Key.of(key, _first_name(content), Role.ADMIN))
        return key

    def revoke(self, name_or_id: str) -> Key:
        """Let a key work no longer, and return it; it stays in the list, and its name stays taken.

        Raises:
            KeyStoreError: there is no such key, it is revoked already, or the file cannot be read or written.
        """
        with self._changing() as content:
            found = next((key for key in content.keys if name_or_id in (key.name, key.id)), None)
            if found is None:
                raise KeyStoreError(f"There is no key '{name_or_id}'; `keys list` shows those there are.")
            if found.revoked:
                raise KeyStoreError(f"The key '{found.name}' was revoked already, {found.revoked}.")
            revoked = found.model_copy(update={"revoked": utc_now()})
            content.keys[content.keys.index(found)] = revoked
        return revoked

    def _working(self) -> dict[str, Key]:
        """Return the keys that are not revoked, by id; read again if the file was replaced."""
        identity = self._identity()
        if identity != self._loaded.identity:
            keys = {key.id: key for key in self._read().keys if not key.revoked}
            self._loaded = Loaded(identity, keys)
        return self._loaded.keys

    def _identity(self) -> tuple[int, int, int] | None:
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(self.path, "read") from error
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _read(self) -> KeyFile:
        try:
            return KeyFile.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return KeyFile()
        except (OSError, ValidationError) as error:
            raise _unusable(self.path, "read") from error

    @contextmanager
    def _changing(self) -> Iterator[KeyFile]:
        """Give the file's content and store what becomes of it, alone among all processes."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, FILE_MODE)
        except OSError as error:
            raise _unusable(self.path, "written") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self._read()
            content = before.model_copy(deep=True)
            yield content
            if content != before:
                self._write(content)
        finally:
            os.close(lock)

    def _write(self, content: KeyFile) -> None:
        try:
            write_atomically(self.path, content.model_dump_json(indent=1) + "\n", FILE_MODE)
        except OSError as error:
            raise _unusable(self.path, "written") from error


def _add(content: KeyFile, key: Key) -> None:
    """Add a key; names and ids are never used again, so that they say who did something long ago."""
    for known in content.keys:
        if key.name in (known.name, known.id):
            was = " by a revoked key" if known.revoked else ""
            raise KeyStoreError(f"The name '{key.name}' is taken{was}; choose another one.")
        if known.id == key.id:
            raise KeyStoreError(f"There was a key with the id {key.id} before; choose another key.")
    content.keys.append(key)


def _first_name(content: KeyFile) -> str:
    taken = {key.name for key in content.keys}
    later = (f"{FIRST_NAME}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (FIRST_NAME, *later) if name not in taken)


def _unusable(path: Path, done: str) -> KeyStoreError:
    return KeyStoreError(
        f"The key file {path} cannot be {done}. Let the gateway's user own it and its folder, restore it, "
        "or set GATEWAY_KEYS_FILE to another place."
    )
