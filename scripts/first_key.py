"""The gateway's first key: made before the gateway starts, so that it is shown on the terminal and stands in no log."""

import subprocess
import sys
from typing import Final

from scripts.stack import StackError
from scripts.stack_settings import Settings

PATIENCE_S: Final = 60


def make_first_key(settings: Settings) -> str:
    """Make the first key, if no admin key works; return what to tell about it, or "".

    The gateway would do it too, but its output is a log file here.

    Raises:
        StackError: the key file, or the key that the environment gives, cannot be used.
    """
    try:
        made = subprocess.run(
            [sys.executable, "-m", "services.gateway", "keys", "first"],
            env=settings.environment(redis_url=""),
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,  # Ctrl-C is ours: a key that was made must be shown
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired as error:
        raise StackError("The gateway's key file is held by another command; end that first.") from error
    if made.returncode:
        raise StackError(f"The gateway's keys cannot be used. {made.stderr.strip()}")
    return made.stdout
