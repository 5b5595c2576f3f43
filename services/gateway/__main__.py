"""`python -m services.gateway` serves: checks the settings, sees to a first key, then becomes gunicorn.

`python -m services.gateway keys --help`: see `key_command`.
"""

import os
import sys
from collections.abc import Sequence

from services.gateway import key_command
from services.gateway.settings import load_settings
from shared.errors import HalffaceError


def main(arguments: Sequence[str]) -> None:
    """Serve, or do what the `keys` command says; exit with a sentence where that cannot be."""
    if arguments[:1] == ["keys"]:
        _run_key_command(arguments[1:])
    elif arguments:
        sys.exit("Usage: python -m services.gateway serves; python -m services.gateway keys --help is about keys.")
    else:
        serve()


def _run_key_command(arguments: Sequence[str]) -> None:
    try:
        key_command.run(arguments)
    except HalffaceError as error:
        sys.exit(str(error))


def serve() -> None:
    """Replace this process by gunicorn; exit with a sentence if a setting is missing or wrong, or the key file is.

    The first key is made here, before there are workers, and printed to the terminal; in a container that is its log.
    """
    try:
        if notice := key_command.make_first_key(load_settings()):
            print(notice, end="", flush=True)
    except HalffaceError as error:
        sys.exit(f"The gateway cannot start. {error}")
    os.execv(  # noqa: S606
        sys.executable, [sys.executable, "-m", "gunicorn", "--config", "python:services.gateway.gunicorn_conf"]
    )


if __name__ == "__main__":
    main(sys.argv[1:])
