"""What is said of a training in words: in a version's card, and in a study's protocol, which reads cards."""

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.exports import ENSEMBLE_WITH, MIRROR_AVERAGE, SIZE_AVERAGE
from shared.schemas.jobs import EXPORT_OPTIONS, JobRequest
from shared.schemas.training import FROM_BASE, IMAGENET, TrainSettings

NO_AVERAGE: Final = "no test-time augmentation"


def average_words(training: Mapping[str, Any]) -> str:
    """Return over what the file of a version with this `training` in its card averages; nothing if it does not."""
    words = {
        (True, False): "over a face and its mirror image",
        (False, True): "over two sizes of a face",
        (True, True): "over a face and its mirror image, each at two sizes",
    }
    over = words.get((bool(training.get(MIRROR_AVERAGE)), bool(training.get(SIZE_AVERAGE))), "")
    other = training.get(ENSEMBLE_WITH)
    return f"{over}, the smaller of which the network of {other['id']} reads" if other else over


def nearly_words(training: Mapping[str, Any]) -> str:
    """Return what to say of training images that are nearly test images, after the equal ones, by a card's training."""
    settings = (training.get("request") or {}).get("settings") or {}
    similarity = settings.get("duplicate_similarity", TrainSettings.model_fields["duplicate_similarity"].default)
    return ", or nearly so" if similarity <= 1 else ", but not those that nearly do"


def command_of(request: JobRequest) -> str:
    """Return the command that does a training or an export again."""
    if request.kind == "export":
        return shlex.join(["python", "-m", "trainer", "export", *_export_words(request)])
    words = ["python", "-m", "trainer", "train", "--data", f"data/{request.dataset}", "--view", request.view]
    for option in ("name", "base_model", "teacher", "second_teacher"):
        if (value := getattr(request, option)) is not None:
            words += [f"--{option.replace('_', '-')}", value]
    settings = request.settings.model_dump(exclude_defaults=True)
    if request.teacher:  # unsaid, it would not be 0
        settings["distill_weight"] = request.settings.distill_weight
    if request.base_model not in (None, IMAGENET):  # unsaid, they would be those of its start
        settings |= request.settings.model_dump(include=set(FROM_BASE))
    return shlex.join([*words, *_options(settings)])


def _export_words(request: JobRequest) -> list[str]:
    asked = request.model_dump(include=set(EXPORT_OPTIONS), exclude_none=True)
    return [request.model or "", "--data", f"data/{request.dataset}", *_options(asked)]


def _options(values: Mapping[str, Any]) -> list[str]:
    words: list[str] = []
    for option, value in values.items():
        named = option.replace("_", "-")
        words += [f"--{named}" if value else f"--no-{named}"] if isinstance(value, bool) else [f"--{named}", str(value)]
    return words


def code_revision() -> str | None:
    """Return the git revision of the code, with `+changes` if it differs from it; None outside a checkout."""
    root = Path(__file__).parent.parent
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--dirty=+changes", "--exclude=*"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
