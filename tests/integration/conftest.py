"""Services in processes of their own, over real folders and a real queue server."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from scripts.processes import free_port
from tests.integration.rooms import OwnQueue, Rooms, finished, wait_until, watched, weights_digest
from tests.integration.service_process import running_service
from tests.unit.gateway.folders import write_small_model, write_zip
from tests.unit.inference.small_models import write_five

MAX_REQUEST_BYTES = 200_000
ADMIN_KEY = "hf_testing1_0123456789abcdef0123456789abcdef0123456789abcdef"
"""The first key of the gateways under test."""


@dataclass(frozen=True)
class RunningGateway:
    """A gateway under gunicorn, and what is around it."""

    url: str
    folder: Path
    queue_url: str
    inference_port: int
    log: Path


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, queue_url: str) -> Iterator[RunningGateway]:
    """Serve a gateway over a data set and a model; nothing listens yet where it looks for inference."""
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "data").mkdir()
    write_zip(folder / "data" / "faces.zip")
    write_small_model(folder / "models")
    port, inference_port, log = free_port(), free_port(), folder / "gateway.log"
    environment = {
        "GATEWAY_PORT": str(port),
        "GATEWAY_INFERENCE_URL": f"http://127.0.0.1:{inference_port}",
        "GATEWAY_REDIS_URL": queue_url,
        "GATEWAY_MAX_REQUEST_BYTES": str(MAX_REQUEST_BYTES),
        "GATEWAY_ADMIN_KEY": ADMIN_KEY,
        **{f"GATEWAY_{name.upper()}_DIR": str(folder / name) for name in ("data", "runs", "models")},
    }
    url = f"http://127.0.0.1:{port}"
    with running_service("gateway", environment, url, log):
        yield RunningGateway(url, folder, queue_url, inference_port, log)


@dataclass(frozen=True)
class RunningInference:
    """Inference under gunicorn, and its models folder."""

    url: str
    models: Path
    log: Path


@contextmanager
def running_inference(folder: Path, **settings: str) -> Iterator[RunningInference]:
    """Serve inference over `folder`/models, which may be missing; `settings` without the prefix."""
    port, log, models = free_port(), folder / "inference.log", folder / "models"
    environment = {f"INFERENCE_{name}": value for name, value in settings.items()}
    environment |= {"INFERENCE_PORT": str(port), "INFERENCE_MODELS_DIR": str(models)}
    url = f"http://127.0.0.1:{port}"
    with running_service("inference", environment, url, log):
        yield RunningInference(url, models, log)


@pytest.fixture(scope="module")
def inference_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningInference]:
    """Serve inference with six small networks, one for each slot, and narrow limits."""
    folder = tmp_path_factory.mktemp("inference")
    write_five(folder / "models")
    limits = {"MAX_IMAGES": "4", "MAX_IMAGE_BYTES": "1000000", "MAX_REQUEST_BYTES": "5000000", "MAX_FACES": "40"}
    with running_inference(folder, **limits, THREADS="4") as running:
        yield running


@pytest.fixture(scope="session")
def undisturbed(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory, queue_url: str) -> str:
    """The digest of the weights of a run that nobody disturbed."""
    rooms = Rooms(tmp_path_factory.mktemp("undisturbed"), drawn_dataset.parent, queue_url)
    run = rooms.submit()
    with rooms.worker():
        wait_until(lambda: finished(run), run)
    return weights_digest(rooms.models, run)


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[OwnQueue]:
    """A queue server of the test's own."""
    server = OwnQueue(tmp_path / "queue", free_port())
    yield server
    server.stop()


@pytest.fixture
def rooms(tmp_path: Path, drawn_dataset: Path, queue: OwnQueue) -> Iterator[Rooms]:
    """Folders of the test's own; a model that is not whole, seen at any time, fails the test."""
    rooms = Rooms(tmp_path, drawn_dataset.parent, queue.url)
    with watched(rooms.models):
        yield rooms
