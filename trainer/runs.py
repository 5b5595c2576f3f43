"""One job from its request to a model version: load, train, evaluate, export, register. For commands and the queue.

Everything is written to the run's folder, which can be handed to `execute` again after any kind of stop.
"""

import fcntl
import json
import logging
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from shared.errors import HalffaceError
from shared.masking import STUDY_VIEWS, View
from shared.model_folder import WEIGHTS_FILE, Card, read_card, write_atomically, write_model
from shared.preprocessing import InputSpec
from shared.run_folder import RunFolder, RunState, utc_now
from shared.schemas import JobProgress, JobRequest, JobState
from trainer.checkpoints import save_weights
from trainer.data import Dataset, load_dataset
from trainer.errors import Stopped
from trainer.evaluation import Forward, logits_of, measure
from trainer.export import export_model, onnx_forward
from trainer.network import build_network, load_base
from trainer.settings import Settings
from trainer.training import Hooks, Plan, choose_device, train

log = logging.getLogger(__name__)

PROTOCOL = (
    "All images of the test split, each seen once by the exported file, nothing chosen on them; the epoch was chosen "
    "on a validation part of the training split, fixed by a hash of the pixels; training images that stand in the test "
    "split too, or nearly so (see data.left_out), were left out; no test-time augmentation."
)
INTENDED_USE = (
    "Research on how much of an emotion can be read from part of a face. Labels are guesses of annotators at posed and "
    "found photographs, not what a person feels. Not for decisions about people: hiring, policing, schools, insurance, "
    "medicine."
)
ORIGIN_FILE = "origin.json"
PROGRESS_SECONDS = 1.0
STOP_POLL_SECONDS = 0.5


@contextmanager
def only_one(run: RunFolder) -> Iterator[bool]:
    """Hold the run's lock; yield False where another process trains it. The system frees it when a process dies."""
    with (run.path / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def execute(
    run: RunFolder,
    settings: Settings,
    stop_asked: Callable[[], bool] = lambda: False,
    show: Callable[[JobProgress], None] = lambda progress: None,
) -> RunState:
    """Do the run, or go on with it from its last checkpoint, and leave its end in state.json.

    Args:
        run: a folder with a request.
        settings: where data and models lie, and what to train on.
        stop_asked: true when this process has to end: the run is then `interrupted` and will be resumed.
        show: told how far the training is, at most once a second.

    Returns:
        The state that it ended in; its message says why where that is not `finished`.
    """
    with only_one(run) as mine:
        if not mine or run.state().state in (JobState.FINISHED, JobState.CANCELLED):
            return run.state()
        started = run.state().started or utc_now()
        if run.cancel_asked():
            run.set_state(RunState(state=JobState.CANCELLED, started=run.state().started, ended=utc_now()))
            return run.state()
        run.set_state(RunState(state=JobState.RUNNING, started=started))
        try:
            card = _do(run, settings, _hooks(run, stop_asked, show))
            end = RunState(state=JobState.FINISHED, model=card.id)
        except Stopped as error:
            state = JobState.CANCELLED if run.cancel_asked() else JobState.INTERRUPTED
            end = RunState(state=state, message=str(error))
        except HalffaceError as error:
            end = RunState(state=JobState.FAILED, message=str(error))
        except torch.OutOfMemoryError:
            end = RunState(state=JobState.FAILED, message="The device ran out of memory; choose a smaller batch size.")
        except Exception:
            log.exception("run %s failed", run.id)
            end = RunState(state=JobState.FAILED, message="Something unexpected went wrong; the log has the details.")
        run.set_state(end.model_copy(update={"started": started, "ended": utc_now()}))
        return run.state()


def _do(run: RunFolder, settings: Settings, hooks: Hooks) -> Card:
    request, device = run.request().request, choose_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    run.set_progress(run.progress().model_copy(update={"phase": "loading"}))
    note_origin(run, device)
    data = load_dataset(
        settings.data_dir / request.dataset,
        size=request.settings.size,
        validation_share=request.settings.validation_share,
        duplicate_similarity=request.settings.duplicate_similarity,
    )
    torch.manual_seed(request.settings.seed)
    network = build_network(request.settings.architecture, max_pool=request.settings.max_pool)
    if request.base_model:
        load_base(network, request.settings.architecture, request.base_model, settings.models_dir)
    plan = Plan(request.settings, request.view, len(data.train))
    trained = train(plan, data, network, device, run.path, hooks)
    return register(run, request, data, trained, settings.models_dir)


def _hooks(run: RunFolder, stop_asked: Callable[[], bool], show: Callable[[JobProgress], None]) -> Hooks:
    """Return hooks that write progress at most once a second and look for a wish to stop twice a second."""
    last = {"progress": 0.0, "poll": 0.0}

    def progress(value: JobProgress) -> None:
        if time.monotonic() - last["progress"] > PROGRESS_SECONDS:
            last["progress"] = time.monotonic()
            run.set_progress(value)
            show(value)

    def stop() -> bool:
        if time.monotonic() - last["poll"] < STOP_POLL_SECONDS:
            return False
        last["poll"] = time.monotonic()
        return stop_asked() or run.cancel_asked()

    return Hooks(progress, stop)


def register(run: RunFolder, request: JobRequest, data: Dataset, trained: nn.Module, models_dir: Path) -> Card:
    """Export the trained network, measure the exported file on the test split and add it to the models folder.

    Raises:
        ExportError: the exported file does not answer as the network does.
        ModelFolderError: the version cannot be written.
    """
    last = run.progress()
    last = last.model_copy(update={"step": last.steps})  # progress is told once a second, so the end may be untold
    run.set_progress(last.model_copy(update={"phase": "exporting", "eta_s": None}))
    spec = InputSpec(size=request.settings.size)
    path = run.path / "export" / "model.onnx"
    export = export_model(trained, spec, data, request.view, path)
    weights = path.with_name(WEIGHTS_FILE)
    save_weights(weights, trained, half=True)
    run.set_progress(last.model_copy(update={"phase": "evaluating", "eta_s": None}))
    card = {
        "name": request.name or request.view,
        "version": run.id,
        "view": request.view,
        "input": spec,
        "architecture": request.settings.architecture,
        "training": describe_training(run, request),
        "data": data.describe(),
        "metrics": {"protocol": PROTOCOL, "export": export, "test": measure_views(onnx_forward(path), data, spec)},
        "created": utc_now(),
        "intended_use": INTENDED_USE,
    }
    folder = models_dir / card["name"] / run.id  # type: ignore[operator]
    done = read_card(folder) if folder.exists() else None
    result = done or write_model(models_dir, {path.name: path, weights.name: weights}, card)
    run.set_progress(last.model_copy(update={"phase": "done", "eta_s": 0.0}))
    return result


def measure_views(
    forward: Forward, data: Dataset, spec: InputSpec, views: tuple[View, ...] = STUDY_VIEWS
) -> dict[str, Any]:
    """Return view to its figures on the test part (see `trainer.evaluation.measure`)."""
    part = data.test
    return {view.value: measure(logits_of(forward, part.faces, view, spec), part.labels) for view in views}


def describe_training(run: RunFolder, request: JobRequest) -> dict[str, Any]:
    """Return the config, the seed, the code's revision and how the run went, for the card."""
    rows = run.metrics()
    best = max(rows, key=lambda row: row.validation_accuracy, default=None)
    return {
        "request": request.model_dump(mode="json"),
        "run": run.id,
        **json.loads((run.path / ORIGIN_FILE).read_text()),
        "seconds": rows[-1].seconds if rows else None,
        "best_epoch": best.epoch if best else None,
        "validation_accuracy": best.validation_accuracy if best else None,
    }


def note_origin(run: RunFolder, device: torch.device) -> None:
    """Write down, at a run's first start, which code and which kind of machine it began with."""
    path = run.path / ORIGIN_FILE
    if not path.exists():
        origin = {
            "revision": code_revision(),
            "torch": torch.__version__,
            "device": device.type,
            "machine": platform.machine(),
            "cores": os.cpu_count(),
        }
        write_atomically(path, json.dumps(origin, indent=1) + "\n")


def code_revision() -> str | None:
    """Return the git revision of the code, with `+changes` if it differs from it; None outside a checkout."""
    root = Path(__file__).parent.parent
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
