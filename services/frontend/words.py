"""What the pages say: names of views, states and phases, and the sentences made from answers. Pure functions."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from shared.schemas.jobs import TRAINING_KINDS, Job, JobDetail, JobKind, JobState
from shared.schemas.predictions import Prediction

VIEW_NAMES: Final = {
    "full": "Whole face",
    "upper": "Upper half hidden",
    "lower": "Lower half hidden",
    "left": "Left half hidden",
    "right": "Right half hidden",
    "diagonal": "Top left and bottom right hidden",
    "transdiagonal": "Top right and bottom left hidden",
    "five": "All five views, mixed",
    "any": "Any part hidden",
}
"""A view's, slot's or training view's name for people."""

HIDDEN_PARTS: Final = {
    "full": "Nothing: whole faces",
    "upper": "The upper half",
    "lower": "The lower half",
    "left": "The left half",
    "right": "The right half",
    "diagonal": "Top left and bottom right",
    "transdiagonal": "Top right and bottom left",
    "five": "Each half in turn, or nothing",
    "any": "Any part, at random",
}
"""What a training view hides, as an answer to "what is hidden?"."""

WITH_VIEW: Final = {
    "full": "with the whole face",
    "upper": "with the upper half hidden",
    "lower": "with the lower half hidden",
    "left": "with the left half hidden",
    "right": "with the right half hidden",
    "any": "with any part hidden",
}
"""How a sentence names a model's view."""

READS: Final = {
    "full": "whole faces",
    "upper": "faces with the upper half hidden",
    "lower": "faces with the lower half hidden",
    "left": "faces with the left half hidden",
    "right": "faces with the right half hidden",
    "diagonal": "faces with the top left and the bottom right hidden",
    "transdiagonal": "faces with the top right and the bottom left hidden",
    "five": "whole faces and faces with one half hidden",
    "any": "faces with any part hidden",
}
"""What a network reads that was trained on this view."""

STATE_NAMES: Final = {
    JobState.QUEUED: "Waiting",
    JobState.RUNNING: "Running",
    JobState.CANCELLING: "Stopping",
    JobState.CANCELLED: "Cancelled",
    JobState.INTERRUPTED: "Interrupted, will resume",
    JobState.FAILED: "Failed",
    JobState.FINISHED: "Finished",
}

PHASE_NAMES: Final = {
    "waiting": "Waiting for a worker",
    "loading": "Loading the data",
    "asking": "Asking the teacher",
    "training": "Training",
    "evaluating": "Evaluating",
    "exporting": "Exporting the model",
    "done": "Done",
}

KIND_NAMES: Final[dict[JobKind, str]] = {
    "train": "Train",
    "fine-tune": "Fine-tune",
    "evaluate": "Evaluate",
    "export": "Export",
    "study": "Study",
}
KIND_SENTENCES: Final[dict[JobKind, str]] = {
    "train": "A new network, from its beginning.",
    "fine-tune": "A version goes on learning, for a view of your choice; a teacher may help it.",
    "evaluate": "Measures a version on the test faces and writes a report.",
    "export": "Writes a version's network anew: in another precision, with other averages, together with another's, or "
    "with class weights taken out of its answers.",
    "study": "Trains the whole-face network, fine-tunes five others from it and measures all six. It takes three to "
    "five times as long as one training.",
}
START_KIND: Final[dict[JobKind, str]] = {
    "train": "Start training",
    "fine-tune": "Start fine-tuning",
    "evaluate": "Start evaluation",
    "export": "Start export",
    "study": "Start study",
}

NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def number(count: int) -> str:
    """Return a small number as a word."""
    return NUMBERS[count] if 0 <= count < len(NUMBERS) else str(count)


def listed(parts: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def view_name(view: str) -> str:
    """Return the name of a view or slot for people."""
    return VIEW_NAMES.get(view, view)


def agreement(predictions: Sequence[Prediction]) -> str:
    """Return one sentence on whether the models read the same emotion."""
    if not predictions:
        return "No model read this face."
    readers: dict[str, list[str]] = defaultdict(list)
    trained = "trained " if is_covered(predictions) else ""
    for prediction in predictions:
        readers[prediction.label].append(f"{trained}{WITH_VIEW.get(prediction.model, f'with {prediction.model}')}")
    ranked = sorted(readers.items(), key=lambda item: -len(item[1]))
    count = len(predictions)
    (top, agreeing), others = ranked[0], ranked[1:]
    if count == 1:
        return f"The model reads {top}."
    if not others:
        return f"All {number(count)} models read {top}."
    if 2 * len(agreeing) > count:
        exceptions = listed(
            [
                f"the one {views[0]} reads {label}" if len(views) == 1 else f"those {listed(views)} read {label}"
                for label, views in others
            ]
        )
        return f"{number(len(agreeing)).capitalize()} of {number(count)} models read {top}; {exceptions}."
    parts = [f"{number(len(views))} {'reads' if len(views) == 1 else 'read'} {label}" for label, views in ranked]
    return f"The models disagree: {listed(parts)}."


def is_covered(predictions: Sequence[Prediction]) -> bool:
    """Return whether nothing was hidden from models that were trained without a half."""
    return any(each.hidden == "full" and each.model not in ("full", "any") for each in predictions)


def percent(share: float) -> str:
    """Return a share of 1 as whole per cent."""
    return f"{share:.0%}".replace("%", " %")


def duration(seconds: float) -> str:
    """Return a length of time in words, to the minute."""
    minutes = round(seconds / 60)
    if seconds < 50:
        return "less than a minute"
    if minutes < 60:
        return f"about {_count(max(minutes, 1), 'minute')}"
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        return f"about {_count(round(hours / 24), 'day')}"
    return f"about {_count(hours, 'hour')}" + (f" {_count(rest, 'minute')}" if rest else "")


def _count(amount: int, unit: str) -> str:
    return f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s"


def time_left(eta_s: float | None) -> str:
    """Return how long a job still takes, in words."""
    return "not known yet" if eta_s is None else duration(eta_s)


def clock(moment: str) -> str:
    """Return an ISO 8601 time in UTC as "2026-11-23 09:38 UTC"; a date alone as it is."""
    return f"{moment[:16].replace('T', ' ')} UTC" if "T" in moment else moment


def job_title(job: Job) -> str:
    """Return a job's name for people."""
    asked = job.request
    what = view_name(asked.view) if asked.kind in TRAINING_KINDS else asked.model or asked.name or "six models"
    return f"{KIND_NAMES[asked.kind]}: {what} on {asked.dataset}"


def how_far(job: Job) -> str:
    """Return what a training that runs is doing, with the step where it takes steps; of another, how far it got."""
    progress = job.progress
    step = f"step {progress.step:,} of {progress.steps:,}" if progress.steps else ""
    if job.state == JobState.QUEUED:
        return PHASE_NAMES["waiting"]
    if job.state == JobState.FINISHED:
        return PHASE_NAMES["done"]
    if job.state == JobState.RUNNING:
        return ", ".join(filter(None, (PHASE_NAMES[progress.phase], step if progress.phase == "training" else "")))
    return f"Reached {step}" if step else "No step was taken"


def deletion(job: JobDetail) -> str:
    """Return what goes and what stays if a job is deleted, and the room that it gives back."""
    parts, models = (
        ("and its parts ", "models that they made stay") if job.parts else ("", "a model that it made stays")
    )
    return f"Its checkpoints, curves, log and report {parts}go; {models}. That frees {size(job.size_bytes)}."


def size(count: int) -> str:
    """Return a number of bytes in the unit that suits it."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count / 1e3:,.1f} kB"


def outcome(job: Job, accuracy: float | None, serves: Sequence[str]) -> str:
    """Return what a finished job made, and whether predictions use it."""
    if job.request.kind == "study":
        return "This job trained and measured six models; its report compares them."
    if job.request.kind == "evaluate":
        return f"This job measured **{job.model}**."
    if job.request.kind == "export":
        return f"This job made the model **{job.model}** from {job.request.model}."
    sentence = f"This job made the model **{job.model}**, which reads {READS[job.request.view]}"
    sentence += f" and was right on {percent(accuracy)} of those held out for validation." if accuracy else "."
    if serves:
        return f"{sentence} It answers now for: {listed([view_name(slot).lower() for slot in serves])}."
    return f"{sentence} The models that are active keep answering until this one is promoted on the page **Models**."
