"""One job from its request to its end, for commands and the queue.

Everything is written to the run's folder, which can be handed to `execute` again after any kind of stop.
"""

import contextlib
import errno
import logging
import time
from collections.abc import Callable
from pathlib import Path

import torch

from shared.errors import HalffaceError, RunFolderError
from shared.run_folder import RESERVE_FILE, RunFolder, RunState, utc_now
from shared.schemas.jobs import RUN_PREFIX, TRAINING_KINDS, JobProgress, JobRequest, JobState
from trainer.advice import memory_advice
from trainer.devices import choose_device
from trainer.distributed import ALONE, Group
from trainer.errors import BaseModelError, Stopped
from trainer.machine import RESERVE_BYTES
from trainer.registration import note_origin
from trainer.run_lock import only_one
from trainer.settings import Settings
from trainer.tasks import TASKS
from trainer.training import Hooks
from trainer.work import Work

log = logging.getLogger(__name__)

NO_MEMORY = ("can't allocate memory", "DefaultCPUAllocator", "Failed to allocate memory")
"""What torch says of it on a CPU, in any of its two ways, and ONNX Runtime."""
NOT_SAVED = "No checkpoint can be written now: make room on the disk, or a stop loses what came after the last one."
UNEXPECTED = "Something unexpected went wrong; the log has the details."
TORN = "Another process of this training died; resume it with as many, and it goes on from its last checkpoint."

PROGRESS_SECONDS = 1.0
STOP_POLL_SECONDS = 0.5


def execute(
    run: RunFolder,
    settings: Settings,
    stop_asked: Callable[[], bool] = lambda: False,
    show: Callable[[JobProgress], None] = lambda progress: None,
    group: Group = ALONE,
) -> RunState:
    """Do the run, or go on with it from its last checkpoint, and leave its end in state.json.

    Args:
        run: a folder with a request.
        settings: where data and models lie, and what to train on.
        stop_asked: true when this process has to end: the run is then `interrupted` and will be resumed.
        show: told how far the job is, once a second and with each phase.
        group: the processes that train together; this one leads.

    Returns:
        The state that it ended in; its message says why where that is not `finished`.

    Raises:
        RunFolderError: the folder cannot be written, so it has not begun and its state is as before.
    """
    with only_one(run) as mine:
        if not mine or run.is_lent() or run.state().state == JobState.CANCELLED:
            return run.state()
        if run.state().state == JobState.FINISHED:
            run.remove_weights()  # it may have been killed before it had
            return run.state()
        started = run.state().started or utc_now()
        if run.cancel_asked():
            run.set_state(RunState(state=JobState.CANCELLED, started=run.state().started, ended=utc_now()))
            return run.state()
        reserve = run.path / RESERVE_FILE
        _begin(run, reserve, started)
        try:
            model = _do(run, settings, run_hooks(run, stop_asked, show), group)
            end = RunState(state=JobState.FINISHED, model=model)
        except Stopped as error:
            state = JobState.CANCELLED if run.cancel_asked() else JobState.INTERRUPTED
            end = RunState(state=state, message=str(error))
        except HalffaceError as error:
            end = RunState(state=JobState.FAILED, message=str(error))
        except Exception as error:
            end = _ended_by(error, run, group)
        reserve.unlink(missing_ok=True)
        run.set_state(end.model_copy(update={"started": started, "ended": utc_now()}))
        if end.state == JobState.FINISHED:
            run.remove_weights()
        return run.state()


def _begin(run: RunFolder, reserve: Path, started: str) -> None:
    """Say that the run runs, if there is room to say how it ends. Raises RunFolderError."""
    try:
        reserve.write_bytes(bytes(RESERVE_BYTES))
        run.set_state(RunState(state=JobState.RUNNING, started=started))
    except OSError as error:
        reserve.unlink(missing_ok=True)
        message = f"Job {run.id} could not begin: its folder {run.path} cannot be written ({error.strerror})."
        raise RunFolderError(f"{message} Make room, or check who may write there.") from error


def _ended_by(error: Exception, run: RunFolder, group: Group) -> RunState:
    """Return the end of a run by an error that nobody foresaw, or by the death of a process that trained along."""
    if group.is_torn_by(error):
        return RunState(state=JobState.INTERRUPTED, message=TORN)
    log.error("run %s failed", run.id, exc_info=error)
    return RunState(state=JobState.FAILED, message=_said_of(error, run))


def _said_of(error: Exception, run: RunFolder) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full; make room and resume the run, which goes on from its last checkpoint."
    if not _is_want_of_memory(error):
        return UNEXPECTED
    advice = memory_advice(run.request().request.kind, run.progress().phase, "batch size")
    return f"The device ran out of memory; {advice}."


def _is_want_of_memory(error: Exception) -> bool:
    """Return whether a device had no memory left; torch has a class of its own for that on GPUs only."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(each in str(error) for each in NO_MEMORY)


def follow(run: RunFolder, settings: Settings, stop_asked: Callable[[], bool], group: Group) -> None:
    """Do this process's part of a training that another one leads. Raises as that does; Stopped if one died."""
    try:
        _do(run, settings, Hooks(stop_asked=stop_asked), group)
    except RuntimeError as error:
        if group.is_torn_by(error):
            raise Stopped(TORN) from error
        raise


def _do(run: RunFolder, settings: Settings, hooks: Hooks, group: Group) -> str:
    """Do what the request asks; return the version that it made or measured."""
    computes_on = settings.device if run.request().request.kind in TRAINING_KINDS else "cpu"
    device = group.device(choose_device(computes_on))
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if group.leads:
        note_origin(run, device, group.size)
        begun = {"phase": "loading", "images_per_s": None, "eta_s": None}  # those were the last attempt's
        hooks.progress(run.progress().model_copy(update=begun))
    work = Work(run, resolved(run), settings, device, hooks, group)
    return TASKS[work.request.kind](work)


def resolved(run: RunFolder) -> JobRequest:
    """Return the run's request with versions in place of the jobs that made them.

    Raises:
        BaseModelError: such a job has not finished.
    """
    request = run.request().request
    changed = {
        field: _made_by(run.path.parent, named.removeprefix(RUN_PREFIX))
        for field, named in request.named().items()
        if named.startswith(RUN_PREFIX)
    }
    return request.model_copy(update=changed)


def _made_by(runs_dir: Path, run_id: str) -> str:
    try:
        state = RunFolder.open(runs_dir, run_id).state()
    except RunFolderError as error:
        raise BaseModelError(f"{error} This job needs the model that it made.") from error
    if state.state != JobState.FINISHED or state.model is None:
        raise BaseModelError(f"Job {run_id} has not finished, and this job needs the model that it makes.")
    return state.model


def run_hooks(run: RunFolder, stop_asked: Callable[[], bool], show: Callable[[JobProgress], None]) -> Hooks:
    """Return hooks that write progress once a second and with each phase, and look for a wish to stop twice a second.

    While no checkpoint can be written, the state's message says so. Progress that cannot be written stops nothing.
    """
    last, phase, is_written = {"progress": 0.0, "poll": 0.0}, "", True

    def progress(value: JobProgress) -> None:
        nonlocal phase, is_written
        if value.phase != phase or time.monotonic() - last["progress"] > PROGRESS_SECONDS:
            phase, last["progress"] = value.phase, time.monotonic()
            try:
                run.set_progress(value)
                is_written = True
            except OSError as error:
                if is_written:
                    log.error("no progress written: %s", error.strerror)
                is_written = False
            show(value)

    def stop() -> bool:
        if time.monotonic() - last["poll"] < STOP_POLL_SECONDS:
            return False
        last["poll"] = time.monotonic()
        return stop_asked() or run.cancel_asked()

    def saved(could: bool) -> None:
        message = None if could else NOT_SAVED
        with contextlib.suppress(OSError, RunFolderError):  # the disk may be full to the last byte
            if (state := run.state()).message != message:
                run.set_state(state.model_copy(update={"message": message}))

    return Hooks(progress, stop, saved=saved)
