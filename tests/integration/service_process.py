"""A service as a user runs it: `python -m services.<name>` in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

ROOT = Path(__file__).parents[2]


@contextmanager
def running_service(
    name: str, environment: Mapping[str, str], url: str, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a service until the block ends; the block begins once /healthz answers.

    Args:
        name: `gateway` or `inference`.
        environment: its settings; variables of this process with the same prefix are not passed on.
        url: its address.
        log: where its output goes.
    """
    prefix = f"{name.upper()}_"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(prefix)}
    command = [sys.executable, "-m", f"services.{name}"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, cwd=ROOT, env={**inherited, **environment}, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while not _answers(url):
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            finally:
                process.kill()


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).ok
    except requests.RequestException:
        return False
