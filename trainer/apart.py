"""What a worker asks in a process apart: its own, which forks for each run, must not load torch or `obstore`."""

import subprocess
import sys
from typing import Final

TIMEOUT_S: Final = 300
"""A checkpoint may have to be put into a storage."""


def ask(module: str, *words: str, timeout_s: float = TIMEOUT_S) -> str | None:
    """Run a module of ours, which prints what is wrong; return that as a sentence, None if all is well.

    Args:
        module: what `python -m` names.
        words: its arguments.
        timeout_s: how long it may take.
    """
    what = " ".join(("python -m", module, *words))
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, *words], stdout=subprocess.PIPE, text=True, check=False, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        return f"`{what}` was too slow: it had {timeout_s:g} s."
    except OSError as error:
        return f"`{what}` could not be started: {error.strerror}."
    if done.returncode and not done.stdout.strip():
        return f"`{what}` ended with status {done.returncode}; the log has what it said before this."
    return done.stdout.strip() or None
