"""Storages of three kinds: S3 over HTTP, a folder (which cannot replace conditionally), and memory."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import CREDENTIALS, S3Server
from tests.unit.trainer.storage.machines import Home, Machine
from trainer.settings import Settings
from trainer.storage.store import Storage, open_storage
from trainer.storage.sync import Sync


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3_settings(s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a machine whose storage is an empty folder of a bucket."""
    for name, value in (CREDENTIALS | s3.environment(secrets.token_hex(4))).items():
        monkeypatch.setenv(name, value)
    return Settings(
        runs_dir=tmp_path / "runs", models_dir=tmp_path / "models", storage_seconds=0.1, storage_lease_seconds=2
    )


@pytest.fixture(params=["s3", "file", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Each kind of storage in turn, empty."""
    if request.param == "s3":
        return open_storage(request.getfixturevalue("s3_settings"))
    return open_storage(
        Settings(storage_url={"file": f"file://{tmp_path}/there", "memory": "memory:///"}[request.param])
    )


@pytest.fixture
def home(s3_settings: Settings, tmp_path: Path) -> Home:
    return Home(_settings_in(s3_settings, tmp_path / "home"))


@pytest.fixture
def worker(s3_settings: Settings, tmp_path: Path) -> Machine:
    return Machine(_settings_in(s3_settings, tmp_path / "worker"))


@pytest.fixture
def other_worker(s3_settings: Settings, tmp_path: Path) -> Machine:
    return Machine(_settings_in(s3_settings, tmp_path / "other worker"))


@pytest.fixture
def sync(home: Home, queue_url: str) -> Sync:
    return home.sync(queue_url)


def _settings_in(settings: Settings, folder: Path) -> Settings:
    return settings.model_copy(update={"runs_dir": folder / "runs", "models_dir": folder / "models"})
