"""Who may do what: one table, asked before each request that changes something.

Reading is free. What changes something needs a key in the header `Authorization: Bearer hf_...`, with the role that the
table gives; an address that is not in it needs an admin's, so that a new route is closed until somebody opens it. A key
that is sent where none is needed is not refused, whatever it is.
"""

import logging
from typing import Final

from apiflask import APIFlask
from flask import g, request

from services.gateway.key_store import KeyStore
from services.gateway.keys import Key, KeyStoreError, Role
from shared.web import ApiError

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
NEEDED: Final = {
    "/v1/predictions": Role.PREDICT,
    "/upload": Role.PREDICT,
    "/v1/jobs": Role.TRAIN,
    "/v1/jobs/": Role.TRAIN,
}
"""Address to the role that changing something there needs; one that ends in a slash stands for all below it."""

ANYBODY: Final = "anonymous"
SCHEME: Final = "Bearer"

_log = logging.getLogger("halfface.gateway.access")


def role_needed(method: str, rule: str, *, prediction_key: bool) -> Role | None:
    """Return the role that a request needs, or None if it needs no key.

    Args:
        method: such as POST.
        rule: the route's address, such as /v1/jobs/<run_id>/cancel.
        prediction_key: whether predicting needs a key.
    """
    if method in READING:
        return None
    below = (role for address, role in NEEDED.items() if address.endswith("/") and rule.startswith(address))
    role = NEEDED.get(rule) or next(below, Role.ADMIN)
    return None if role == Role.PREDICT and not prediction_key else role


def current_key_name() -> str:
    """Return the name of the key that this request was made with; `anonymous` without one."""
    key: Key | None = g.get("key")
    return key.name if key else ANYBODY


def require_keys(app: APIFlask, store: KeyStore, *, prediction_key: bool) -> None:
    """Let the application refuse requests without the key that they need; the log names the key of the others."""

    @app.before_request
    def check() -> None:
        if request.url_rule is None:  # there is nothing here: the answer says so
            return
        needed = role_needed(request.method, request.url_rule.rule, prediction_key=prediction_key)
        sent = _sent_key()
        try:
            key = store.find(sent) if sent else None
        except KeyStoreError as error:
            _log.error(str(error))
            if needed:
                raise _unreadable() from error
            return
        if key:
            g.key, g.log_fields = key, {"key": key.name, "key_id": key.id}
        if needed and (key is None or not key.role.allows(needed)):
            raise _refusal(needed, sent, key)


def _sent_key() -> str | None:
    sent = request.authorization
    return sent.token or None if sent and sent.type == SCHEME.lower() else None


def _refusal(needed: Role, sent: str | None, key: Key | None) -> ApiError:
    if key:
        message = f"The key '{key.name}' has the role {key.role}; this needs the role {needed}."
        return ApiError(status=403, code="key_role", message=message)
    if sent:
        code, message = "key_unknown", "This key is not known: it was mistyped or revoked. Use another one."
    else:
        code = "key_missing"
        message = f"This needs a key with the role {needed}; send it as the header 'Authorization: Bearer hf_...'."
    return ApiError(status=401, code=code, message=message, headers={"WWW-Authenticate": SCHEME})


def _unreadable() -> ApiError:
    message = "The gateway cannot read its keys; its owner finds the reason in its log."
    return ApiError(status=503, code="keys_unavailable", message=message)
