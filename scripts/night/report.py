"""What became of a night: as a JSON object, and as sentences about what is not as it should be."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from scripts.night.kills import Kill
from scripts.night.model_watch import problem_of
from shared.run_folder import LOG_FILE, RunFolder
from shared.schemas.jobs import OPEN_STATES, Job, JobState

GRACE_S: Final = 30.0
"""A step and the writing of the checkpoint itself, which end before the next checkpoint is there."""

_RESUMED: Final = re.compile(r"resumed at epoch \d+, step (\d+)")


def steps_again(kill: Kill, log: bytes, next_bytes: int | None) -> int | None:
    """Return how many steps a run did again after a kill; None if it has not gone on before the next one.

    Args:
        kill: hit this run.
        log: the run's whole log.
        next_bytes: the log's length at the run's next kill; None if there was none.
    """
    part = log[kill.log_bytes : next_bytes].decode(errors="replace")
    resumed = _RESUMED.search(part)
    if resumed:
        return max(0, kill.step - int(resumed[1]))
    return kill.step if " epoch " in part else None  # without a checkpoint it began anew


def told_kills(runs_dir: Path, kills: Sequence[Kill]) -> list[dict[str, Any]]:
    """Return the kills as JSON objects, those of a training with the steps that were done again."""
    told = []
    for index, kill in enumerate(kills):
        again = None
        if kill.run:
            path = RunFolder(runs_dir / kill.run).path / LOG_FILE
            later = next((other.log_bytes for other in kills[index + 1 :] if other.run == kill.run), None)
            again = steps_again(kill, path.read_bytes() if path.exists() else b"", later)
        told.append({**asdict(kill), "steps_again": again})
    return told


def told_job(job: Job) -> dict[str, Any]:
    """Return what is worth keeping of a job."""
    return {
        "id": job.id,
        "view": job.request.view,
        "state": job.state.value,
        "model": job.model,
        "message": job.message,
        "started": job.started,
        "ended": job.ended,
        "steps": job.progress.steps,
        "validation_accuracy": job.progress.accuracy,
    }


def job_problems(jobs: Sequence[Job], expected: int, models_dir: Path) -> list[str]:
    """Return a sentence for each job that did not end with a whole model of its own."""
    problems = [] if len(jobs) == expected else [f"{expected} jobs were queued and {len(jobs)} are there."]
    for job in jobs:
        if job.state in OPEN_STATES:
            problems.append(f"{job.id} had not ended in time: it is {job.state.value}.")
        elif job.state != JobState.FINISHED or not job.model:
            problems.append(f"{job.id} is {job.state.value}: {job.message or 'it made no model.'}")
        elif problem := problem_of(models_dir, job.model):
            problems.append(f"The model of {job.id} is not whole. {problem}")
    models = Counter(job.model for job in jobs if job.model)
    return problems + [f"{count} jobs made the model {model}." for model, count in models.items() if count > 1]


def repeated_too_much(runs_dir: Path, kills: Sequence[Kill], interval_s: float) -> list[str]:
    """Return a sentence for each kill after which more than one checkpoint interval had to be done again."""
    return [
        f"{kill.run} had trained {kill.unsaved_s:.0f} s since its last checkpoint when it was killed at {kill.time}."
        for kill in kills
        if kill.run and kill.unsaved_s > interval_s + GRACE_S + _validation_s(RunFolder(runs_dir / kill.run))
    ]


def _validation_s(run: RunFolder) -> float:
    """Return the seconds of the run's longest validation, during which no checkpoint is written."""
    return max((row.validation_seconds or 0.0 for row in run.metrics()), default=0.0)


def make_report(
    jobs: Sequence[Job],
    kills: Sequence[Kill],
    runs_dir: Path,
    *,
    interval_s: float,
    problems: Sequence[str],
    **more: Any,
) -> dict[str, Any]:
    """Return the whole report.

    Args:
        jobs: as the gateway showed them last.
        kills: in their order.
        runs_dir: the folder of all runs, for their logs.
        interval_s: the longest time between two checkpoints that was asked for.
        problems: what is not as it should be; none if the night went well.
        more: stands in the report as it is.
    """
    told = told_kills(runs_dir, kills)
    again = [kill["steps_again"] for kill in told if kill["steps_again"] is not None]
    return {
        "ok": not problems,
        "problems": list(problems),
        **more,
        "jobs": [told_job(job) for job in jobs],
        "kills": dict(Counter(kill.kind for kill in kills)),
        "most_steps_done_again": max(again, default=0),
        "most_seconds_done_again": max((kill.unsaved_s for kill in kills), default=0.0),
        "checkpoint_interval_s": interval_s,
        "each_kill": told,
    }
