"""What the views work with, made once for each application."""

from dataclasses import dataclass
from typing import Final, cast

from apiflask import APIFlask
from flask import current_app

from services.gateway.dataset_catalogue import DatasetCatalogue
from services.gateway.inference_client import InferenceClient
from services.gateway.job_checks import JobChecks
from services.gateway.job_queue import JobQueue
from services.gateway.model_catalogue import ModelCatalogue
from services.gateway.model_changes import ModelChanges
from services.gateway.removal import finish_removals
from services.gateway.run_reader import RunReader
from services.gateway.runs import Runs
from services.gateway.settings import Settings
from services.gateway.study_file import StudyFile
from services.gateway.study_gallery import Galleries
from services.gateway.study_mistakes import StudyMistakes

KEY: Final = "halfface.gateway"


@dataclass(frozen=True)
class Parts:
    """The gateway's own objects; each is safe to use from many threads."""

    inference: InferenceClient
    queue: JobQueue
    datasets: DatasetCatalogue
    models: ModelCatalogue
    model_changes: ModelChanges
    mistakes: StudyMistakes
    runs: Runs
    shown_runs: RunReader


def add_parts(app: APIFlask, settings: Settings) -> None:
    """Make the parts and leave them with the application. Opens no connection yet.

    Also finishes deletions that an earlier gateway's end cut off.
    """
    finish_removals(settings.runs_dir)
    queue = JobQueue(settings.redis_url)
    datasets, models = DatasetCatalogue(settings.data_dir), ModelCatalogue(settings.models_dir)
    reader = RunReader(settings.runs_dir, queue)
    inference = InferenceClient(settings.inference_url, settings.timeout_s, connections=settings.threads)
    app.extensions[KEY] = Parts(
        inference=inference,
        queue=queue,
        datasets=datasets,
        models=models,
        model_changes=ModelChanges(settings.models_dir, inference),
        mistakes=StudyMistakes(StudyFile(settings.models_dir), Galleries(datasets)),
        runs=Runs(settings.runs_dir, queue, reader, JobChecks(settings.runs_dir, datasets, models)),
        shown_runs=reader,
    )


def parts() -> Parts:
    """Return the parts of the application that is answering."""
    return cast(Parts, current_app.extensions[KEY])
