"""The study's figures, `models/study.json`: the README's table, the gateway's answer and the Study page come from it.

Shares, accuracies, F1 and areas under curves are 0 to 1; a difference of 0.05 is 5 points. A view and a specialist are
named after what is hidden: in `upper` the upper half is hidden. What each figure means is in docs/study.md.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared.errors import StudyError
from shared.files import write_atomically
from shared.labels import LABELS
from shared.masking import View
from shared.schemas.wire import Slot

STUDY_FILE: Final = "study.json"
CURVE_POINTS: Final = 60
"""The most points that a curve is thinned to."""

AREA_RESAMPLES: Final = 500
"""Of the resamples, the first so many are behind areas under curves, which cost more: the chance error of an interval's
end is then about a sixteenth of its half width."""

UNDAMAGED: Final = "none"
"""In place of a corruption's name: the faces as they are, at severity 0."""

NATIVE_PIXELS: Final = 48.0
"""A side of FER2013's faces: where undamaged ones stand among lower resolutions."""

Rounded = Annotated[float, AfterValidator(lambda value: round(value, 4)), Field(allow_inf_nan=False)]
"""A finite number, kept to four digits after the point."""

Figure = Annotated[float, AfterValidator(lambda value: round(value, 8)), Field(allow_inf_nan=False)]
"""A finite number that is shown in per cent with one digit, kept finer: 61.145 is 61.1, and 61.15 would be 61.2."""

PValue = Annotated[float, AfterValidator(lambda value: float(f"{value:.3g}")), Field(ge=0, le=1)]
"""A probability, kept to three significant digits, since small ones matter."""

Label = Literal["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]


class Subset(StrEnum):
    """A part of the test set."""

    ALL = "all"
    PUBLIC = "public"  # the files named PublicTest_*
    PRIVATE = "private"  # the files named PrivateTest_*
    CLEAN = "clean"  # the images that do not stand in the training set, neither equal nor nearly so


class Frozen(BaseModel):
    """Base of everything in the study: never changed; readers ignore keys that a newer study adds."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Estimate(Frozen):
    """A figure and its 95 % interval; an end is null where no interval was taken or it has no bound."""

    value: Figure
    low: Figure | None = None
    high: Figure | None = None


# --- protocol and models ---------------------------------------------------------------------------------------------


class Leaks(Frozen):
    """How many test images stand in the data set's training split."""

    equal: int = Field(ge=0, description="Test images that stand there pixel for pixel.")
    near: int = Field(ge=0, description="Further test images that are nearly a training image.")
    similarity: Rounded = Field(description="From which correlation of thumbnails two images count as nearly the same.")
    train_repeats: int | None = Field(None, description="Training images that repeat another one pixel for pixel.")
    test_repeats: int | None = Field(None, description="Test images that repeat another one pixel for pixel.")
    conflicting: int | None = Field(None, description="Different images that stand there under several labels.")
    left_out: dict[str, int] = Field(
        default_factory=dict, description="Why (equal_to_test, nearly_test, repeated) to images not trained on."
    )
    left_out_by_all: bool = Field(True, description="No version was trained on any of those training images.")


class Protocol(Frozen):
    """How the figures came about, in words and numbers."""

    data: str = Field(description="The data set's name.")
    fingerprint: str = Field(description="Digest over split, label and pixels of every image.")
    train: int = Field(ge=0, description="Images trained on.")
    validation: int = Field(ge=0, description="Images on which epochs and temperatures were chosen.")
    subsets: dict[Subset, int] = Field(description="Images in each part of the test set.")
    leaks: Leaks
    training: str = Field(description="How the models were trained, in a few sentences.")
    selection: str = Field(description="How epoch and settings were chosen.")
    evaluation: str = Field(description="How a test image is seen and read.")
    seeds: tuple[int, ...] = Field(description="Seeds of the trainings.")
    divided: bool = Field(
        False, description="Areas, Shapley values and confidences are of logits divided by each model's temperature."
    )
    resamples: int = Field(ge=1, description="Bootstrap resamples behind each interval.")
    bootstrap_seed: int
    created: str = Field(description="UTC time, ISO 8601.")
    revision: str = Field("", description="The code's revision.")


class Latency(Frozen):
    """How long a released file takes on the CPU, in milliseconds, and where that was measured."""

    one_face_ms: Rounded = Field(description="Median for one face.")
    batch_32_ms: Rounded = Field(description="Median for 32 faces at once.")
    threads: int = Field(ge=1)
    machine: str


class StudyModel(Frozen):
    """A released model, as it was measured."""

    slot: Slot
    version: str = Field(description="`<name>/<version>`.")
    architecture: str
    parameters: int = Field(ge=0)
    size_bytes: int = Field(ge=0, description="The ONNX file's size.")
    temperature: Rounded = Field(
        description="The card's: logits divided by this are calibrated; 1 where it names none."
    )
    latency: Latency | None = None


# --- one model on one view -------------------------------------------------------------------------------------------


class Metrics(Frozen):
    """Figures over all classes. Areas are one class against the rest; null where a class has no image."""

    accuracy: Estimate
    macro_f1: Estimate
    micro_f1: Estimate
    weighted_f1: Estimate
    macro_auc: Estimate | None
    micro_auc: Estimate | None
    weighted_auc: Estimate | None
    macro_ap: Estimate | None = Field(description="Average precision, mean over the classes.")
    micro_ap: Estimate | None


class ClassFigures(Frozen):
    """Figures of one class; null where it has no image (or, of precision, was never answered)."""

    label: Label
    count: int = Field(ge=0, description="Images of the class.")
    accuracy: Estimate | None = Field(description="Share of its images that were recognised (recall).")
    precision: Estimate | None
    f1: Estimate | None
    auc: Estimate | None
    ap: Estimate | None = Field(description="Average precision.")
    mean_probability: Rounded | None = Field(
        None, description="Over all images, at the temperature: beside the class's share of them, whether it is tilted."
    )


class Curve(Frozen):
    """A curve of at most 60 points, x never falling."""

    name: str = Field(description="A label, or macro, micro, weighted.")
    x: tuple[Rounded, ...] = Field(max_length=CURVE_POINTS, description="False positive rate (ROC) or recall.")
    y: tuple[Rounded, ...] = Field(max_length=CURVE_POINTS, description="True positive rate (ROC) or precision.")


class ReliabilityBin(Frozen):
    """The images whose confidence lies in (low, high]."""

    low: Rounded
    high: Rounded
    count: int
    confidence: Rounded | None = Field(description="Their mean confidence; null in an empty bin.")
    accuracy: Rounded | None


class Calibration(Frozen):
    """Expected calibration error, negative log-likelihood (nats) and reliability, before and after the temperature."""

    temperature: Rounded
    ece_before: Estimate
    ece_after: Estimate
    nll_before: Estimate
    nll_after: Estimate
    before: tuple[ReliabilityBin, ...] = ()
    after: tuple[ReliabilityBin, ...] = ()


class Cell(Frozen):
    """One model on one view of one part of the test set. Curves and reliability bins are given for the whole alone."""

    trained_on: Slot
    evaluated_on: View
    subset: Subset
    count: int
    metrics: Metrics
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...] = Field(description="Images, by true class (rows) and answer (columns).")
    calibration: Calibration
    roc: tuple[Curve, ...] = Field((), description="Each class, macro, micro, weighted.")
    precision_recall: tuple[Curve, ...] = Field((), description="Each class, micro.")


class PublishedCell(Frozen):
    """One model on one view, as the original study published it."""

    trained_on: View
    evaluated_on: View
    accuracy: Rounded
    macro_f1: Rounded
    weighted_f1: Rounded
    weighted_auc: Rounded
    macro_auc: Rounded
    micro_auc: Rounded
    class_accuracy: dict[Label, Rounded]


class Published(Frozen):
    """The original study's figures, to stand beside ours."""

    source: str
    test_images: int
    cells: tuple[PublishedCell, ...]


# --- questions -------------------------------------------------------------------------------------------------------


class Reading(Frozen):
    """A model looking at a view."""

    model: Slot
    view: View


class PairedTest(Frozen):
    """McNemar's test of two readings of the same images."""

    id: str
    family: str = Field(description="The family over which p is corrected (Holm).")
    first: Reading
    second: Reading
    subset: Subset
    label: Label | None = Field(None, description="Images of this emotion alone; null: all.")
    n: int = Field(description="Images.")
    only_first: int = Field(description="Images that only the first read correctly.")
    only_second: int
    method: Literal["exact", "chi-squared"]
    statistic: Rounded = Field(description="Chi-squared with continuity correction; exact: the smaller count.")
    p: PValue
    p_corrected: PValue
    difference: Estimate = Field(description="Accuracy of the first less that of the second.")
    macro_f1_difference: Estimate | None = Field(None, description="The same of macro F1; null for one emotion.")
    odds_ratio: Estimate = Field(description="only_first / only_second, with the exact interval.")
    cohens_g: Rounded = Field(description="only_first / (only_first + only_second) - 0.5; 0.05 is small, 0.25 large.")
    sentence: str


class Hypothesis(Frozen):
    """A question of the study and its answer."""

    id: Literal["H1", "Q1"]
    question: str
    verdict: Literal["first", "second", "undecided"] = Field(description="Which half is worth more, if it is shown.")
    first: str = Field(description="What `first` means, for example `upper half`.")
    second: str
    answer: str = Field(description="A sentence with its figure.")
    tests: tuple[str, ...] = Field(description="Ids of the tests over all emotions, the one that decides first.")
    emotion_tests: tuple[str, ...]
    limits: tuple[str, ...] = Field(description="What the tests cannot say.")


class Recovery(Frozen):
    """How much of the loss from hiding a half is won back by a model that was trained on it (accuracy)."""

    view: View
    model: Slot
    full_on_full: Rounded
    full_on_view: Rounded
    model_on_view: Rounded
    loss: Estimate = Field(description="full_on_full - full_on_view.")
    recovered: Estimate | None = Field(description="(model_on_view - full_on_view) / loss; null without a loss.")


class Agreement(Frozen):
    """How far models answer alike on the same faces, right or wrong."""

    setting: str = Field(description="`own`: each model sees its own view; else the view that all see.")
    models: tuple[Slot, ...]
    share: tuple[tuple[Rounded, ...], ...] = Field(description="Share of the faces on which two answer alike.")
    kappa: tuple[tuple[Rounded, ...], ...] = Field(description="Cohen's kappa of each two.")
    fleiss_kappa: Estimate
    all_alike: Estimate = Field(description="Share of the faces on which all answer alike.")
    all_right: Estimate
    none_right: Estimate


# --- beyond the views ------------------------------------------------------------------------------------------------


class Corruption(Frozen):
    """A kind of damage, and the severities at which models were measured."""

    name: str
    title: str
    unit: str = Field(description="Of the severity; empty where there is one severity.")
    severities: tuple[Rounded, ...]


class RobustnessPoint(Frozen):
    """One model on damaged faces, of which it sees its own view."""

    model: Slot
    corruption: str
    severity: Rounded
    accuracy: Estimate
    macro_f1: Estimate
    change: Estimate | None = Field(
        None, description="Accuracy less that on the same faces undamaged, paired; null where another part is hidden."
    )


class Robustness(Frozen):
    """What damage costs, on a random sample of the test images; undamaged points are named `none`, severity 0."""

    images: int | None = Field(None, description="Test images in the sample; null: all.")
    corruptions: tuple[Corruption, ...] = ()
    points: tuple[RobustnessPoint, ...] = ()


class ShapleyRow(Frozen):
    """What each part of the face adds to the probability of the true emotion, mean over the images."""

    label: Label | None = Field(description="Images of this emotion; null: all.")
    count: int
    prior: Rounded = Field(description="Probability of the true emotion when nothing is seen.")
    whole: Rounded = Field(description="The same when all is seen; prior and the four quadrants add up to it.")
    quadrants: tuple[Estimate, Estimate, Estimate, Estimate] = Field(
        description="Top right, top left, bottom left, bottom right, as seen in the image."
    )
    upper: Estimate
    lower: Estimate
    left: Estimate
    right: Estimate
    upper_less_lower: Estimate
    left_less_right: Estimate


class Shapley(Frozen):
    """Shapley values of the four quadrants over the whole test set."""

    model: str
    rows: tuple[ShapleyRow, ...]


class StudyResult(Frozen):
    """The whole study."""

    format: Literal[1] = 1
    protocol: Protocol
    labels: tuple[str, ...] = LABELS
    models: tuple[StudyModel, ...]
    cells: tuple[Cell, ...]
    published: Published | None = None
    tests: tuple[PairedTest, ...]
    hypotheses: tuple[Hypothesis, ...]
    recovery: tuple[Recovery, ...]
    agreement: tuple[Agreement, ...]
    robustness: Robustness = Robustness()
    shapley: Shapley | None = None

    def cell(self, trained_on: str, evaluated_on: str, subset: str = Subset.ALL) -> Cell | None:
        """Return the cell of a model and a view, or None if it was not measured."""
        wanted = (trained_on, evaluated_on, subset)
        return next((cell for cell in self.cells if (cell.trained_on, cell.evaluated_on, cell.subset) == wanted), None)

    def published_cell(self, trained_on: str, evaluated_on: str) -> PublishedCell | None:
        """Return a cell as the original study published it, or None."""
        cells = self.published.cells if self.published else ()
        return next(
            (cell for cell in cells if (cell.trained_on, cell.evaluated_on) == (trained_on, evaluated_on)), None
        )


def write_study(study: StudyResult, path: Path) -> None:
    """Write the study as compact JSON; who reads meanwhile sees the old one or the new one. Raises OSError."""
    write_atomically(path, json.dumps(study.model_dump(mode="json"), separators=(",", ":")) + "\n")


def read_study(path: Path) -> StudyResult:
    """Return the study in `path`.

    Raises:
        StudyError: there is no such file, it cannot be read, or it is no study of this format.
    """
    try:
        return StudyResult.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise StudyError(f"There is no study at {path.name}; make it with python -m trainer study-report.") from error
    except OSError as error:
        raise StudyError(f"{path.name} cannot be read ({error.strerror}).") from error
    except ValidationError as error:
        raise StudyError(f"{path.name} is no study of this version; make it again.") from error
