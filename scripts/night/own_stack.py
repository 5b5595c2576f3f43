"""What jobs go through, as processes of this script: queue, gateway and workers, started again when they are killed."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from scripts.night.gateway import Gateway
from scripts.processes import Service, free_port, stop_all
from scripts.stack import PATIENCE_S, StackError, say
from scripts.stack_settings import Settings
from scripts.up import answers, prepare_folders, python_services, queue_answers, queue_service
from shared.run_folder import utc_now

TICK_S: Final = 0.2
QUICK_S: Final = 3.0
"""A service that ends sooner than this has not been killed by us: something is wrong with it."""
IN_VAIN: Final = 10
NOT_OF_A_NIGHT: Final = frozenset({"GATEWAY_KEYS_FILE", "TRAINER_STORAGE_URL"})
"""What may be set for the user's own stack and would make a night's keys and runs a part of it."""


class _OwnSettings(Settings):
    """The settings of the user's stack, but for what a night must not share with it."""

    def environment(self, redis_url: str) -> dict[str, str]:
        """Return the environment of the services."""
        shared = super().environment(redis_url)
        return {name: value for name, value in shared.items() if name not in NOT_OF_A_NIGHT}


def settings_for(folder: Path, data_dir: Path | None, models_dir: Path | None) -> Settings:
    """Return the settings of a stack with runs of its own below `folder`, on free ports."""
    ports = {f"{name}_port": free_port() for name in ("gateway", "inference", "frontend")}
    given = {"runs_dir": folder / "runs", "data_dir": data_dir, "models_dir": models_dir}
    folders = {name: path.absolute() for name, path in given.items() if path}
    return _OwnSettings().model_copy(update={**ports, **folders})


class OwnStack:
    """Queue, gateway and workers; `keep` starts again what has ended, as a service's restart policy does."""

    def __init__(self, settings: Settings, workers: int) -> None:
        self.settings = settings
        self.restarts: dict[str, int] = {}
        prepare_folders(settings)
        port = free_port()
        self._redis_url = f"redis://127.0.0.1:{port}/0"
        services = {service.name: service for service in python_services(settings, self._redis_url)}
        gateway, worker = services["gateway"], services["worker"]
        gateway.is_ready = answers(settings.url("gateway") + "/healthz")  # nobody predicts here: no inference
        self._queue = queue_service(settings, port, self._redis_url)
        self._others = [gateway, *(_renamed(worker, f"worker-{number + 1}") for number in range(workers))]
        self._past: list[Service] = []
        self._quick = 0

    def start(self) -> Gateway:
        """Start everything, and return the gateway with a key made for this night.

        Raises:
            StackError: a service ended, or was not ready in time.
        """
        key = self._make_key()
        for phase in ([self._queue], self._others):
            for service in phase:
                service.start()
            for service in phase:
                self._wait_for(service)
        return Gateway(self.settings.url("gateway"), key)

    def _wait_for(self, service: Service) -> None:
        while not service.is_ready(service):
            if service.exit_code() is not None or time.monotonic() - service.started_s > self.settings.start_timeout_s:
                raise StackError(f"The {service.name} does not start. The end of {service.log}:\n{service.tail()}")
            time.sleep(TICK_S)

    def _make_key(self) -> str:
        """Make a key: an admin's, since without one the gateway makes its first, which would stand in its log."""
        name = f"night-{utc_now()[:19].replace(':', '-')}"
        command = [sys.executable, "-m", "services.gateway", "keys", "create", "--name", name, "--role", "admin"]
        environment = self.settings.environment(self._redis_url)
        made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if made.returncode:
            raise StackError(f"No key can be made. {made.stderr.strip()}")
        return made.stdout.strip()

    def keep(self) -> None:
        """Start again what has ended; a training that a worker leaves behind goes on.

        Raises:
            StackError: a service ends again and again by itself.
        """
        for service in (self._queue, *self._others):
            if service.exit_code() is not None:
                self._restart(service)
                return  # one at a time: a worker needs the queue

    def _restart(self, service: Service) -> None:
        self._quick = self._quick + 1 if time.monotonic() - service.started_s < QUICK_S else 0
        if self._quick > IN_VAIN:
            raise StackError(f"The {service.name} ends again and again. The end of {service.log}:\n{service.tail()}")
        self.restarts[service.name] = self.restarts.get(service.name, 0) + 1
        say(f"Starting the {service.name} again.")
        successor = _renamed(service, service.name)
        successor.start()
        if service is self._queue:
            self._queue = successor
            while successor.exit_code() is None and not queue_answers(self._redis_url):
                time.sleep(TICK_S)
        else:
            self._others[self._others.index(service)] = successor
        self._past.append(service)

    def kill_queue(self) -> list[int]:
        """End the queue server with SIGKILL; `keep` starts it again with the data that it had written."""
        pids = self._queue.members()
        self._queue.kill()
        return pids

    def stop(self) -> None:
        """Stop everything, the queue last, and leave no process."""
        stop_all([*self._past, *self._others], PATIENCE_S)
        stop_all([self._queue], PATIENCE_S)


def _renamed(service: Service, name: str) -> Service:
    """Return the same service, not yet started, under a name of its own, which its log bears too."""
    log = service.log.with_name(f"{name}.log")
    return Service(name, service.command, log=log, environment=service.environment, is_ready=service.is_ready)
