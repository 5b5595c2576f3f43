"""The gateway over two real inference services: both work, and the death of one is not noticed by those who ask."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import requests

from scripts.processes import free_port
from tests.integration.service_process import ROOT, running_service
from tests.unit.inference.small_models import write_five

FACE = (ROOT / "services" / "frontend" / "samples" / "tiny-face-48x48.png").read_bytes()
AT_A_TIME = 8
PATIENCE_S = 120
"""How long to wait for what happens soon, on however slow a machine."""


@dataclass
class RunningReplica:
    """An inference service on a port of its own, which can be killed and started again there."""

    folder: Path
    stack: ExitStack
    port: int = field(default_factory=free_port)
    logs: list[Path] = field(default_factory=list)
    pid: int = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, with a new log."""
        self.logs.append(self.folder / f"inference-{self.port}-{len(self.logs)}.log")
        settings = {"INFERENCE_PORT": str(self.port), "INFERENCE_MODELS_DIR": str(self.folder / "models")}
        process = self.stack.enter_context(running_service("inference", settings, self.url, self.logs[-1]))
        self.pid = process.pid

    def kill(self) -> None:
        """End gunicorn and its workers at once."""
        processes = self._processes()
        for process in processes:
            process.kill()
        psutil.wait_procs(processes)

    def suspend(self) -> None:
        """Stop gunicorn and its workers where they are; the kernel goes on taking connections for them."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        """Let them go on."""
        for process in self._processes():
            process.resume()

    def _processes(self) -> list[psutil.Process]:
        master = psutil.Process(self.pid)
        return [master, *master.children(recursive=True)]

    def predictions(self) -> int:
        """Return how many predictions it answered since its last start, by its log."""
        lines = [json.loads(line) for line in self.logs[-1].read_text().splitlines() if line.startswith("{")]
        return sum(line.get("path") == "/v1/predict" and line["status"] == 200 for line in lines)


@dataclass(frozen=True)
class Stack:
    """A gateway and the two replicas behind it."""

    url: str
    first: RunningReplica
    second: RunningReplica

    def predict(self) -> requests.Response:
        """Ask the gateway what is on a face."""
        form = {"detect": "never", "models": "full"}
        return requests.post(f"{self.url}/v1/predictions", files={"images": FACE}, data=form, timeout=60)


@pytest.fixture
def stack(tmp_path: Path, queue_url: str) -> Iterator[Stack]:
    """Serve two replicas over one models folder, and a gateway."""
    write_five(tmp_path / "models")
    with ExitStack() as stack:
        first, second = RunningReplica(tmp_path, stack), RunningReplica(tmp_path, stack)
        first.start()
        second.start()
        port = free_port()
        environment = {
            "GATEWAY_PORT": str(port),
            "GATEWAY_INFERENCE_URL": f"{first.url},{second.url}",
            "GATEWAY_REDIS_URL": queue_url,
            "GATEWAY_THREADS": str(AT_A_TIME),
            **{f"GATEWAY_{name.upper()}_DIR": str(tmp_path / name) for name in ("data", "runs", "models")},
        }
        url = f"http://127.0.0.1:{port}"
        stack.enter_context(running_service("gateway", environment, url, tmp_path / "gateway.log"))
        yield Stack(url, first, second)


def test_a_replica_is_killed_under_load_and_every_request_is_answered(stack: Stack) -> None:
    before, total = 40, 160
    reached = threading.Semaphore(0)

    def ask(_: int) -> int:
        status = stack.predict().status_code
        reached.release()
        return status

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        statuses = [pool.submit(ask, number) for number in range(total)]
        for _ in range(before):
            assert reached.acquire(timeout=PATIENCE_S)
        shares = (stack.first.predictions(), stack.second.predictions())
        stack.first.kill()
        answered = [status.result(PATIENCE_S) for status in statuses]

    assert min(shares) >= before // 4, "both replicas get requests"
    assert answered == [200] * total
    assert stack.second.predictions() > total // 2, "the other one takes over"
    assert requests.get(f"{stack.url}/readyz", timeout=60).status_code == 200

    stack.first.start()
    give_up_s = time.monotonic() + PATIENCE_S
    while not stack.first.predictions():
        assert time.monotonic() < give_up_s, "the replica is back but gets no requests"
        assert stack.predict().status_code == 200
        time.sleep(0.1)


def test_a_replica_that_hangs_under_load_costs_no_request_and_gets_some_again_once_it_goes_on(stack: Stack) -> None:
    before, total = 20, 80
    reached = threading.Semaphore(0)

    def ask(_: int) -> int:
        status = stack.predict().status_code
        reached.release()
        return status

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        statuses = [pool.submit(ask, number) for number in range(total)]
        for _ in range(before):
            assert reached.acquire(timeout=PATIENCE_S)
        stack.first.suspend()
        try:
            answered = [status.result(PATIENCE_S) for status in statuses]
        finally:
            stack.first.resume()
    assert answered == [200] * total

    so_far, give_up_s = stack.first.predictions() + AT_A_TIME, time.monotonic() + PATIENCE_S
    while stack.first.predictions() <= so_far:  # more than those that waited in it
        assert time.monotonic() < give_up_s, "the replica goes on but gets no requests"
        assert stack.predict().status_code == 200
        time.sleep(0.1)


def test_no_replica_left_is_said_and_one_that_returns_is_found(stack: Stack) -> None:
    stack.first.kill()
    stack.second.kill()

    refused, ready = stack.predict(), requests.get(f"{stack.url}/readyz", timeout=60)
    stack.second.start()
    answered = stack.predict()

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "inference_unavailable")
    assert refused.headers["Retry-After"] == "5"
    assert (ready.status_code, ready.json()["reason"]) == (
        503,
        "inference: none of its 2 replicas can serve: it does not answer",
    )
    assert answered.status_code == 200
