"""A storage as a flat set of named files: put, fetch, list, delete, and two ways to write only if nobody else did.

A thin layer over `obstore`, which was chosen because every store that it knows can create a file only if there is none,
most can replace one only if it is unchanged, and it comes as one package without dependencies. (s3fs cannot be
installed beside this project's versions: botocore wants an older python-dateutil.)
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import ObjectStore, from_url

from shared.files import replacing, write_atomically
from trainer.errors import FileChangedError, StorageError
from trainer.settings import Settings

PIECE_BYTES: Final = 8 << 20
"""Large files travel in pieces of this size, two at a time, each within `REQUEST_S`: 2 Mbit/s are enough."""

CONNECT_S: Final = 5
REQUEST_S: Final = 60
RETRY_S: Final = 15
"""How long a request is tried again before the storage counts as unreachable."""


@dataclass(frozen=True)
class Item:
    """A file of the storage."""

    size: int
    version: str
    """Another one after each change: the entity tag."""


def open_storage(settings: Settings, request_s: float = REQUEST_S) -> "Storage":
    """Return the storage at TRAINER_STORAGE_URL; nothing is asked of it yet.

    Args:
        settings: the address.
        request_s: the longest that one request may take.

    Raises:
        StorageError: the address is none that can be used.
    """
    url = settings.storage_url or ""
    options: dict[str, Any] = {}
    if url.startswith("file:"):
        options = {"mkdir": True}
    elif not url.startswith("memory:"):
        options = _remote_options(settings, request_s)
    with _told(f"TRAINER_STORAGE_URL '{url}' cannot be used; write it like s3://bucket/folder"):
        return Storage(from_url(url, **options))


def _remote_options(settings: Settings, request_s: float) -> dict[str, Any]:
    endpoint = settings.storage_endpoint
    client = {"connect_timeout": timedelta(seconds=CONNECT_S), "timeout": timedelta(seconds=request_s)}
    options: dict[str, Any] = {
        "client_options": {**client, "allow_http": True} if (endpoint or "").startswith("http://") else client,
        "retry_config": {"max_retries": 3, "retry_timeout": timedelta(seconds=RETRY_S)},
    }
    return {**options, "endpoint": endpoint} if endpoint else options


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn the library's errors into a StorageError: `what`, then the library's first line."""
    try:
        yield
    except (BaseError, ValueError, NotImplementedError, PermissionError) as error:
        raise StorageError(f"{what}: {(str(error).splitlines() or [type(error).__name__])[0]}") from error


class Storage:
    """Files by key, such as `runs/<id>/state.json`. Every method raises StorageError where the storage fails."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def files(self, prefix: str) -> dict[str, Item]:
        """Return the files below `prefix`, which ends with a slash, by the rest of their key."""
        with _told("The storage could not be listed"):
            pages = obstore.list(self._store, prefix)
            return {meta["path"].removeprefix(prefix): _item(meta) for page in pages for meta in page}

    def folders(self, prefix: str) -> list[str]:
        """Return the names of the folders just below `prefix`, which ends with a slash."""
        with _told("The storage could not be listed"):
            found = obstore.list_with_delimiter(self._store, prefix)["common_prefixes"]
        return [path.rstrip("/").rsplit("/", 1)[-1] for path in found]

    def exists(self, key: str) -> bool:
        """Return whether there is a file."""
        try:
            with _told(f"{key} could not be looked up in the storage"):
                obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        return True

    def read(self, key: str) -> tuple[bytes, str] | None:
        """Return a file's content and version; None where there is none."""
        try:
            with _told(f"{key} could not be read from the storage"):
                result = obstore.get(self._store, key)
                return bytes(result.bytes()), _item(result.meta).version
        except FileNotFoundError:
            return None

    def put(self, key: str, content: bytes) -> str:
        """Write a file whole, whatever was there; return its version."""
        with _told(f"{key} could not be put into the storage"):
            return _version(obstore.put(self._store, key, content))

    def put_file(self, key: str, path: Path) -> str:
        """Write a local file, of any size; return its version. Raises FileNotFoundError if it has gone."""
        if path.stat().st_size <= PIECE_BYTES:
            return self.put(key, path.read_bytes())
        with _told(f"{key} could not be put into the storage"):
            return _version(obstore.put(self._store, key, path, chunk_size=PIECE_BYTES, max_concurrency=2))

    def create(self, key: str, content: bytes) -> str | None:
        """Write a file only if there is none; return its version, or None.

        Where a store cannot promise that, it is looked up first: see `trainer.storage.lease` for what that leaves open.
        """
        try:
            with _told(f"{key} could not be put into the storage"):
                return _version(obstore.put(self._store, key, content, mode="create"))
        except StorageError as error:
            if isinstance(error.__cause__, AlreadyExistsError | PreconditionError):
                return None
            if not isinstance(error.__cause__, NotImplementedError):
                raise
        return None if self.exists(key) else self.put(key, content)

    def replace(self, key: str, content: bytes, version: str) -> str | None:
        """Write a file only if its version is still this one; return the new version, or None. As `create`."""
        try:
            with _told(f"{key} could not be put into the storage"):
                return _version(obstore.put(self._store, key, content, mode={"e_tag": version}))
        except FileNotFoundError:
            return None
        except StorageError as error:
            if isinstance(error.__cause__, PreconditionError | AlreadyExistsError):
                return None
            if not isinstance(error.__cause__, NotImplementedError):
                raise
        found = self.read(key)
        return self.put(key, content) if found and found[1] == version else None

    def fetch(self, key: str, item: Item, target: Path) -> str:
        """Write a file to `target` so that readers there see the old content or the new one; return its version.

        A small file may be a newer one than `item`, which was listed before.

        Raises:
            FileChangedError: a large file was replaced meanwhile, or any was removed.
        """
        if item.size <= PIECE_BYTES:
            found = self.read(key)
            if found is None:
                raise FileChangedError(f"{key} has gone from the storage.")
            write_atomically(target, found[0])
            return found[1]
        with replacing(target) as file:
            for piece in self._pieces(key, item):
                file.write(piece)
        return item.version

    def _pieces(self, key: str, item: Item) -> Iterator[bytes]:
        for start in range(0, item.size, PIECE_BYTES):
            end = min(start + PIECE_BYTES, item.size)
            try:
                with _told(f"{key} could not be fetched from the storage"):
                    options: Any = {"range": (start, end), "if_match": item.version}
                    piece = bytes(obstore.get(self._store, key, options=options).bytes())
            except FileNotFoundError as error:
                raise FileChangedError(f"{key} has gone from the storage.") from error
            except StorageError as error:
                if isinstance(error.__cause__, PreconditionError):
                    raise FileChangedError(f"{key} was replaced while it was fetched.") from error
                raise
            yield piece

    def delete(self, keys: Iterable[str]) -> None:
        """Remove files; those that are not there are no error."""
        for key in keys:
            try:
                with _told(f"{key} could not be removed from the storage"):
                    obstore.delete(self._store, key)
            except FileNotFoundError:
                continue


def _item(meta: Any) -> Item:
    return Item(meta["size"], str(meta["e_tag"]))


def _version(result: Any) -> str:
    return str(result["e_tag"])
