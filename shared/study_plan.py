"""What a study is made of: the whole-face network, then five fine-tunings that it starts and teaches, then the report.

The same plan is followed by the queue, where the fine-tunings may run side by side, and by `python -m trainer study`.
"""

import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from shared.run_folder import RunFolder
from shared.schemas.jobs import RUN_PREFIX, JobRequest
from shared.schemas.training import TAUGHT_SHARE, TrainOn, TrainSettings
from shared.schemas.wire import Slot

BASE: Final = "full"
FINE_TUNED: Final[tuple[TrainOn, ...]] = tuple(slot for slot in get_args(Slot) if slot != BASE)
"""upper, lower, left, right, any."""

SHORTER: Final = 0.4
"""A fine-tuning's epochs and peak learning rate, as a share of the first training's."""

FINE_TUNING: Final[Mapping[str, Any]] = {"grow_from": None, "hide_after": 0.0, "distill_weight": TAUGHT_SHARE}


@dataclass(frozen=True)
class Step:
    """One training of a study: the slot that its model is for, and what is asked."""

    name: Slot
    request: JobRequest


def base_step(study: JobRequest) -> Step:
    """Return the first training: whole faces, from random weights, with the study's own settings."""
    nothing_before = {
        "distill_weight": 0.0,
        "fixed_teacher": False,
        "freeze_statistics": False,
        "start_share": 0.0,
    }  # neither a teacher nor a version to start from
    settings = study.settings.model_copy(update=nothing_before)
    request = JobRequest(
        kind="train", dataset=study.dataset, view=BASE, name=_model_name(study, BASE), settings=settings
    )
    return Step(BASE, request)


def fine_tuning_steps(study: JobRequest, base_run: str) -> list[Step]:
    """Return the trainings that start from the model of the run `base_run` and are taught by it."""
    base = f"{RUN_PREFIX}{base_run}"
    return [
        Step(
            view,  # type: ignore[arg-type]
            JobRequest(
                kind="fine-tune",
                dataset=study.dataset,
                view=view,
                base_model=base,
                teacher=base,
                name=_model_name(study, view),
                settings=_shorter(study.settings),
            ),
        )
        for view in FINE_TUNED
    ]


def create_study(runs_dir: Path, request: JobRequest, **origin: Any) -> list[RunFolder]:
    """Make the folders of a study's jobs: the trainings in their order, and last the study itself, which reports.

    Args:
        runs_dir: the folder of all runs.
        request: of kind `study`.
        origin: who asked, and the like: see `shared.run_folder.RunRequest`.

    Raises:
        OSError: one of them cannot be written; none is left.
    """
    study_id = RunFolder.new_id(request)
    runs: list[RunFolder] = []
    with ExitStack() as undo:

        def make(asked: JobRequest, **more: Any) -> None:
            run = RunFolder.create(runs_dir, asked, **{**origin, **more})
            undo.callback(shutil.rmtree, run.path, ignore_errors=True)
            runs.append(run)

        first = base_step(request)
        make(first.request, step=first.name, study=study_id, idempotency_key=None)
        for step in fine_tuning_steps(request, runs[0].id):
            make(step.request, step=step.name, study=study_id, idempotency_key=None)
        make(request, run_id=study_id, after=[run.id for run in runs])  # last: workers leave parts without it alone
        undo.pop_all()
    return runs


def _model_name(study: JobRequest, view: str) -> str:
    return f"{study.name}-{view}" if study.name else view


def _shorter(settings: TrainSettings) -> TrainSettings:
    changed = {
        **FINE_TUNING,
        "distill_weight": settings.distill_weight or TAUGHT_SHARE,
        "epochs": max(1, round(settings.epochs * SHORTER)),
        "learning_rate": settings.learning_rate * SHORTER,
    }
    return settings.model_copy(update=changed)
