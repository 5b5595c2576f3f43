"""Keys: who may change something. A key is shown when it is made; only its fingerprint is stored.

A key reads `hf_<id>_<secret>`. The id is no secret: it finds the key in the store and names it in a log. The secret is
256 random bits, so one SHA-256 is enough of a fingerprint: slow hashes protect passwords, which people choose and
others guess; nobody guesses 256 random bits, however fast the hash.

KeyStoreError (HalffaceError)   a key, or the store (see `key_store`), that cannot be used
"""

import hmac
import re
import secrets
from enum import StrEnum
from hashlib import sha256
from typing import Final

from pydantic import BaseModel, ConfigDict

from shared.errors import HalffaceError
from shared.run_folder import utc_now

SECRET_BYTES: Final = 32
LEAST_DIFFERENT: Final = 10  # characters: random hexadecimal digits have 15 or 16, `aaaa…` has one
KEY_FORM: Final = (
    "hf_, eight lower-case letters or digits, _, and at least 43 random letters or digits; "
    'this makes one: echo "hf_$(openssl rand -hex 4)_$(openssl rand -hex 32)"'
)

_KEY: Final = re.compile(r"hf_(?P<id>[a-z0-9]{8})_(?P<secret>[A-Za-z0-9_-]{43,200})")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_NOBODY: Final = sha256(secrets.token_bytes(SECRET_BYTES)).hexdigest()


class KeyStoreError(HalffaceError):
    """A key or a store that cannot be used; the message says what to do."""


class Role(StrEnum):
    """What a key is for; each may do what those before it may."""

    PREDICT = "predict"
    TRAIN = "train"
    ADMIN = "admin"

    def allows(self, needed: "Role") -> bool:
        """Return whether this role is `needed` or above it."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class Key(BaseModel):
    """What is stored of a key; times are ISO 8601 in UTC."""

    model_config = ConfigDict(frozen=True)

    id: str
    name: str
    role: Role
    created: str
    revoked: str | None = None
    sha256: str
    """Of the secret, as hexadecimal digits."""

    @classmethod
    def of(cls, key: str, name: str, role: Role) -> "Key":
        """Return what is stored of `key`, made now.

        Raises:
            KeyStoreError: the name is not allowed, or `key` has not the form of a key.
        """
        parts = split_key(key)
        if parts is None:
            raise KeyStoreError(f"A key is {KEY_FORM}.")
        if not _NAME.fullmatch(name):
            raise KeyStoreError("A key's name is up to 40 letters, digits, dots, dashes and underscores.")
        return cls(id=parts[0], name=name, role=role, created=utc_now(), sha256=_fingerprint(parts[1]))


def new_key() -> str:
    """Return a new random key."""
    return f"hf_{secrets.token_hex(4)}_{secrets.token_urlsafe(SECRET_BYTES)}"


def split_key(key: str) -> tuple[str, str] | None:
    """Return (id, secret), or None if `key` has not the form of a key."""
    match = _KEY.fullmatch(key)
    return (match["id"], match["secret"]) if match else None


def is_strong(key: str) -> bool:
    """Return whether a key that a person gave has the form of a key and a secret that may be random."""
    parts = split_key(key)
    return parts is not None and len(set(parts[1])) >= LEAST_DIFFERENT


def is_secret_of(known: Key | None, secret: str) -> bool:
    """Return whether the secret is that of a stored key; takes as long whatever the secret, and without a key."""
    same = hmac.compare_digest(_fingerprint(secret), known.sha256 if known else _NOBODY)
    return same and known is not None


def _fingerprint(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
