"""One worker has a run at a time, by its lease; only silence takes it away, whatever anybody's clock says."""

import threading
import time

import pytest

from tests.s3_server import S3Server
from trainer.errors import StorageError
from trainer.settings import Settings
from trainer.storage import lease as lease_module
from trainer.storage.lease import Lease, LeaseNote, Watch, lease_key
from trainer.storage.store import Storage, open_storage


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "SETTLE_S", 0.2)


def lease(storage: Storage, owner: str, seconds: float = 60.0, run: str = "a") -> Lease:
    return Lease(storage, run, LeaseNote(owner=owner, machine="here", seconds=seconds))


def owner_of(storage: Storage, run: str = "a") -> str | None:
    found = storage.read(lease_key(run))
    assert found is not None
    return LeaseNote.model_validate_json(found[0]).owner


def watch(storage: Storage) -> Watch:
    return Watch(storage, longest_gap_s=60)


def holder(watch: Watch, storage: Storage) -> LeaseNote | None:
    return watch.holder("a", storage.files("runs/a/").get("lease.json"))


def test_a_lease_is_one_workers_until_it_is_freed(storage: Storage) -> None:
    first, second = lease(storage, "first"), lease(storage, "second")
    assert first.take()
    assert not second.take()
    assert first.renew()
    first.free()
    assert second.take()
    assert owner_of(storage) == "second"
    assert not first.renew()
    assert not first.due


@pytest.mark.parametrize("freed_before", [False, True], ids=["never had", "freed"])
def test_of_many_that_ask_at_once_one_gets_it(
    freed_before: bool, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "SETTLE_S", 1.0)
    if freed_before:
        before = lease(storage, "before")
        assert before.take()
        before.free()
    leases = [lease(storage, f"worker {number}") for number in range(8)]
    got: list[Lease] = []
    begin = threading.Barrier(len(leases))

    def ask(lease: Lease) -> None:
        begin.wait()
        if lease.take():
            got.append(lease)

    threads = [threading.Thread(target=ask, args=(each,)) for each in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert got[0].renew()


def test_a_lease_that_is_renewed_is_never_taken_away(storage: Storage) -> None:
    held, seen = lease(storage, "worker", seconds=0.5), watch(storage)
    assert held.take()
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert held.renew()
        note = holder(seen, storage)
        assert note is not None
        assert note.owner == "worker"


def test_a_silent_lease_is_taken_away_and_its_owner_finds_out(storage: Storage) -> None:
    held, seen = lease(storage, "worker", seconds=0.3), watch(storage)
    assert held.take()
    while holder(seen, storage) is not None:
        time.sleep(0.05)
    assert owner_of(storage) is None
    assert not held.sure
    assert not held.renew()
    assert held.lost
    assert lease(storage, "next").take()


def test_a_lease_that_was_written_by_a_clock_of_long_ago_is_as_good_as_any(storage: Storage) -> None:
    note = LeaseNote(owner="worker", machine="there", seconds=60, written="1999-01-01T00:00:00+00:00")
    storage.put(lease_key("a"), note.model_dump_json().encode())
    seen = watch(storage)
    assert holder(seen, storage) == holder(seen, storage) == note


def test_the_time_between_two_looks_that_lie_far_apart_is_no_silence(storage: Storage) -> None:
    held, seen = lease(storage, "worker", seconds=0.3), Watch(storage, longest_gap_s=0.1)
    assert held.take()
    assert holder(seen, storage) is not None
    time.sleep(0.5)  # the storage did not answer, say
    assert holder(seen, storage) is not None


def test_a_lease_that_cannot_be_read_is_nobodys(storage: Storage) -> None:
    storage.put(lease_key("a"), b"{")
    assert holder(watch(storage), storage) is None
    assert lease(storage, "worker").take()


def test_a_renewal_whose_answer_was_lost_is_no_loss(storage: Storage) -> None:
    held, same = lease(storage, "worker"), lease(storage, "worker")
    assert held.take()
    assert same.adopt()
    assert same.renew()  # written in the worker's name, but `held` was not told the new version
    assert held.renew()
    assert not held.lost


def test_an_owner_is_not_sure_for_long_while_the_storage_does_not_answer(
    s3: S3Server, s3_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]
    monkeypatch.setattr(lease_module, "_now_s", lambda: now_s[0])
    held = lease(open_storage(s3_settings), "worker", seconds=1)
    assert held.take()
    assert held.renew()
    now_s[0] += 0.4
    assert held.sure
    with s3.away(), pytest.raises(StorageError):
        held.renew()
    assert held.sure
    now_s[0] += 0.2
    assert not held.sure
    assert not held.lost
    assert held.renew()
    assert held.sure
