"""`/v1/jobs`: what is asked of a trainer, and how far it is."""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from shared.masking import View
from shared.schemas.training import IMAGENET, TAUGHT_SHARE, TrainOn, TrainSettings
from shared.schemas.wire import Answer, RunId, Wire, field_error, without_default

JobKind = Literal["train", "fine-tune", "evaluate", "export", "study"]

Precision = Literal["int8", "float32"]

RUN_PREFIX = "run:"
"""`run:<job id>` in place of a version means the version that this job makes; the new job waits for it."""

TRAINING_KINDS = frozenset({"train", "fine-tune"})

MAX_STUDY_NAME = 40 - len("-upper")
"""Characters of a study's name, since a model's name has 40 at most and begins with it."""

EXPORT_OPTIONS: Final = (
    "name",
    "precision",
    "mirror_average",
    "size_average",
    "ensemble_with",
    "prior_correction",
)
"""What an export is asked beside the version."""

_OWN_FIELDS: dict[str, frozenset[str]] = {
    "train": frozenset({"view", "base_model", "teacher", "second_teacher", "name", "settings"}),
    "fine-tune": frozenset({"view", "base_model", "teacher", "second_teacher", "name", "settings"}),
    "evaluate": frozenset({"model", "views"}),
    "export": frozenset({"model", *EXPORT_OPTIONS}),
    "study": frozenset({"name", "settings"}),
}
"""The fields that a kind of job reads, beside `kind` and `dataset`."""

NAMING_FIELDS: Final = ("base_model", "teacher", "second_teacher", "model", "ensemble_with")
"""The fields that name a version, or the run that makes it."""


Named = Annotated[str, StringConstraints(min_length=1)]


class JobRequest(Wire):
    """`POST /v1/jobs`: work for a trainer."""

    kind: JobKind = Field(
        "train",
        description="Absent, it is `train`, or `fine-tune` where a version is given.",
        json_schema_extra=without_default,
    )
    dataset: str = Field(
        min_length=1, max_length=255, description="A name from /v1/datasets.", examples=["fer2013.zip"]
    )
    view: TrainOn = Field("full", description="train, fine-tune: what is hidden; `five` mixes the study's views.")
    base_model: Named | None = Field(
        None, description="fine-tune: the version to start from, or `run:<job id>`. train: `imagenet` or nothing."
    )
    teacher: Named | None = Field(
        None, description="train, fine-tune: a version (or `run:<job id>`) that sees the whole face and teaches."
    )
    second_teacher: Named | None = Field(
        None, description="train, fine-tune: another version that teaches; what both answer is averaged."
    )
    model: Named | None = Field(None, description="evaluate, export: the version, or `run:<job id>`.")
    views: list[View] | None = Field(None, min_length=1, description="evaluate: on which views; the five if absent.")
    precision: Precision = Field("int8", description="export: of the ONNX file's arithmetic.")
    mirror_average: bool | None = Field(
        None, description="export: average over a face and its mirror image; as the version does, if absent."
    )
    size_average: bool | None = Field(
        None, description="export: average over two sizes of a face; as the version does, if absent."
    )
    ensemble_with: Named | None = Field(
        None,
        description="export: another version, which needs no weights; the file answers with the mean of both networks. "
        "Of two sizes of a face, this other one reads the smaller. As the version does, if absent.",
    )
    prior_correction: bool | None = Field(
        None,
        description="export: take the class weights of the training out of the answers; as the version does, if "
        "absent.",
    )
    name: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
        description="The new model's name; the view's, or the exported version's, if absent. study: what its models' "
        "names begin with, at most 34 characters.",
    )
    settings: TrainSettings = Field(TrainSettings(), json_schema_extra=without_default)

    @model_validator(mode="before")
    @classmethod
    def _kind_by_base(cls, data: Any) -> Any:
        """A base version without a kind is a fine-tuning, as before kinds had names."""
        if isinstance(data, dict) and "kind" not in data and data.get("base_model") not in (None, IMAGENET):
            return {**data, "kind": "fine-tune"}
        return data

    @model_validator(mode="after")
    def _fits_its_kind(self) -> "JobRequest":
        for name in sorted(self.model_fields_set - {"kind", "dataset"} - _OWN_FIELDS[self.kind]):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise field_error(name, f"is nothing that a job of kind {self.kind} reads; remove it")
        if self.kind == "fine-tune" and self.base_model in (None, IMAGENET):
            raise field_error("base_model", "must name the version to fine-tune from")
        if self.kind == "train" and self.base_model not in (None, IMAGENET):
            raise field_error("base_model", "is for the kind fine-tune; training starts from imagenet or from nothing")
        if self.kind in ("evaluate", "export") and self.model is None:
            raise field_error("model", "must name the version")
        if self.settings.distill_weight and self.teacher is None and self.kind != "study":
            raise field_error("teacher", "must name the version that teaches, since settings.distill_weight is above 0")
        if self.settings.fixed_teacher and self.teacher is None and self.kind != "study":
            raise field_error("teacher", "must name the version that is asked once, since settings.fixed_teacher is on")
        if self.second_teacher and self.teacher is None:
            raise field_error("teacher", "must name a version too, since second_teacher does")
        if self.teacher and "distill_weight" not in self.settings.model_fields_set:
            self.settings = self.settings.model_copy(update={"distill_weight": TAUGHT_SHARE})
        if self.ensemble_with and self.size_average is False:
            raise field_error("size_average", "cannot be false: the two networks read two sizes of a face")
        if self.settings.prior_correction and not self.settings.class_weights:
            raise field_error("settings.prior_correction", "takes class weights out of the answers; set class_weights")
        for name in ("freeze_statistics", "start_share"):
            if getattr(self.settings, name) and self.base_model is None and self.kind != "study":
                raise field_error("base_model", f"must name what to start from, since settings.{name} keeps of it")
        if self.kind == "study" and self.name and len(self.name) > MAX_STUDY_NAME:
            raise field_error("name", f"must have at most {MAX_STUDY_NAME} characters; its models' names add a view")
        return self

    def waits_for(self) -> list[str]:
        """Return the ids of the jobs whose models this one needs."""
        return sorted({name.removeprefix(RUN_PREFIX) for name in self.named().values() if name.startswith(RUN_PREFIX)})

    def named(self) -> dict[str, str]:
        """Return the versions and runs that the request names, by field; `imagenet` is neither."""
        named = {field: getattr(self, field) for field in NAMING_FIELDS}
        return {field: name for field, name in named.items() if name and name != IMAGENET}


class JobState(StrEnum):
    """Where a job is. It has ended once it is finished, failed or cancelled; an interrupted one goes on by itself."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"


OPEN_STATES: Final = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING, JobState.INTERRUPTED})
CANCELLABLE: Final = OPEN_STATES - {JobState.CANCELLING}
STOPPED: Final = frozenset({JobState.CANCELLED, JobState.FAILED})
"""States of a job that has ended and made nothing."""

RESUMABLE: Final = STOPPED | {JobState.INTERRUPTED}


class StateChange(Answer):
    """One line of a job's history."""

    time: str
    state: JobState
    message: str | None = None


Phase = Literal["waiting", "loading", "asking", "training", "evaluating", "exporting", "done"]


class JobProgress(Answer):
    """How far a job is; `runs/<id>/progress.json`, replaced while it runs."""

    phase: Phase = "waiting"
    epoch: int = 0
    epochs: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = Field(None, description="Training loss, smoothed.")
    accuracy: float | None = Field(None, description="Best validation accuracy so far, on the trained view, 0 to 1.")
    images_per_s: float | None = None
    eta_s: float | None = Field(None, description="Seconds until the phase ends, as far as one can tell.")


class Job(Answer):
    """A job as the gateway shows it."""

    id: RunId
    request: JobRequest
    state: JobState
    progress: JobProgress = JobProgress()
    message: str | None = Field(None, description="A sentence: why it waits, failed or does not go on.")
    model: str | None = Field(None, description="The version that it made or measured, once finished.")
    created: str
    started: str | None = None
    ended: str | None = None
    by: str | None = Field(None, description="The name of the key that asked for it.")
    step: str | None = Field(None, description="What it is in its study, such as `upper`.")
    study: str | None = Field(None, description="The study that it belongs to.")
    after: list[str] = Field([], description="The jobs that it waits for.")
    retry_of: str | None = Field(None, description="The job that it does anew.")
    has_report: bool = Field(False, description="Whether /v1/jobs/<id>/report has something to show.")


class JobDetail(Job):
    """One job with its past."""

    history: list[StateChange] = Field([], description="Its states, oldest first.")
    log_tail: list[str] = Field([], description="The log's last lines, of a job that failed.")
    parts: list[Job] = Field([], description="A study's jobs, in the order in which they are done.")
    size_bytes: int = Field(0, description="Room that its folder takes, and a study's parts; a deletion frees it.")


class Deleted(Answer):
    """What a deletion gave back."""

    id: str
    freed_bytes: int


class JobList(Answer):
    jobs: list[Job]


class MetricRow(Answer):
    """One line of `metrics.jsonl`: an epoch."""

    model_config = ConfigDict(extra="allow")

    epoch: int
    step: int
    seconds: float = Field(description="Training time so far.")
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    validation_seconds: float | None = Field(None, description="Time that the validation took, not in `seconds`.")
    learning_rate: float
    size: int


class MetricList(Answer):
    rows: list[MetricRow]


class JobLog(Answer):
    lines: list[str] = Field(description="The last lines of the job's log.")
