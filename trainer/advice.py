"""What to do about a job that did not get on, in words. The worker that forks says it too: no numpy, no torch."""

from typing import Final

from shared.schemas.jobs import TRAINING_KINDS, JobKind, Phase

AFTER_TRAINING: Final[frozenset[Phase]] = frozenset({"exporting", "evaluating", "done"})
"""What a training's job does when it has trained: the batch size changes nothing then. It trains its first step in the
phase before `training`."""

FREE_SOME: Final = "free some, then resume it"


def memory_advice(kind: JobKind, phase: Phase, smaller: str) -> str:
    """Return what to do, as the end of a sentence.

    Args:
        kind: of the job.
        phase: in which it had too little.
        smaller: what to choose where the settings of a training are at fault.
    """
    return f"choose a smaller {smaller}" if kind in TRAINING_KINDS and phase not in AFTER_TRAINING else FREE_SOME


def resume_command(run_id: str, processes: int) -> str:
    """Return the command that goes on with a training of so many processes."""
    start = "python" if processes == 1 else f"torchrun --nproc-per-node {processes}"
    return f"{start} -m trainer resume {run_id}"
