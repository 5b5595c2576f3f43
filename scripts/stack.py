"""Starts services in order, looks after them and stops them: what `make up` does once it knows what to run."""

import signal
import time
from types import FrameType
from typing import Final

from scripts.processes import Service, stop_all

PATIENCE_S: Final = 25  # the worker writes a checkpoint before it ends, and services let requests end within 20
RESTARTS: Final = 3
FORGIVEN_AFTER_S: Final = 600  # a service that ran this long may fail as often again
TICK_S: Final = 0.3
MOST_LOG_BYTES: Final = 50 << 20
ONE_WISH_S: Final = 1.0
"""Signals that come within this time are one wish: make sends on what the terminal has sent already."""


class StackError(Exception):
    """Why the stack cannot start or go on: a sentence for a person."""


def say(text: str = "") -> None:
    """Print a line at once, also into a pipe."""
    print(text, flush=True)


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask a program to end; where hanging up is ignored, as under nohup, it is none of them."""
    asked = [signal.SIGINT, signal.SIGTERM]
    return asked if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else [*asked, signal.SIGHUP]


class Stack:
    """The services of one `make up`, from the first start to the last stop."""

    def __init__(
        self, phases: list[list[Service]], *, start_timeout_s: float, verbose: bool = False, backoff_s: float = 1.0
    ) -> None:
        self.phases = phases
        self.backoff_s = backoff_s
        self.start_timeout_s = start_timeout_s
        self.verbose = verbose
        self.signals = 0
        self._heard_s = 0.0

    @property
    def services(self) -> list[Service]:
        """Every service, in the order of starting."""
        return [service for phase in self.phases for service in phase]

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Note that somebody wants the stack to stop; the second time, at once."""
        now_s = time.monotonic()
        if not self.signals or now_s - self._heard_s > ONE_WISH_S:
            self.signals += 1
            self._heard_s = now_s

    def start(self) -> None:
        """Start phase after phase, each once the one before is ready, until a signal comes.

        Raises:
            StackError: a service ended, or was not ready in time.
        """
        for phase in self.phases:
            if self.signals:
                return
            for service in phase:
                service.start()
            waiting = list(phase)
            while waiting and not self.signals:
                self.tick()
                for service in list(waiting):
                    self._require_alive(service)
                    if service.is_ready(service):
                        waiting.remove(service)
                        say(f"  {service.name} is ready")

    def _require_alive(self, service: Service) -> None:
        if (code := service.exit_code()) is not None:
            raise StackError(f"The {service.name} ended (exit code {code}). {self.last_words(service)}")
        if time.monotonic() - service.started_s > self.start_timeout_s:
            late = f"The {service.name} is not ready after {self.start_timeout_s:.0f} s."
            raise StackError(" ".join(filter(None, (late, service.reason, self.last_words(service)))))

    def last_words(self, service: Service) -> str:
        """Return the end of a service's log, with its place."""
        return f"The end of its log, {service.log}:\n{service.tail()}"

    def watch(self) -> None:
        """Look after the services until a signal comes.

        Raises:
            StackError: a service failed more often than it is started again.
        """
        while not self.signals:
            self.tick()
            for service in self.services:
                if (code := service.exit_code()) is not None and not self.signals:
                    self._restart(service, code)

    def _restart(self, service: Service, code: int) -> None:
        say(f"The {service.name} ended (exit code {code}). {self.last_words(service)}")
        service.kill()
        if time.monotonic() - service.started_s > FORGIVEN_AFTER_S:
            service.restarts = 0
        if service.restarts >= RESTARTS:
            raise StackError(f"The {service.name} was started again {RESTARTS} times in vain.")
        again_s = time.monotonic() + self.backoff_s * 2**service.restarts
        while (left_s := again_s - time.monotonic()) > 0 and not self.signals:
            time.sleep(min(TICK_S, left_s))
        if self.signals:
            return
        service.restarts += 1
        say(f"Starting the {service.name} again ({service.restarts} of {RESTARTS}).")
        service.start()

    def tick(self) -> None:
        """Wait a moment; show new log lines if asked to, and keep the logs from growing for ever."""
        time.sleep(TICK_S)
        if self.verbose:
            self.show_logs()
        for service in self.services:
            service.shorten_log(MOST_LOG_BYTES)

    def show_logs(self) -> None:
        """Print what the services logged since the last time."""
        for service in self.services:
            for line in service.new_output() if service.log.exists() else []:
                say(f"{service.name:9} | {line}")

    def stop(self) -> None:
        """Stop the services, the queue last, and leave no process: at once if a second signal has come or comes."""
        first = min(self.signals, 1)  # none, where a service failed
        killed: list[str] = []
        for phase in reversed(self.phases):
            killed += stop_all(phase, PATIENCE_S, hurry=lambda: self.signals > first)
        if self.verbose:
            self.show_logs()
        say(f"Stopped{'; had to end ' + ', '.join(killed) if killed else ''}.")
