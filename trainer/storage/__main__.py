"""What the worker's own process has another one do, as it must not load `obstore` itself.

`python -m trainer.storage check` says whether the storage can be used; `hand-back <run> <worker>` gives back a run
whose process died. What is wrong goes to stdout as a sentence, the log to stderr.
"""

import argparse
import logging
import sys

from shared.errors import HalffaceError
from trainer.settings import load_settings
from trainer.storage.loan import hand_back
from trainer.storage.store import open_storage


def main() -> int:
    """Do what the command line asks; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m trainer.storage", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="list the storage")
    back = commands.add_parser("hand-back", help="give back a run whose process died")
    back.add_argument("run")
    back.add_argument("worker", help="who had it")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        logging.basicConfig(level=settings.log_level, format="%(asctime)s %(message)s", stream=sys.stderr)
        if arguments.command == "check":
            open_storage(settings).folders("runs/")
        else:
            hand_back(arguments.run, settings, arguments.worker)
    except HalffaceError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
