"""Which side of a run is right about a file, and that both become the same."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.run_folder import DEATHS_FILE, RunFolder, RunState
from shared.schemas.jobs import JobRequest, JobState
from trainer.storage import files
from trainer.storage.decisions import Holder, Known, Step, decide
from trainer.storage.files import GATEWAYS, in_order, is_mirrored, stamps
from trainer.storage.mirror import Mirror
from trainer.storage.store import Item, Storage

NAMES = st.sampled_from(["request.json", "state.json", "cancel", "log.txt", "deaths"])
HERE = st.none() | st.tuples(st.integers(0, 2), st.integers(0, 2))
THERE = st.none() | st.builds(Item, size=st.integers(0, 2), version=st.sampled_from("abc"))
KNOWN = st.none() | st.builds(Known, version=st.sampled_from("abc"), mtime_ns=st.integers(0, 2), size=st.integers(0, 2))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", JobRequest(dataset="drawn", view="full"), run_id="a-run")


def mirror(storage: Storage, run: RunFolder) -> Mirror:
    """Return a mirror that knows what both sides are: they are the same."""
    made = Mirror(storage, run.path)
    made.reconcile({}, Holder.NOBODY)
    return made


def meet(mirror: Mirror, holder: Holder = Holder.NOBODY) -> None:
    mirror.reconcile(mirror.listed(), holder)


def elsewhere(mirror: Mirror, folder: Path) -> Mirror:
    """Return the mirror of a worker with a folder of its own, which has fetched the run."""
    made = Mirror(mirror._storage, folder / mirror.folder.name)
    made.fetch_all()
    return made


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in stamps(folder)}


def write(folder: Path, name: str, text: str) -> None:
    """Write a file whose time is surely another one than before."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(stamps(folder)[name][0], stamps(folder)[name][0] + 1 + len(text)))


@given(NAMES, HERE, THERE, KNOWN, st.sampled_from(Holder))
def test_nothing_here_is_lost_but_the_count_of_deaths(
    name: str, here: tuple[int, int] | None, there: Item | None, known: Known | None, holder: Holder
) -> None:
    step = decide(name, here, there, known, holder)
    assert step is not Step.REMOVE_HERE or (name == DEATHS_FILE and there is None and here is not None)
    assert step is not Step.FETCH or there is not None
    assert step is not Step.PUT or here is not None
    if name in GATEWAYS and here is not None:
        assert step in (Step.PUT, Step.NOTHING)
    if holder is Holder.ELSEWHERE and name not in GATEWAYS:
        assert step not in (Step.PUT, Step.REMOVE_THERE)


@given(NAMES, HERE, THERE, st.sampled_from(Holder))
def test_what_is_the_same_on_both_sides_is_left_alone(
    name: str, here: tuple[int, int] | None, there: Item | None, holder: Holder
) -> None:
    known = Known(version=there.version, mtime_ns=here[0], size=here[1]) if here and there else None
    if (here is None) == (there is None):
        assert decide(name, here, there, known, holder) is Step.NOTHING


@pytest.mark.parametrize(
    ("name", "here", "known", "holder", "step"),
    [
        ("state.json", (2, 2), Known(version="a", mtime_ns=1, size=1), Holder.HOME, Step.PUT),
        ("state.json", (1, 1), Known(version="a", mtime_ns=1, size=1), Holder.HOME, Step.FETCH),
        ("state.json", (2, 2), Known(version="a", mtime_ns=1, size=1), Holder.NOBODY, Step.FETCH),
        ("cancel", (2, 2), None, Holder.NOBODY, Step.PUT),
        ("cancel", (2, 2), None, Holder.ELSEWHERE, Step.PUT),
        ("request.json", None, None, Holder.NOBODY, Step.FETCH),
    ],
    ids=[
        "both, at home",
        "there alone, though at home",
        "both, at nobody",
        "both, the gateway's",
        "both, the gateway's, of a run elsewhere",
        "there alone, though the gateway's",
    ],
)
def test_of_a_file_that_has_changed_there_who_is_right_is_brought(
    name: str, here: tuple[int, int] | None, known: Known | None, holder: Holder, step: Step
) -> None:
    assert decide(name, here, Item(size=3, version="b"), known, holder) is step


@pytest.mark.parametrize(
    "name", ["../other/state.json", "/etc/passwd", ".hidden", "checkpoints/.step-1", "lock", "reserve", "lease.json",
             "export/model.onnx"]
)  # fmt: skip
def test_a_file_of_this_machine_alone_or_outside_the_folder_is_not_mirrored(name: str) -> None:
    assert not is_mirrored(name)


def test_what_a_file_speaks_of_travels_before_it() -> None:
    order = [
        "log.txt",
        "start.safetensors",
        "best.safetensors",
        "checkpoints/step-2",
        "checkpoints/step-1",
        "state.json",
        "request.json",
    ]
    assert in_order(sorted(order)) == order


def test_a_new_run_is_in_the_storage_as_it_is_here(storage: Storage, run: RunFolder, tmp_path: Path) -> None:
    here = mirror(storage, run)
    assert content(elsewhere(here, tmp_path / "there").folder) == content(run.path)


def test_what_a_worker_elsewhere_writes_arrives_and_its_weights_once_asked_for(
    storage: Storage, run: RunFolder, tmp_path: Path
) -> None:
    here = mirror(storage, run)
    worker = elsewhere(here, tmp_path / "there")
    for step in range(1, 5):
        write(worker.folder, "best.safetensors", "x" * step)
        write(worker.folder, f"checkpoints/step-{step}.safetensors", "x" * step)
        (worker.folder / "checkpoints" / f"step-{step - 2}.safetensors").unlink(missing_ok=True)
        write(worker.folder, "progress.json", f"{step}")
        RunFolder(worker.folder).set_state(RunState(state=JobState.RUNNING))
        worker.put_changes()
        meet(here, Holder.ELSEWHERE)
        assert (run.path / "progress.json").read_text() == f"{step}"
        assert not (run.path / "best.safetensors").exists() or step > 2
        if step > 1:
            here.fetch_weights(here.listed())
            assert content(run.path) == content(worker.folder)


def test_checkpoints_that_vanish_from_the_storage_stay_here(storage: Storage, run: RunFolder) -> None:
    for step in range(3):
        write(run.path, f"checkpoints/step-{step}.safetensors", "x")
    here = mirror(storage, run)
    here.put_weights(here.listed())
    storage.delete([f"{here.prefix}checkpoints/step-{step}.safetensors" for step in (0, 1)])
    storage.delete([f"{here.prefix}state.json"])
    here.fetch_weights(here.listed())
    meet(here)
    assert len(list((run.path / "checkpoints").iterdir())) == 3
    assert "state.json" in here.listed()


def test_the_weights_of_this_machine_take_the_place_of_those_in_the_storage(
    storage: Storage, run: RunFolder, tmp_path: Path
) -> None:
    here = mirror(storage, run)
    worker = elsewhere(here, tmp_path / "there")
    write(worker.folder, "checkpoints/step-1.safetensors", "old")
    worker.put_changes()
    write(run.path, "best.safetensors", "x")
    write(run.path, "checkpoints/step-2.safetensors", "new")
    here.put_weights(here.listed())
    assert content(elsewhere(here, tmp_path / "next").folder) == content(run.path)


def test_a_cancel_mark_goes_there_and_is_withdrawn_there_while_a_worker_elsewhere_has_the_run(
    storage: Storage, run: RunFolder
) -> None:
    here = mirror(storage, run)
    run.ask_to_cancel()
    meet(here, Holder.ELSEWHERE)
    assert "cancel" in here.listed()
    run.withdraw_cancel()
    meet(here, Holder.ELSEWHERE)
    assert "cancel" not in here.listed()


def test_the_worker_that_has_the_run_is_right_about_its_state(storage: Storage, run: RunFolder, tmp_path: Path) -> None:
    here = mirror(storage, run)
    worker = elsewhere(here, tmp_path / "there")
    RunFolder(worker.folder).set_state(RunState(state=JobState.RUNNING))
    run.set_state(RunState(state=JobState.INTERRUPTED))
    meet(here, Holder.ELSEWHERE)
    assert run.state().state == JobState.INTERRUPTED  # not there yet
    worker.put_changes()
    meet(here, Holder.ELSEWHERE)
    assert run.state().state == JobState.RUNNING


def test_a_state_that_was_put_meanwhile_is_not_written_over(storage: Storage, run: RunFolder, tmp_path: Path) -> None:
    here = mirror(storage, run)
    worker = elsewhere(here, tmp_path / "there")
    seen = here.listed()
    RunFolder(worker.folder).set_state(RunState(state=JobState.RUNNING))
    worker.put_changes()
    run.set_state(RunState(state=JobState.QUEUED, message="resumed"))
    here.reconcile(seen, Holder.NOBODY)  # by what was listed before the worker had the run
    meet(here, Holder.ELSEWHERE)
    assert run.state().state == JobState.RUNNING


def test_what_a_worker_of_this_machine_writes_is_put(storage: Storage, run: RunFolder) -> None:
    here = mirror(storage, run)
    write(run.path, "log.txt", "began")
    run.set_state(RunState(state=JobState.RUNNING))
    meet(here, Holder.HOME)
    assert Mirror(storage, run.path).listed().keys() == stamps(run.path).keys()
    found = storage.read(f"{here.prefix}state.json")
    assert found is not None
    assert found[0] == (run.path / "state.json").read_bytes()


def test_an_end_is_not_put_before_its_time(storage: Storage, run: RunFolder, tmp_path: Path) -> None:
    worker = elsewhere(mirror(storage, run), tmp_path / "there")
    RunFolder(worker.folder).set_state(RunState(state=JobState.FINISHED, model="a/b"))
    write(worker.folder, "log.txt", "done")
    worker.put_changes(lambda content: b"finished" not in content)
    found = storage.read(f"{worker.prefix}state.json")
    assert found is not None
    assert b"queued" in found[0]
    assert storage.exists(f"{worker.prefix}log.txt")
    worker.put_changes()
    assert b"finished" in (storage.read(f"{worker.prefix}state.json") or (b"", ""))[0]


def test_weights_stay_as_they_are_there_until_it_is_their_turn(
    storage: Storage, run: RunFolder, tmp_path: Path
) -> None:
    worker = elsewhere(mirror(storage, run), tmp_path / "there")
    write(worker.folder, "checkpoints/step-1.safetensors", "x")
    write(worker.folder, "best.safetensors", "x")
    assert worker.put_changes()
    before = worker.listed()
    (worker.folder / "checkpoints" / "step-1.safetensors").unlink()
    write(worker.folder, "checkpoints/step-2.safetensors", "xx")
    write(worker.folder, "best.safetensors", "xx")
    assert not worker.put_changes(weights_too=False)
    assert worker.listed() == before
    assert worker.put_changes()
    assert worker.listed().keys() == stamps(worker.folder).keys()


def test_the_rest_stays_as_it_is_there_once_the_run_is_anothers(
    storage: Storage, run: RunFolder, tmp_path: Path
) -> None:
    worker = elsewhere(mirror(storage, run), tmp_path / "there")
    write(worker.folder, "progress.json", "1")
    worker.put_changes()
    (worker.folder / "progress.json").unlink()
    write(worker.folder, "best.safetensors", "x")
    write(worker.folder, "checkpoints/step-1.safetensors", "x")
    answers = iter([True, False, False])
    assert not worker.put_changes(may=lambda: next(answers))
    assert {"best.safetensors", "progress.json"} <= worker.listed().keys()
    assert "checkpoints/step-1.safetensors" not in worker.listed()
    assert worker.put_changes()
    assert worker.listed().keys() == stamps(worker.folder).keys()


def test_a_checkpoint_never_comes_before_the_best_weights_that_it_knows_of(
    storage: Storage, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = elsewhere(mirror(storage, run), tmp_path / "there")
    for name in ("best.safetensors", "checkpoints/step-1.safetensors"):
        write(worker.folder, name, "x")
    worker.put_changes()
    seen: list[str] = []

    def judged_meanwhile(name: str) -> bool:
        """Let an epoch end while the folder is looked through, once its best weights were."""
        is_next = seen[-1:] == ["best.safetensors"] and seen.count("best.safetensors") == 1
        seen.append(name)
        if is_next:
            write(worker.folder, "best.safetensors", "better")
            write(worker.folder, "checkpoints/step-2_validated.safetensors", "xx")
        return is_mirrored(name)

    monkeypatch.setattr(files, "is_mirrored", judged_meanwhile)
    worker.put_changes()
    assert "checkpoints/step-2_validated.safetensors" not in worker.listed()
    worker.put_changes()
    assert "checkpoints/step-2_validated.safetensors" in worker.listed()
    assert (storage.read(f"{worker.prefix}best.safetensors") or (b"", ""))[0] == b"better"


def test_a_folder_that_is_gone_at_the_worker_takes_nothing_from_the_storage(
    storage: Storage, run: RunFolder, tmp_path: Path
) -> None:
    worker = elsewhere(mirror(storage, run), tmp_path / "there")
    before = worker.listed()
    shutil.rmtree(worker.folder)
    assert not worker.put_changes()
    assert worker.listed() == before


def test_a_run_of_a_lost_disk_is_fetched_whole(storage: Storage, run: RunFolder, tmp_path: Path) -> None:
    write(run.path, "log.txt", "x")
    here = mirror(storage, run)
    again = Mirror(storage, tmp_path / "new disk" / run.id)
    meet(again)
    assert content(again.folder) == content(here.folder)


def test_what_a_dead_process_left_is_put_by_another_without_what_is_there_already(
    storage: Storage, run: RunFolder, tmp_path: Path
) -> None:
    worker = elsewhere(mirror(storage, run), tmp_path / "there")
    write(worker.folder, "checkpoints/step-1.safetensors", "x")
    write(worker.folder, "deaths", "0")
    worker.put_changes()
    before = worker.listed()["checkpoints/step-1.safetensors"].version
    (worker.folder / "deaths").unlink()
    write(worker.folder, "checkpoints/step-2.safetensors", "xx")
    RunFolder(worker.folder).set_state(RunState(state=JobState.INTERRUPTED))
    other = Mirror(storage, worker.folder)
    other.recall()
    other.put_changes()
    there = other.listed()
    assert there.keys() == stamps(worker.folder).keys()
    assert there["checkpoints/step-1.safetensors"].version == before
