"""A worker with folders of its own takes a run from the storage and brings it back, whatever the storage does."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.model_folder import list_models, read_card, write_active
from shared.run_folder import RunFolder, RunState
from shared.schemas.jobs import JobState
from tests.s3_server import S3Server
from tests.unit.gateway.folders import write_small_model
from tests.unit.trainer.storage.machines import Home, Machine
from trainer.run_lock import only_one
from trainer.storage import lease as lease_module
from trainer.storage import loan as loan_module
from trainer.storage.lease import LeaseNote, lease_key
from trainer.storage.loan import Loan, hand_back, lent
from trainer.storage.models import CUT_OFF_S, put_model
from trainer.storage.store import open_storage
from trainer.storage.sync import Sync


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "SETTLE_S", 0.1)
    monkeypatch.setattr(loan_module, "RETRY_S", 0.1)


def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; the test's time limit ends the wait."""
    while not condition():
        time.sleep(0.02)


def checkpoints(home: Home, run: RunFolder) -> list[str]:
    """Return the run's checkpoints in the storage."""
    return list(open_storage(home.settings).files(f"runs/{run.id}/checkpoints/"))


def never() -> bool:
    return False


def test_a_run_is_done_elsewhere_and_its_model_arrives_whole(home: Home, sync: Sync, worker: Machine) -> None:
    run = home.submit()
    sync.round()
    with lent(run.id, worker.settings, "worker", never) as stop_asked:
        assert stop_asked is not None
        assert worker.copy(run).request() == run.request()
        worker.train(run)
        until(lambda: sync.round() or run.state().state == JobState.RUNNING)
        assert run.is_lent()
        until(lambda: checkpoints(home, run) == ["step-1.safetensors"])
        model = worker.finish(run)
        sync.round()
        assert run.state().state == JobState.RUNNING
        assert not stop_asked()
    sync.round()
    assert run.state() == RunState(state=JobState.FINISHED, model=model)
    assert read_card(home.models / model) == read_card(worker.models / model)
    assert len(run.history()) == 3
    assert not worker.copy(run).path.exists()
    assert checkpoints(home, run) == []  # the model is what remains
    sync.round()
    assert not run.is_lent()


def test_best_weights_that_are_put_alone_do_not_let_the_checkpoint_after_them_wait(
    home: Home, sync: Sync, worker: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loan_module, "WEIGHTS_EVERY_S", 1e9)
    run = home.submit()
    sync.round()
    loan = Loan(run.id, worker.settings.model_copy(update={"storage_lease_seconds": 600}), "worker", never)
    assert loan.take()
    assert loan.fetch()
    (worker.copy(run).path / "best.safetensors").write_text("x")
    loan.put_changes()
    assert open_storage(home.settings).exists(f"runs/{run.id}/best.safetensors")
    worker.train(run, step=1)
    loan.put_changes()
    assert checkpoints(home, run) == ["step-1.safetensors"]
    worker.train(run, step=2)
    loan.put_changes()
    assert checkpoints(home, run) == ["step-1.safetensors"]  # one that comes so soon after another does wait


def test_a_wish_to_cancel_reaches_the_worker(home: Home, sync: Sync, worker: Machine) -> None:
    run = home.submit()
    sync.round()
    with lent(run.id, worker.settings, "worker", never):
        worker.train(run)
        run.ask_to_cancel()
        sync.round()
        until(worker.copy(run).cancel_asked)
        worker.copy(run).set_state(RunState(state=JobState.CANCELLED))
    sync.round()
    assert run.state().state == JobState.CANCELLED
    assert run.cancel_asked()


def test_a_run_that_another_worker_has_is_not_to_be_had(
    home: Home, sync: Sync, worker: Machine, other_worker: Machine
) -> None:
    run = home.submit()
    sync.round()
    with lent(run.id, worker.settings, "worker", never), lent(run.id, other_worker.settings, "other", never) as other:
        assert other is None
        assert not other_worker.copy(run).path.exists()


def test_a_run_that_the_storage_does_not_know_is_not_to_be_had(
    home: Home, sync: Sync, worker: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loan_module, "READY_S", 0.2)
    ended = home.submit()
    ended.set_state(RunState(state=JobState.CANCELLED))
    sync.round()
    for run_id in ("never-was", ended.id):
        with lent(run_id, worker.settings, "worker", never) as stop_asked:
            assert stop_asked is None


def test_a_worker_waits_for_a_run_that_the_queue_knew_first(home: Home, sync: Sync, worker: Machine) -> None:
    run = home.submit()
    looked = 0

    def stop_asked() -> bool:
        nonlocal looked
        looked += 1
        if looked == 2:
            sync.round()
        return False

    with lent(run.id, worker.settings, "worker", stop_asked) as taken:
        assert taken is not None
    assert looked >= 2


def test_nothing_is_to_be_had_while_the_storage_is_away(home: Home, sync: Sync, worker: Machine, s3: S3Server) -> None:
    run = home.submit()
    sync.round()
    with s3.away(), lent(run.id, worker.settings, "worker", never) as stop_asked:
        assert stop_asked is None


def test_an_outage_of_the_storage_stops_no_training_and_the_end_comes_when_it_is_over(
    home: Home, sync: Sync, worker: Machine, s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    run = home.submit()
    sync.round()
    with lent(run.id, worker.settings, "worker", never) as stop_asked:
        worker.train(run)
        with s3.away():
            until(lambda: "the training goes on" in caplog.text)
            (worker.copy(run).path / "metrics.jsonl").write_text("written meanwhile")
            assert stop_asked is not None
            assert not stop_asked()
        until(lambda: "it works again" in caplog.text)
        model = worker.finish(run)
    sync.round()
    assert run.state().model == model
    assert (run.path / "metrics.jsonl").read_text() == "written meanwhile"


def test_a_run_that_cannot_be_brought_back_stays_interrupted_and_goes_on_from_there(
    home: Home,
    sync: Sync,
    worker: Machine,
    s3: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loan_module, "PATIENCE_S", 0.1)
    run = home.submit()
    sync.round()
    with lent(run.id, worker.settings, "worker", never):
        s3.stop()
        worker.train(run, step=7)
        worker.finish(run)
    s3.start()
    kept = worker.copy(run)
    assert kept.state().state == JobState.INTERRUPTED
    assert "storage did not answer" in (kept.state().message or "")
    assert list(list_models(worker.models)) == []  # nobody else knows it: another one of that name may come
    with lent(run.id, worker.settings, "worker", never) as stop_asked:
        assert stop_asked is not None
        assert kept.state().state == JobState.QUEUED
        assert (kept.path / "checkpoints" / "step-7.safetensors").exists()
        kept.set_state(RunState(state=JobState.CANCELLED))
    sync.round()
    assert run.state().state == JobState.CANCELLED
    assert (run.path / "checkpoints" / "step-7.safetensors").exists()


def test_a_run_that_is_fetched_anew_over_what_was_left_here_stays_locked(
    home: Home, sync: Sync, worker: Machine
) -> None:
    run = home.submit()
    sync.round()
    mine = worker.copy(run)
    (mine.path / "export").mkdir(parents=True)
    (mine.path / "metrics.jsonl").touch()
    with only_one(mine), lent(run.id, worker.settings, "worker", never) as stop_asked:  # as the worker's process does
        assert stop_asked is not None
        assert {"request.json", "lock"} <= {path.name for path in mine.path.iterdir()}
        assert not {"export", "metrics.jsonl"} & {path.name for path in mine.path.iterdir()}
        assert mine.has_process()


def test_a_worker_that_has_lost_its_lease_stops_and_brings_nothing(home: Home, sync: Sync, worker: Machine) -> None:
    run = home.submit()
    sync.round()
    storage = open_storage(home.settings)
    with lent(run.id, worker.settings, "worker", never) as stop_asked:
        worker.train(run)
        storage.put(lease_key(run.id), LeaseNote(owner="another").model_dump_json().encode())
        assert stop_asked is not None
        until(stop_asked)
        before = storage.files(f"runs/{run.id}/")
        worker.finish(run)
        worker.train(run, step=9)
    assert storage.files(f"runs/{run.id}/") == before
    assert storage.folders("models/") == []
    assert not worker.copy(run).path.exists()


def test_a_model_that_a_worker_put_before_it_died_is_the_runs_model(home: Home, sync: Sync, worker: Machine) -> None:
    run = home.submit()
    sync.round()
    first = write_small_model(home.models.parent / "dead worker", run.id, metrics={"accuracy": 0.1})
    put_model(open_storage(home.settings), home.models.parent / "dead worker", first.id)
    with lent(run.id, worker.settings, "worker", never):
        worker.finish(run)
    sync.round()
    assert read_card(home.models / first.id) == read_card(worker.models / first.id) == first


def test_a_run_whose_process_died_is_given_back_with_what_it_left(
    home: Home, sync: Sync, worker: Machine, other_worker: Machine
) -> None:
    run = home.submit()
    sync.round()
    dead = lent(run.id, worker.settings, "worker", never)
    dead.__enter__()
    worker.train(run, step=3)
    worker.copy(run).set_state(RunState(state=JobState.INTERRUPTED))
    hand_back(run.id, worker.settings, "somebody else")
    assert worker.copy(run).path.exists()
    hand_back(run.id, worker.settings, "worker")
    dead.__exit__(GeneratorExit, GeneratorExit(), None)  # its threads: a process that dies needs no such thing
    sync.round()
    assert run.state().state == JobState.INTERRUPTED
    assert not worker.copy(run).path.exists()
    with lent(run.id, other_worker.settings, "other", never) as stop_asked:
        assert stop_asked is not None
        assert (other_worker.copy(run).path / "checkpoints" / "step-3.safetensors").exists()


def test_what_a_run_names_comes_with_it(home: Home, sync: Sync, worker: Machine) -> None:
    base = home.submit()
    made = home.finish(base)
    serving = write_small_model(home.models, "serves").id
    write_small_model(home.models, "not-needed")
    named, second = (write_small_model(home.models, version).id for version in ("named", "second"))
    write_active(home.models, {"full": serving})
    teachers = {"teacher": named, "second_teacher": second}
    run = home.submit(kind="fine-tune", base_model=f"run:{base.id}", **teachers, settings={"distill_weight": 0.5})
    sync.round()
    with lent(run.id, worker.settings, "worker", never) as stop_asked:
        assert stop_asked is not None
        assert {name for name, _ in list_models(worker.models)} == {made, serving, named, second}
        assert worker.copy(base).state().model == made
        assert (worker.models / "active.json").read_bytes() == (home.models / "active.json").read_bytes()


def test_a_version_that_a_worker_made_and_never_published_gives_way_to_the_published_one(
    home: Home, sync: Sync, worker: Machine
) -> None:
    base = home.submit()
    published = home.finish(base)
    worker.models.mkdir(parents=True)
    stale = write_small_model(worker.models, base.id, weights=False)
    assert stale.sha256 != read_card(home.models / published).sha256
    cut_off = worker.models / "first" / f".{base.id}.cut"
    cut_off.mkdir()
    long_ago = time.time() - 2 * CUT_OFF_S
    os.utime(cut_off, (long_ago, long_ago))
    run = home.submit(kind="evaluate", model=published)
    sync.round()
    with lent(run.id, worker.settings, "worker", never) as stop_asked:
        assert stop_asked is not None
        assert read_card(worker.models / published) == read_card(home.models / published)
        assert [path.name for path in (worker.models / "first").iterdir()] == [base.id]


def test_a_worker_of_the_gateways_machine_takes_the_lease_and_leaves_the_folder(
    home: Home, sync: Sync, worker: Machine
) -> None:
    run = home.submit()
    sync.round()
    with lent(run.id, home.settings, "at home", never) as stop_asked:
        assert stop_asked is not None
        with lent(run.id, worker.settings, "worker", never) as other:
            assert other is None
        home.train(run)
        sync.round()
        assert not run.is_lent()
        assert (open_storage(home.settings).read(f"runs/{run.id}/state.json") or (b"", ""))[0] == (
            run.path / "state.json"
        ).read_bytes()
        home.finish(run)
    sync.round()
    assert run.state().state == JobState.FINISHED
    with lent(home.submit().id, worker.settings, "worker", lambda: True) as stop_asked:
        assert stop_asked is None  # it has to stop before the run is there


def test_a_worker_of_the_gateways_machine_never_does_again_what_was_done_elsewhere(
    home: Home, sync: Sync, worker: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loan_module, "READY_S", 0.2)
    run = home.submit()
    sync.round()
    with lent(run.id, worker.settings, "worker", never):
        worker.finish(run)
    assert run.state().state == JobState.QUEUED  # nobody has looked at the storage yet
    with lent(run.id, home.settings, "at home", never) as stop_asked:
        assert stop_asked is None
    sync.round()
    with lent(run.id, home.settings, "at home", never) as stop_asked:
        assert stop_asked is not None
        assert run.state().state == JobState.FINISHED


def test_what_was_done_on_the_gateways_machine_is_never_done_again_elsewhere(
    home: Home, sync: Sync, worker: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loan_module, "READY_S", 0.2)
    run = home.submit()
    sync.round()
    with lent(run.id, home.settings, "at home", never):
        model = home.finish(run)
    assert open_storage(home.settings).exists(f"models/{model}/card.json")
    with lent(run.id, worker.settings, "worker", never) as stop_asked:
        assert stop_asked is None
    sync.round()
    assert run.state() == RunState(state=JobState.FINISHED, model=model)


def test_a_run_goes_on_from_the_newest_checkpoint_wherever_it_was_written(
    home: Home, sync: Sync, worker: Machine
) -> None:
    run = home.submit()
    sync.round()
    with lent(run.id, home.settings, "at home", never):
        home.train(run, step=1)
        run.set_state(RunState(state=JobState.INTERRUPTED))
    assert checkpoints(home, run) == []
    sync.round()
    assert checkpoints(home, run) == ["step-1.safetensors"]
    with lent(run.id, worker.settings, "worker", never):
        assert (worker.copy(run).path / "checkpoints" / "step-1.safetensors").exists()
        worker.train(run, step=2)
        worker.copy(run).set_state(RunState(state=JobState.INTERRUPTED))
    sync.round()
    with lent(run.id, home.settings, "at home", never):
        assert sorted(path.name for path in (run.path / "checkpoints").iterdir()) == [
            "step-1.safetensors",
            "step-2.safetensors",
        ]


def test_no_file_of_the_storage_leaves_the_folders(home: Home, sync: Sync, worker: Machine, tmp_path: Path) -> None:
    run = home.submit()
    sync.round()
    storage = open_storage(home.settings)
    storage.put(f"runs/{run.id}/.hidden/state.json", b"x")
    storage.put("models/first/1/card.json", b"{}")
    with lent(run.id, worker.settings, "worker", never):
        assert not (worker.copy(run).path / ".hidden").exists()
        worker.copy(run).set_state(RunState(state=JobState.FINISHED, model="first/1"))
    sync.round()
    assert run.state().state == JobState.QUEUED  # its model is none, so it is not seen as finished
    assert list(list_models(home.models)) == []
