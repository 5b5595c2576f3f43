"""`python -m services.gateway keys ...`: makes, lists and revokes keys; needs nothing but the key file.

keys create --name lab --role train    prints the new key, this once
keys list                              every key, without its secret
keys revoke lab                        by name or id; it stops working at once
keys first                             makes the first admin key, as the gateway's first start does, and prints it
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from services.gateway.key_store import KeyStore
from services.gateway.keys import Role
from services.gateway.settings import KeySettings, load_key_settings

NOTICE: Final = """
This is Halfface's first key, with the role admin. It is shown only now; keep it where others cannot read it:

    {key}

The page asks for it; requests send it as the header "Authorization: Bearer <key>". This makes another one (after make
up; with Docker put docker compose exec gateway python in the place of .venv/bin/python):

    .venv/bin/python -m services.gateway keys create --name lab --role train

"""
UNUSED: Final = (
    "GATEWAY_ADMIN_KEY is not in use: it counts only while there is no admin key. "
    "Take it away, or revoke the other admin keys first.\n"
)


def run(arguments: Sequence[str]) -> None:
    """Do what the command says, and print what came of it.

    Raises:
        SettingsError: the key file's setting is wrong.
        KeyStoreError: the key or the file cannot be used.
    """
    asked = _parser().parse_args(arguments)
    settings = load_key_settings()
    store = KeyStore(settings.keys_path)
    match asked.action:
        case "create":
            key = store.create(asked.name, Role(asked.role))
            print(f"Stored in {store.path.resolve()}, without its secret. The key is shown only now:", file=sys.stderr)
            print(key)
        case "list":
            _show(store)
        case "revoke":
            revoked = store.revoke(asked.key)
            print(f"The key '{revoked.name}' ({revoked.id}) no longer works.")
        case "first":
            print(make_first_key(settings), end="")


def make_first_key(settings: KeySettings) -> str:
    """Make the first admin key if no admin key works; return what to tell whoever starts the gateway, or "".

    Raises:
        KeyStoreError: the key or the file cannot be used.
    """
    store, given = KeyStore(settings.keys_path), _given(settings)
    made = store.create_first(given)
    if given:  # its owner knows it: it is not shown
        return "" if store.find(given) else UNUSED
    return NOTICE.format(key=made) if made else ""


def _given(settings: KeySettings) -> str | None:
    return settings.admin_key.get_secret_value() if settings.admin_key else None


def _show(store: KeyStore) -> None:
    rows = [("name", "id", "role", "made", "revoked")]
    rows += [(key.name, key.id, key.role.value, key.created, key.revoked or "") for key in store.all()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.gateway keys", description="The gateway's keys.")
    actions = parser.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="make a key and print it, this once")
    create.add_argument("--name", required=True, help="whose it is, such as lab; each name is used once")
    create.add_argument(
        "--role",
        required=True,
        choices=[role.value for role in Role],
        help="predict: predictions; train: jobs too; admin: models and everything else too",
    )
    actions.add_parser("list", help="show every key, without its secret")
    revoke = actions.add_parser("revoke", help="let a key work no longer")
    revoke.add_argument("key", help="its name or id")
    actions.add_parser("first", help="make the first admin key if there is none, and show it")
    return parser
