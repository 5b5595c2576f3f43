"""The gateway's side: what it deletes goes, what it loses comes back, and it queues what nobody does."""

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from shared.model_folder import list_models
from shared.run_folder import QUEUE_NAMES, RunState
from shared.schemas.jobs import JobState
from tests.s3_server import S3Server
from tests.unit.gateway.folders import write_small_model
from tests.unit.trainer.storage.machines import Home, Machine
from trainer import lost_runs
from trainer.errors import StorageError
from trainer.settings import Settings
from trainer.storage import lease as lease_module
from trainer.storage import lost
from trainer.storage import sync as sync_module
from trainer.storage.lease import RENEWALS, Lease, LeaseNote, lease_key
from trainer.storage.loan import lent
from trainer.storage.store import open_storage
from trainer.storage.sync import Sync
from trainer.worker import work


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "SETTLE_S", 0.1)
    monkeypatch.setattr(sync_module, "LOST_EVERY_S", 0)
    monkeypatch.setattr(lost_runs, "SETTLE_SECONDS", 0)
    monkeypatch.setattr(lost, "TAKING_S", 0)


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Put the root logger back, which the commands set up for a process of their own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def queued(queue_url: str) -> list[str]:
    connection = Redis.from_url(queue_url)
    return [job.decode() for name in QUEUE_NAMES for job in connection.lrange(f"rq:queue:{name}", 0, -1)]


def lease_of(home: Home, run_id: str) -> LeaseNote:
    """Return the lease of a run that somebody has, or has had."""
    found = open_storage(home.settings).read(lease_key(run_id))
    assert found is not None
    return LeaseNote.model_validate_json(found[0])


def test_a_run_that_the_gateway_deletes_goes_from_the_storage(home: Home, sync: Sync) -> None:
    run, other = home.submit(), home.submit()
    sync.round()
    shutil.rmtree(run.path)
    sync.round()
    assert open_storage(home.settings).folders("runs/") == [other.id]


def test_what_was_fetched_of_a_run_while_the_gateway_deleted_it_goes_too(home: Home, sync: Sync) -> None:
    run = home.submit()
    sync.round()
    shutil.rmtree(run.path)
    run.path.mkdir()
    (run.path / "log.txt").touch()
    sync.round()
    assert not run.path.exists()
    assert open_storage(home.settings).folders("runs/") == []


def test_a_run_that_was_fetched_in_part_before_a_crash_is_fetched_whole(home: Home, sync: Sync, queue_url: str) -> None:
    run = home.submit()
    sync.round()
    shutil.rmtree(home.runs)
    run.path.mkdir(parents=True)
    (run.path / "history.jsonl").touch()
    home.sync(queue_url).round()
    assert run.state().state == JobState.QUEUED
    assert len(run.history()) == 1


def test_a_lost_disk_gets_its_runs_and_their_models_back(home: Home, sync: Sync, queue_url: str) -> None:
    run = home.submit()
    model = home.finish(run)
    sync.round()
    before = run.history()
    shutil.rmtree(home.runs)
    shutil.rmtree(home.models)
    home.sync(queue_url).round()
    assert run.state().model == model
    assert run.history() == before
    assert [name for name, _ in list_models(home.models)] == [model]


def test_a_restart_puts_nothing_again(home: Home, sync: Sync, queue_url: str) -> None:
    run = home.submit()
    home.finish(run)
    sync.round()
    storage = open_storage(home.settings)
    before = storage.files("")
    home.sync(queue_url).round()
    assert storage.files("") == before


def test_a_version_that_was_removed_here_does_not_come_back(home: Home, sync: Sync) -> None:
    model = home.finish(home.submit())
    sync.round()
    shutil.rmtree(home.models / model)
    sync.round()
    assert list(list_models(home.models)) == []


def test_a_version_that_is_not_whole_is_not_put(home: Home, sync: Sync) -> None:
    whole, altered = write_small_model(home.models, "1").id, write_small_model(home.models, "2").id
    (home.models / altered / "model.onnx").write_text("altered")
    sync.round()
    assert list(open_storage(home.settings).files("models/")) == [
        f"{whole}/card.json",
        f"{whole}/model.onnx",
        f"{whole}/weights.safetensors",
    ]


def test_a_folder_of_another_name_keeps_nothing_from_the_storage(home: Home, sync: Sync) -> None:
    odd = home.models / "full" / "6 (copy)"
    odd.mkdir(parents=True)
    (odd / "card.json").write_text("{}")
    model = write_small_model(home.models, "1").id
    sync.round()
    assert open_storage(home.settings).exists(f"models/{model}/card.json")


def test_a_version_that_was_still_being_copied_is_put_once_it_is_whole(home: Home, sync: Sync) -> None:
    model = write_small_model(home.models, "1").id
    network = home.models / model / "model.onnx"
    content = network.read_bytes()
    network.unlink()
    sync.round()
    assert not open_storage(home.settings).exists(f"models/{model}/card.json")
    network.write_bytes(content)
    sync.round()
    assert open_storage(home.settings).exists(f"models/{model}/card.json")


def test_nobody_elsewhere_sees_that_a_run_has_finished_before_its_version_is_there(home: Home, sync: Sync) -> None:
    run = home.submit()
    model = home.finish(run)
    network = home.models / model / "model.onnx"
    content = network.read_bytes()
    network.write_text("altered")
    sync.round()
    storage = open_storage(home.settings)
    assert not storage.exists(f"runs/{run.id}/state.json")
    network.write_bytes(content)
    sync.round()
    assert storage.exists(f"models/{model}/card.json")
    assert storage.exists(f"runs/{run.id}/state.json")


def test_a_run_whose_worker_lives_is_not_queued_again(home: Home, sync: Sync, worker: Machine, queue_url: str) -> None:
    run = home.submit()
    sync.round()
    assert queued(queue_url) == [run.id]  # nobody had queued it
    Redis.from_url(queue_url).flushdb()
    with lent(run.id, worker.settings, "worker", lambda: False):
        worker.train(run)
        while (lease := lease_of(home, run.id)).renewals < 2 * RENEWALS:  # for twice as long as a silent one has it
            assert lease.owner == "worker"
            sync.round()
        assert run.state().state == JobState.RUNNING
        assert queued(queue_url) == []


def test_a_run_whose_worker_died_is_queued_again_once(home: Home, sync: Sync, queue_url: str) -> None:
    run = home.submit()
    run.set_state(RunState(state=JobState.RUNNING))
    dead = LeaseNote(owner="dead", machine="there", seconds=0.5)
    assert Lease(open_storage(home.settings), run.id, dead).take()
    sync.round()
    assert run.is_lent()
    assert queued(queue_url) == []
    while not queued(queue_url):
        sync.round()
    sync.round()
    assert queued(queue_url) == [run.id]
    assert run.state().state == JobState.INTERRUPTED
    assert not run.is_lent()


def test_a_run_that_waited_is_queued_once_what_it_waits_for_has_finished_elsewhere(
    home: Home, sync: Sync, worker: Machine, queue_url: str
) -> None:
    base = home.submit()
    waits = home.submit(kind="fine-tune", base_model=f"run:{base.id}")
    sync.round()
    assert queued(queue_url) == [base.id]
    Redis.from_url(queue_url).flushdb()
    with lent(base.id, worker.settings, "worker", lambda: False):
        worker.finish(base)
    sync.round()
    sync.round()
    assert queued(queue_url) == [waits.id]


def test_one_broken_run_keeps_no_other_from_the_storage(home: Home, sync: Sync) -> None:
    broken, run = home.submit(), home.submit()
    (broken.path / "state.json").write_text("{")
    sync.round()
    assert run.id in open_storage(home.settings).folders("runs/")


def test_an_outage_is_an_error_of_the_storage(home: Home, sync: Sync, s3: S3Server) -> None:
    run = home.submit()
    with s3.away(), pytest.raises(StorageError):
        sync.round()
    sync.round()
    assert open_storage(home.settings).exists(f"runs/{run.id}/request.json")


def test_the_command_says_what_it_lacks(tmp_path: Path, queue_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def said(**settings: object) -> str:
        folders = {"runs_dir": tmp_path / "runs", "models_dir": tmp_path / "models"}
        assert sync_module.sync(Settings.model_validate(folders | settings)) == 2
        return capsys.readouterr().out

    assert "Set TRAINER_STORAGE_URL" in said(redis_url=queue_url)
    assert "TRAINER_STORAGE_URL 'here' cannot be used" in said(redis_url=queue_url, storage_url="here")
    with sync_module._only_one(tmp_path / "runs"):
        assert "Another `python -m trainer sync`" in said(redis_url=queue_url, storage_url=f"file://{tmp_path}/there")


def test_a_worker_that_would_know_nothing_of_leases_is_refused_beside_the_gateway(
    home: Home, sync: Sync, queue_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    without = home.settings.model_copy(update={"storage_url": None, "redis_url": queue_url})
    assert work(without) == 2
    assert "Set TRAINER_STORAGE_URL as for `python -m trainer sync`" in capsys.readouterr().out


def test_a_run_that_is_lent_is_not_done_here(home: Home) -> None:
    from trainer.runs import execute

    run = home.submit()
    (run.path / "lease.json").write_text("{}")
    assert execute(run, home.settings) == RunState(state=JobState.QUEUED)
