"""Child processes of which none is left behind: each leads a session of its own, and the whole session is ended.

A session, not a process group: an RQ work-horse leaves its worker's group. On Linux the kernel also ends a child whose
parent was killed.
"""

import ctypes
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import psutil

TAIL_BYTES: Final = 1 << 16
"""Of a log, its last lines are looked for in so much."""

PR_SET_PDEATHSIG: Final = 1
"""From linux/prctl.h: the signal that the kernel sends to a process when its parent dies; exec keeps it."""

PORTS: Final = range(20_000, 32_000)
"""Below those that Linux and macOS give to outgoing connections."""

_ports = itertools.count(secrets.randbelow(len(PORTS)))  # from anywhere on: other processes look for ports too

LIBC: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def _end_with_parent() -> None:
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def why_not_free(host: str, port: int) -> OSError | None:
    """Return why no server could listen on this port now, or None."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error
    return None


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens; another one each time.

    Not one that the system picks: it also gives those to outgoing connections, at any moment before a server listens.
    """
    while why_not_free("127.0.0.1", port := PORTS[next(_ports) % len(PORTS)]):
        pass
    return port


class Service:
    """A program of the stack, with its log and a way to tell whether it is ready."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str],
        is_ready: Callable[["Service"], bool] = lambda _: True,
    ) -> None:
        self.name = name
        self.command = command
        self.log = log
        self.environment = environment
        self.is_ready = is_ready
        self.restarts = 0
        self.reason = ""  # why it is not ready, where it says so
        self.started_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._printed_bytes = 0

    def start(self) -> None:
        """Start the program in a session of its own, its output at the end of its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.started_s = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    @property
    def pid(self) -> int:
        """The id of the program's first process, which is its session's too; 0 before the start."""
        return self._process.pid if self._process else 0

    def exit_code(self) -> int | None:
        """Return the exit code of the program, or None while it runs."""
        return self._process.poll() if self._process else None

    def owns(self, pid: int) -> bool:
        """Return whether a process belongs to this program."""
        try:
            return bool(self.pid) and os.getsid(pid) == self.pid
        except OSError:
            return False

    def members(self) -> list[int]:
        """Return the ids of the program's processes that are alive, also after its first one has ended."""
        self.exit_code()  # reaps it
        return [pid for pid in psutil.pids() if self.owns(pid) and not _is_zombie(pid)]

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the first process, which knows how to stop the others."""
        if self._process and self.exit_code() is None:
            self._process.terminate()

    def kill(self) -> None:
        """End whatever is left of the program at once."""
        while left := self.members():
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        if self._process:
            self._process.wait()

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of the log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def shorten_log(self, most_bytes: int) -> None:
        """Put the log aside as `.log.1` and begin it anew, once it is larger than this; the program only adds to it."""
        if not self.log.exists() or self.log.stat().st_size <= most_bytes:
            return
        with suppress(OSError):  # without room there is nothing to put aside
            shutil.copyfile(self.log, self.log.with_suffix(".log.1"))
        os.truncate(self.log, 0)
        self._printed_bytes = 0

    def new_output(self) -> list[str]:
        """Return the whole lines that were logged since the last call."""
        with self.log.open("rb") as log:
            log.seek(self._printed_bytes)
            whole, newline, _ = log.read().rpartition(b"\n")
        self._printed_bytes += len(whole) + len(newline)
        return whole.decode(errors="replace").splitlines()


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def stop_all(services: Sequence[Service], patience_s: float, hurry: Callable[[], bool] = lambda: False) -> list[str]:
    """Stop programs together: SIGTERM, then SIGKILL for what is left.

    Args:
        services: started or not.
        patience_s: seconds between the two signals.
        hurry: asked while waiting; true ends the patience.

    Returns:
        The names of those that had to be killed.
    """
    for service in services:
        service.ask_to_stop()
    deadline = time.monotonic() + patience_s
    while any(service.members() for service in services) and time.monotonic() < deadline and not hurry():
        time.sleep(0.2)
    left = [service for service in services if service.members()]
    for service in services:
        service.kill()
    return [service.name for service in left]
