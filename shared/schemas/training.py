"""How a network is trained; what the trainer reads and what a request is checked by."""

from typing import Any, Final, Literal, get_args, get_origin

from pydantic import ConfigDict, Field, model_validator

from shared.schemas.wire import Wire, field_error, without_default

IMAGENET: Final = "imagenet"
"""In place of a version to start from: torchvision's published weights, which the trainer downloads."""

TrainOn = Literal["full", "upper", "lower", "left", "right", "diagonal", "transdiagonal", "five", "any"]

Architecture = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]

SHAPE: Final = ("max_pool", "width", "small_stem")
"""The settings that say what an architecture's network looks like; a card keeps them with its request."""

FIXED_BY_WEIGHTS: Final = ("architecture", *SHAPE)
"""The settings that a fine-tuning shares with the version that it starts from, or its weights would not fit, or behind
another max-pool mean nothing; only the width may be greater, see `trainer.widening`."""

TAUGHT_SHARE: Final = 0.7
"""The `distill_weight` of a training that has a teacher and gives none."""

SPLIT: Final = ("validation_share", "duplicate_similarity")
"""The settings that say how the training split is divided. A fine-tuning takes them from the version that it starts
from where it is not told: on the same data it would else be validated on images that this one has learnt."""

FROM_BASE: Final = (*SPLIT, *FIXED_BY_WEIGHTS, "size")
"""What a fine-tuning takes from the version that it starts from, where it is not told."""


def _without_open_defaults(schema: dict[str, Any]) -> None:
    """Take out of the settings' schema the defaults of those that a base version or a teacher says where they are left
    out."""
    for name in (*FROM_BASE, "distill_weight"):
        without_default(schema["properties"][name])
    for name in FROM_BASE:
        described = schema["properties"][name]
        described["description"] += " Absent in a fine-tuning: as in the version that it starts from."


class TrainSettings(Wire):
    """How to train; the same model is the trainer's config, so a request is checked by what runs it."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_without_open_defaults)

    architecture: Architecture = Field("resnet18", description="torchvision's network of that name.")
    max_pool: bool = Field(False, description="Keep the stem's max-pool (off for 48 x 48 faces).")
    width: float = Field(1.0, gt=0, le=2, description="Share of the network's channels; a fine-tuning may have more.")
    small_stem: bool = Field(
        False,
        description="Begin with a 3 x 3 convolution of stride 1 in place of the 7 x 7 one of stride 2, as for CIFAR: "
        "four times the work, as much as before at half the width.",
    )
    epochs: int = Field(20, ge=1, le=1000, description="Passes over the training part.")
    epoch_faces: int | None = Field(
        None,
        ge=1,
        description="Faces in an epoch, drawn anew for each, to whole batches; the whole training part if absent.",
    )
    batch_size: int = Field(128, ge=2, le=4096)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = Field(1.5e-3, gt=0, le=10, description="Peak, after the warm-up.")
    weight_decay: float = Field(0.05, ge=0, le=1)
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD only, with Nesterov.")
    warmup_steps: int = Field(300, ge=0, le=100_000, description="Steps of linear warm-up; cosine decay after.")
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    class_weights: bool = Field(False, description="Weigh the loss by the inverse square root of class counts.")
    prior_correction: bool = Field(
        False,
        description="Take the class weights out of the exported file's answers: likelier probabilities, at no cost.",
    )
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
    start_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the version that it starts from in the weights that are measured and kept (WiSE-FT).",
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
    distill_weight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the loss that is the teacher's soft labels; absent, 0.7 if there is a teacher, else 0.",
    )
    distill_temperature: float = Field(2.0, gt=0, le=20, description="Softens teacher and student alike.")
    fixed_teacher: bool = Field(
        False,
        description="Ask the teacher once, before the training, for each face as it lies in the data set, and by the "
        "file that ships, averages included: less work in each step, but its answers do not follow the augmentation.",
    )
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


def setting_help(name: str) -> str:
    """Return what a command line says of a setting: what it does, its values, and its default where it has one."""
    field = TrainSettings.model_fields[name]
    words = field.description or f"{name.replace('_', ' ').capitalize()}."
    if get_origin(field.annotation) is Literal:
        words += f" One of {', '.join(get_args(field.annotation))}."
    if name == "distill_weight":
        return words
    return (
        f"{words} (default: {field.default}{'; in a fine-tuning its base version says' if name in FROM_BASE else ''})"
    )
