"""What must be true of a job before it is queued. Every refusal is a 422 that names the field."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from services.gateway.dataset_catalogue import DatasetCatalogue
from services.gateway.model_catalogue import ModelCatalogue
from shared.errors import ModelFolderError, RunFolderError
from shared.exports import why_not_exported, why_not_together
from shared.model_folder import Card
from shared.run_folder import RunFolder
from shared.schemas.jobs import RUN_PREFIX, STOPPED, TRAINING_KINDS, JobRequest, JobState
from shared.schemas.training import FIXED_BY_WEIGHTS, FROM_BASE, IMAGENET
from shared.web import ApiError, parse

TEACHERS: Final = ("teacher", "second_teacher")


class JobChecks:
    """Looks up what a request names.

    Args:
        runs_dir: where the runs' folders are.
        datasets: what can be trained on.
        models: what can be started from.
    """

    def __init__(self, runs_dir: Path, datasets: DatasetCatalogue, models: ModelCatalogue) -> None:
        self._runs_dir = runs_dir
        self._datasets = datasets
        self._models = models

    def completed(self, asked: JobRequest) -> JobRequest:
        """Return the request with what its base says of settings that it leaves open: see FROM_BASE."""
        untold = [name for name in FROM_BASE if name not in asked.settings.model_fields_set]
        if asked.base_model in (None, IMAGENET) or not untold:
            return asked
        base = self._told_by(asked.base_model)
        told = {name: base[name] for name in untold if name in base}
        return asked.model_copy(update={"settings": asked.settings.model_copy(update=told)})

    def _told_by(self, named: str) -> dict[str, Any]:
        """Return FROM_BASE of a version, or of the one that a run makes; nothing if there is none, as `check` tells."""
        try:
            if not named.startswith(RUN_PREFIX):
                card = self._models.card(named)
                return card.for_fine_tuning if card else {}
            run = RunFolder.open(self._runs_dir, named.removeprefix(RUN_PREFIX))
            other, made = run.request().request, run.state().model
        except (ModelFolderError, RunFolderError):
            return {}
        if source := made or other.model:
            return self._told_by(source)
        return other.settings.model_dump(include=set(FROM_BASE))

    def check(self, asked: JobRequest) -> None:
        """Return if the request can be done, with what its base says of it.

        Raises:
            ApiError: 422 `invalid` with the field: the data set or a version is missing, broken or does not fit.
        """
        parse(JobRequest, asked.model_dump())
        self._check_dataset(asked.dataset)
        for field, named in asked.named().items():
            self._check_named(field, named, asked)

    def _check_dataset(self, name: str) -> None:
        dataset = self._datasets.find(name)
        if dataset is None:
            raise _invalid("dataset", f"There is no data set '{name}'; /v1/datasets lists those there are.")
        if dataset.problem:
            raise _invalid("dataset", f"The data set cannot be trained on: {dataset.problem}")

    def _check_named(self, field: str, named: str, asked: JobRequest) -> None:
        if named.startswith(RUN_PREFIX):
            self._check_run(field, named.removeprefix(RUN_PREFIX), asked)
        else:
            self._check_version(field, named, asked)

    def _check_run(self, field: str, run_id: str, asked: JobRequest) -> None:
        """Look at the version that the run has made, or else at what is known of the one that it will make."""
        try:
            run = RunFolder.open(self._runs_dir, run_id)
            other, now = run.request().request, run.state()
        except RunFolderError as error:
            raise _invalid(field, f"{error} /v1/jobs lists the jobs that there are.") from error
        if other.kind not in (*TRAINING_KINDS, "export"):
            raise _invalid(field, f"Job {run_id} makes no model: it is of kind {other.kind}.")
        if now.state in STOPPED:
            how = "has failed" if now.state == JobState.FAILED else "was cancelled"
            raise _invalid(field, f"Job {run_id} {how}, so it makes no model; resume it first.")
        if now.state == JobState.FINISHED and now.model:
            self._check_version(field, now.model, asked)
        elif other.kind == "export" and other.model:
            self._check_named(field, other.model, asked)  # its architecture is that of what it exports
        elif field == "base_model":
            _check_fit(run_id, {name: getattr(other.settings, name) for name in FIXED_BY_WEIGHTS}, asked)
        elif field in TEACHERS:
            _check_size(run_id, other.settings.size, asked)

    def _check_version(self, field: str, model_id: str, asked: JobRequest) -> None:
        what = field.replace("_", " ")
        try:
            card = self._models.card(model_id)
        except ModelFolderError as error:
            raise _invalid(field, f"The {what} cannot be used: {error}") from error
        if card is None:
            raise _invalid(field, f"There is no model '{model_id}'; /v1/models lists those there are.")
        if _needs_weights(field, asked) and not card.has_weights:
            raise _invalid(field, f"{model_id} ships no weights, only the exported network; choose another model.")
        if field == "model" and asked.kind == "export" and (reason := why_not_exported(card, asked)):
            raise _invalid(field, reason)
        if field == "base_model":
            _check_fit(model_id, card.fixed_by_weights, asked)
        if field in TEACHERS:
            _check_size(model_id, card.input.size, asked)
        if field == "ensemble_with":
            self._check_together(card, asked)

    def _check_together(self, other: Card, asked: JobRequest) -> None:
        """Refuse two versions that cannot answer together; one that a run is still to make is looked at there."""
        if asked.model is None or asked.model.startswith(RUN_PREFIX):
            return
        card = self._models.card(asked.model)  # it has been checked: `model` stands before `ensemble_with`
        if card and (reason := why_not_together(card, other, asked)):
            raise _invalid("ensemble_with", reason)


def _needs_weights(field: str, asked: JobRequest) -> bool:
    if field in TEACHERS:
        return not asked.settings.fixed_teacher  # which answers by the file that ships
    return field == "base_model"


def _check_size(teacher: str, size: int, asked: JobRequest) -> None:
    """Refuse a teacher that sees the student's faces and reads those of another size."""
    if size != asked.settings.size and not asked.settings.fixed_teacher:
        message = f"{teacher} reads faces of {size} pixels; choose that size, or a fixed teacher."
        raise _invalid("settings.size", message)


def _check_fit(start: str, fixed: Mapping[str, Any], asked: JobRequest) -> None:
    """Refuse settings that the weights do not fit; a greater width is taken if it was given, not as the default."""
    for name, value in fixed.items():
        given = getattr(asked.settings, name)
        if given == value or (name == "width" and given > value and name in asked.settings.model_fields_set):
            continue
        told = json.dumps(value).strip('"')
        wider = ", or give a greater one to widen it" if name == "width" else ""
        sentence = f"{start} has the {name.replace('_', ' ')} {told}; choose that to start from it{wider}."
        raise _invalid(f"settings.{name}", sentence)


def _invalid(field: str, message: str) -> ApiError:
    return ApiError(status=422, code="invalid", message=message, field=field)
