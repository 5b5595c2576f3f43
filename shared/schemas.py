"""The wire: what services say to each other and to the world, written once. Server and client parse with these."""

from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from shared.labels import LABELS
from shared.masking import STUDY_VIEWS, View

IMAGENET: Final = "imagenet"
"""In place of a version to start from: torchvision's published weights, which the trainer downloads."""

SLOTS = (*(view.value for view in STUDY_VIEWS), "any")
"""The names under which models serve: the five views, and `any`, one network for whatever is hidden."""

Slot = Literal["full", "upper", "lower", "left", "right", "any"]
RunId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class Wire(BaseModel):
    """Base of everything on the wire; unknown keys in a request are an error that names them."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """Base of answers: clients ignore keys that a newer server adds."""

    model_config = ConfigDict(extra="ignore")


# --- errors and health -----------------------------------------------------------------------------------------------


class ErrorDetail(Answer):
    """One error, for people and for programs."""

    code: str = Field(description="Stable, for programs.", examples=["image_truncated"])
    message: str = Field(description="A sentence that says what to do.")
    field: str | None = Field(None, description="The field at fault, where there is one.", examples=["images[0]"])


class ErrorAnswer(Answer):
    """The one shape of every error under /v1."""

    error: ErrorDetail
    request_id: str = Field(description="Also in the X-Request-ID header and in every service's log.")


class Health(Answer):
    """Whether a service is alive or ready."""

    status: Literal["ok", "unavailable"]
    reason: str | None = Field(None, description="Why it is not ready, or which part of it keeps an older state.")


# --- predictions -----------------------------------------------------------------------------------------------------


class Detect(StrEnum):
    """Where the faces are."""

    AUTO = "auto"  # find faces; a small image without one is taken as the face
    ALWAYS = "always"  # find faces; none found, none read
    NEVER = "never"  # the whole image is the face


class PredictRequest(Wire):
    """`POST /v1/predict` (inference) and `POST /v1/predictions` (gateway), as JSON."""

    images: list[str] = Field(min_length=1, description="Each a data URL or base64: JPEG, PNG, WebP or BMP.")
    models: list[Slot] | None = Field(None, min_length=1, description="Which models to ask; all active ones if absent.")
    mask: bool = Field(True, description="Hide from each model the half that it was trained without.")
    detect: Detect = Field(Detect.AUTO, description="Find faces, or take the whole image as the face.")
    crops: bool = Field(False, description="Also return each face as the network reads it, before hiding.")


class Box(Answer):
    """A face's place, in pixels of the upright image (EXIF orientation applied)."""

    x: int
    y: int
    width: int
    height: int


class Prediction(Answer):
    """What one model reads on one face."""

    model: Slot = Field(description="The slot that was asked.")
    version: str = Field(description="The model that answered.", examples=["full/1"])
    hidden: str = Field(description="The view: what was hidden from the model.", examples=["upper"])
    label: str = Field(description="The most probable emotion.", examples=["happy"])
    confidence: float = Field(description="Its probability, 0 to 1.")
    probabilities: dict[str, float] = Field(description=f"Probability of each of {', '.join(LABELS)}; sums to 1.")


class Face(Answer):
    """One face of an image."""

    box: Box
    source: Literal["detected", "whole_image"]
    score: float | None = Field(None, description="The detector's confidence, 0 to 1; none for a whole image.")
    crop: str | None = Field(None, description="Data URL of a grayscale PNG at the network's size, if asked for.")
    predictions: list[Prediction]


class ImageAnswer(Answer):
    """One image's faces, largest first."""

    width: int = Field(description="Pixels, after EXIF orientation.")
    height: int
    faces: list[Face]
    note: str | None = Field(None, description="A sentence for a person, such as that no face was found.")


class Timings(Answer):
    """Milliseconds spent."""

    decode_ms: float
    detect_ms: float
    network_ms: float
    total_ms: float


class PredictAnswer(Answer):
    """The answer to a PredictRequest; images in the order of the request."""

    images: list[ImageAnswer]
    timings: Timings
    request_id: str


# --- models and data sets --------------------------------------------------------------------------------------------


class ModelInfo(Answer):
    """A version that lies in the models folder."""

    id: str = Field(examples=["full/1"])
    name: str
    version: str
    view: str
    architecture: str
    created: str
    serves: list[str] = Field(description="The slots that this version serves now.")
    since: dict[str, str] = Field(
        default_factory=dict, description="Slot that it serves to since when, UTC; a slot is absent if nobody noted it."
    )
    metrics: dict[str, Any]
    fingerprint: str | None = Field(None, description="Of the data; figures of different data do not compare.")
    size_bytes: int
    trainable: bool = Field(False, description="Whether one can fine-tune from it: it ships its weights.")
    archived: bool = Field(False, description="Put away: kept, but neither listed unasked nor promoted.")
    problem: str | None = Field(None, description="Why it cannot be used, where that is so.")


class ModelList(Answer):
    models: list[ModelInfo]
    active: dict[str, str] = Field(description="Slot to the version that serves it.")
    previous: dict[str, str] = Field(
        default_factory=dict, description="Slot to the version that a roll back would bring back, where there is one."
    )
    problem: str | None = Field(None, description="Why nobody can tell what serves, where that is so.")


class ModelChange(Answer):
    """One change of what serves or of what is put away; a line of the history in `models/active.json`."""

    time: str = Field(description="UTC, ISO 8601.")
    by: str = Field(description="Who: a key's or a login's name.", examples=["ada"])
    action: Literal["promote", "roll_back", "archive", "restore", "release"] = Field(
        description="`release`: a slot that nobody had changed by hand followed a new release."
    )
    slot: Slot | None = Field(None, description="The slot that changed; none for archive and restore.")
    model: str = Field(description="The version that was promoted, rolled back to, archived or restored.")
    before: str | None = Field(None, description="The version that served the slot before.")


class ModelHistory(Answer):
    changes: list[ModelChange] = Field(description="Newest first.")


class PromoteRequest(Wire):
    """`POST /v1/models/<name>/<version>/promote`: let a version serve."""

    slots: list[Slot] = Field(min_length=1, description="The slots that it shall serve.", examples=[["full", "upper"]])


class RollBackRequest(Wire):
    """`POST /v1/models/rollback`: let the slot's previous version serve again."""

    slot: Slot


class SelfTestRequest(Wire):
    """`POST /v1/self-test` of inference: load a version beside those that serve and try it."""

    model: str = Field(description="`<name>/<version>`.", examples=["full/1"])


class SelfTestAnswer(Answer):
    """The version passed; one that fails is refused with 409."""

    model: str


class DatasetInfo(Answer):
    """A data set in the data folder."""

    name: str = Field(examples=["fer2013.zip"])
    kind: Literal["zip", "folder", "csv"]
    counts: dict[str, dict[str, int]] = Field(description="Split to label to number of images.")
    total: int
    problem: str | None = Field(None, description="Why it cannot be trained on, where that is so.")


class DatasetList(Answer):
    datasets: list[DatasetInfo]
    folder: str = Field(description="The folder's name, for a sentence that says where to put data.")


# --- jobs ------------------------------------------------------------------------------------------------------------

TrainOn = Literal["full", "upper", "lower", "left", "right", "diagonal", "transdiagonal", "five", "any"]
Architecture = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


class TrainSettings(Wire):
    """How to train; the same model is the trainer's config, so a request is checked by what runs it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: Architecture = Field("resnet18", description="torchvision's network of that name.")
    max_pool: bool = Field(False, description="Keep the stem's max-pool (off for 48 x 48 faces).")
    epochs: int = Field(20, ge=1, le=1000, description="Passes over the training part.")
    epoch_faces: int | None = Field(
        None, ge=1, description="Faces in an epoch, others in the next; the whole training part if absent."
    )
    batch_size: int = Field(128, ge=2, le=4096)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(1.5e-3, gt=0, le=10, description="Peak, after the warm-up.")
    weight_decay: float = Field(0.05, ge=0, le=1)
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD only, with Nesterov.")
    warmup_steps: int = Field(300, ge=0, le=100_000, description="Steps of linear warm-up; cosine decay after.")
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    class_weights: bool = Field(False, description="Weigh the loss by the inverse square root of class counts.")
    ema_decay: float = Field(0.999, ge=0, lt=1, description="Average of the weights over steps; 0 turns it off.")
    size: int = Field(48, ge=16, le=224, description="Height and width that the network reads, in pixels.")
    grow_from: int | None = Field(None, ge=16, le=224, description="Begin at this size and grow to `size`.")
    mixed_sizes: bool = Field(
        False,
        description="Once at `size`, show half of the batches at 5/6 of it, at random: for `size_average`, which reads "
        "both.",
    )
    freeze_statistics: bool = Field(
        False, description="Keep the normalisation's means and variances of the version that it starts from."
    )
    mirror_average: bool = Field(
        False,
        description="Answer with the mean over a face and its mirror image: more accurate, twice the work. What is "
        "hidden is then mirrored on half of the faces, since left-hidden faces are also read as right-hidden ones.",
    )
    size_average: bool = Field(
        False,
        description="Answer with the mean over a face at 5/6 and at 13/12 of its size: more accurate, 1.7 times the "
        "work.",
    )
    hide_after: float = Field(0.0, ge=0, lt=1, description="Show whole faces for this share of the run first.")
    hide_share: float = Field(1.0, ge=0, le=1, description="Share of the faces on which the view is applied.")
    other_share: float = Field(0.0, ge=0, lt=1, description="Share of the faces with any quadrants hidden instead.")
    flip: bool = Field(True, description="Mirror half of the faces, before hiding.")
    shift: float = Field(0.1, ge=0, le=0.5, description="Largest shift, as a share of the side.")
    rotate_degrees: float = Field(12.0, ge=0, le=180)
    zoom: float = Field(0.12, ge=0, le=0.5, description="Largest change of scale, as a share.")
    contrast: float = Field(0.25, ge=0, le=1, description="Largest change of contrast and of brightness.")
    erase: float = Field(0.3, ge=0, le=1, description="Share of the faces with a random rectangle erased.")
    mixup: float = Field(0.0, ge=0, le=2, description="Blend pairs of faces and labels by Beta(a, a); 0 turns it off.")
    validation_share: float = Field(0.1, gt=0, lt=0.5, description="Part of the training set held out.")
    duplicate_similarity: float = Field(
        0.96, ge=0.9, le=1.01, description="Training faces this similar to a test face are left out; 1.01: equal ones."
    )
    distill_weight: float = Field(0.0, ge=0, le=1, description="Share of the loss that is the teacher's soft labels.")
    distill_temperature: float = Field(2.0, gt=0, le=20, description="Softens teacher and student alike.")
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto", description="Of the arithmetic; auto takes 16 bits where the device is fast with them."
    )
    select: Literal["accuracy", "loss"] = Field(
        "accuracy", description="By what in validation the best epoch is found."
    )
    seed: int = Field(0, ge=0, lt=2**31)
    checkpoint_seconds: float = Field(120.0, gt=0, le=300, description="Longest time between two checkpoints.")

    @model_validator(mode="after")
    def _grows(self) -> "TrainSettings":
        if self.grow_from is not None and self.grow_from > self.size:
            raise field_error("grow_from", f"must be at most size, which is {self.size}")
        return self


JobKind = Literal["train", "fine-tune", "evaluate", "export", "study"]
Precision = Literal["int8", "float32"]
RUN_PREFIX = "run:"
"""`run:<job id>` in place of a version means the version that this job makes; the new job waits for it."""

TRAINING_KINDS = frozenset({"train", "fine-tune"})
MAX_STUDY_NAME = 40 - len("-upper")
"""Characters of a study's name, since a model's name has 40 at most and begins with it."""

EXPORT_OPTIONS: Final = ("name", "precision", "mirror_average", "size_average", "ensemble_with")
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


class JobRequest(Wire):
    """`POST /v1/jobs`: work for a trainer."""

    kind: JobKind = Field("train", description="Absent, it is `train`, or `fine-tune` where a version is given.")
    dataset: str = Field(
        min_length=1, max_length=255, description="A name from /v1/datasets.", examples=["fer2013.zip"]
    )
    view: TrainOn = Field("full", description="train, fine-tune: what is hidden; `five` mixes the study's views.")
    base_model: str | None = Field(
        None, description="fine-tune: the version to start from, or `run:<job id>`. train: `imagenet` or nothing."
    )
    teacher: str | None = Field(
        None, description="train, fine-tune: a version (or `run:<job id>`) that sees the whole face and teaches."
    )
    second_teacher: str | None = Field(
        None, description="train, fine-tune: another version that teaches; what both answer is averaged."
    )
    model: str | None = Field(None, description="evaluate, export: the version, or `run:<job id>`.")
    views: list[View] | None = Field(None, min_length=1, description="evaluate: on which views; the five if absent.")
    precision: Precision = Field("int8", description="export: of the ONNX file's arithmetic.")
    mirror_average: bool | None = Field(
        None, description="export: average over a face and its mirror image; as the version does, if absent."
    )
    size_average: bool | None = Field(
        None, description="export: average over two sizes of a face; as the version does, if absent."
    )
    ensemble_with: str | None = Field(
        None,
        description="export: another version; the file answers with the mean of both networks, of which each reads one "
        "of the two sizes. As the version does, if absent.",
    )
    name: str | None = Field(
        None,
        pattern=r"^[a-z0-9][a-z0-9-]{0,39}$",
        description="The new model's name; the view's, or the exported version's, if absent. study: what its models' "
        "names begin with, at most 34 characters.",
    )
    settings: TrainSettings = TrainSettings()

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
        if self.second_teacher and self.teacher is None:
            raise field_error("teacher", "must name a version too, since second_teacher does")
        if self.ensemble_with and self.size_average is False:
            raise field_error("size_average", "cannot be false: the two networks read two sizes of a face")
        if self.settings.freeze_statistics and self.base_model is None and self.kind != "study":
            raise field_error(
                "base_model", "must name what to start from, since settings.freeze_statistics keeps of it"
            )
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


def field_error(field: str, what: str) -> PydanticCustomError:
    """Return the error of one field that only the whole request shows to be wrong."""
    return PydanticCustomError("job_field", "{what}", {"field": field, "what": what})


class JobState(StrEnum):
    """Where a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    FINISHED = "finished"


OPEN_STATES = frozenset({JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING, JobState.INTERRUPTED})


class StateChange(Answer):
    """One line of a job's history."""

    time: str
    state: JobState
    message: str | None = None


Phase = Literal["waiting", "loading", "training", "evaluating", "exporting", "done"]


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
    eta_s: float | None = Field(None, description="Seconds until the training ends, as far as one can tell.")


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

    history: list[StateChange] = []
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
