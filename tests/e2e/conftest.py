"""One stack for the whole session, started as a user starts it, on free ports and in folders of its own."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import psutil
import pytest

from scripts.draw_faces import draw_portrait
from scripts.processes import free_port
from scripts.stack_settings import ROOT
from shared.model_folder import read_active, write_active
from tests.e2e.running_stack import RunningStack

START_LIMIT_S = 600
STOP_LIMIT_S = 120


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, models_dir: Path, drawn_dataset: Path) -> Iterator[RunningStack]:
    """Give the stack of `make up`, ready; stop it with Ctrl-C and see that no process is left."""
    folder = tmp_path_factory.mktemp("stack")
    shutil.copytree(models_dir, folder / "models")
    write_active(folder / "models", {**read_active(models_dir), "any": read_active(models_dir)["full"]})
    shutil.copytree(drawn_dataset, folder / "data" / "drawn")
    ports = {name: free_port() for name in ("GATEWAY", "INFERENCE", "FRONTEND")}
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("REDIS_URL", "GATEWAY_ADMIN_KEY")},
        **{f"{name}_PORT": str(port) for name, port in ports.items()},
        **{f"{name.upper()}_DIR": str(folder / name) for name in ("data", "models", "runs")},
        "QUEUE_PORT": str(free_port()),
        "START_TIMEOUT_S": str(START_LIMIT_S),
        "TRAINER_DEVICE": "cpu",
    }
    command = [sys.executable, "-m", "scripts.up"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as up:
        try:
            announcement = read_announcement(up)
            gateway, page = (f"http://127.0.0.1:{ports[name]}" for name in ("GATEWAY", "FRONTEND"))
            yield RunningStack(up, gateway, page, folder, announcement)
        finally:
            processes = psutil.Process(up.pid).children(recursive=True) if up.poll() is None else []
            up.send_signal(signal.SIGINT)
            try:
                up.wait(STOP_LIMIT_S)
            finally:
                up.kill()
        left = [process for process in processes if is_alive(process)]
        assert up.returncode == 0
        assert left == []


def read_announcement(up: subprocess.Popen[str]) -> str:
    """Return what the stack prints until it says how to stop it; fails with all of it where it ends before."""
    lines: Queue[str | None] = Queue()

    def read() -> None:
        assert up.stdout is not None
        for line in up.stdout:
            lines.put(line)
        lines.put(None)

    Thread(target=read, daemon=True).start()
    printed = ""
    while "Ctrl-C" not in printed:
        try:
            line = lines.get(timeout=START_LIMIT_S)
        except Empty:
            line = None
        if line is None:
            pytest.fail(f"The stack did not start; it said:\n{printed}")
        printed += line
    return printed


def is_alive(process: psutil.Process) -> bool:
    """Return whether a process runs; one that only waits for its parent's notice does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="session")
def portrait() -> bytes:
    """Give a PNG of a drawn person in which the detector finds one face."""
    file = BytesIO()
    draw_portrait("happy", 3).save(file, format="PNG")
    return file.getvalue()
