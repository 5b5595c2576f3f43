"""The tables of the report's pages: their headings and rows, as text and as estimates. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup

from shared.schemas.wire import SLOTS
from shared.study import (
    AREA_RESAMPLES,
    UNDAMAGED,
    Agreement,
    Cell,
    Corruption,
    Estimate,
    RobustnessPoint,
    Shapley,
    StudyResult,
    Subset,
)

METRICS: Final = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "weighted_f1": "weighted F1",
    "macro_auc": "macro AUC",
    "micro_auc": "micro AUC",
    "weighted_auc": "weighted AUC",
    "macro_ap": "macro AP",
}
"""The figures of a cell, as headings."""

CLASS_FIGURES: Final = {"accuracy": "accuracy", "precision": "precision", "f1": "F1", "auc": "AUC", "ap": "AP"}
PARTS: Final = {
    Subset.ALL: "all test images",
    Subset.PUBLIC: "PublicTest",
    Subset.PRIVATE: "PrivateTest",
    Subset.CLEAN: "not in the training split",
}

Value = str | Estimate | None
"""A cell: text, or a share that is shown in per cent with its interval; a dash for None."""


class Table(NamedTuple):
    """A heading for each column, and rows of as many cells; the first cell is the row's heading."""

    head: Sequence[str]
    rows: Sequence[Sequence[Value]]


def hundredths(value: float) -> str:
    """Return a share in per cent, with no minus before 0."""
    return f"{round(value * 100, 1) + 0.0:.1f}"


def anchor(model: str, view: str) -> str:
    """Return the id of a cell's details on the page of a study."""
    return f"{model}-on-{view}"


def of_views(cells: Sequence[Cell]) -> Table:
    """Return the figures of each view, with a link to its section."""
    links = [Markup("<a href='#{0}'>{0}</a>").format(cell.evaluated_on) for cell in cells]
    return Table(
        ["view", *METRICS.values(), "ECE", "ECE, scaled", "NLL, scaled, nats"],
        [[link, *_figures(cell)] for link, cell in zip(links, cells, strict=True)],
    )


def of_parts(study: StudyResult, cell: Cell) -> Table:
    """Return the figures of a model on a view on each part of the test set."""
    found = [study.cell(cell.trained_on, cell.evaluated_on, part) for part in PARTS]
    return Table(
        ["part", "images", *METRICS.values(), "ECE", "ECE, scaled", "NLL, scaled, nats"],
        [[PARTS[one.subset], f"{one.count:,}", *_figures(one)] for one in found if one],
    )


def _figures(cell: Cell) -> list[Value]:
    means: list[Value] = [getattr(cell.metrics, name) for name in METRICS]
    return [*means, cell.calibration.ece_before, cell.calibration.ece_after, f"{cell.calibration.nll_after.value:.3f}"]


def of_classes(cell: Cell) -> Table:
    """Return the figures of each emotion."""
    return Table(
        ["emotion", "images", *CLASS_FIGURES.values(), "share of the images", "mean probability"],
        [
            [
                row.label,
                f"{row.count:,}",
                *(getattr(row, name) for name in CLASS_FIGURES),
                hundredths(row.count / cell.count),
                None if row.mean_probability is None else hundredths(row.mean_probability),
            ]
            for row in cell.classes
        ],
    )


def of_recovery(study: StudyResult) -> Table:
    """Return what training on a hidden half wins back of what hiding it cost."""
    return Table(
        ["hidden", "full on whole faces", "full here", "model here", "loss, points", "won back, %"],
        [
            [
                f"{row.view}, model {row.model}",
                *(f"{value * 100:.1f}" for value in (row.full_on_full, row.full_on_view, row.model_on_view)),
                row.loss,
                row.recovered,
            ]
            for row in study.recovery
        ],
    )


def damaged_images(study: StudyResult) -> str:
    """Return on which images damage was measured, in words."""
    everything = study.protocol.subsets[Subset.ALL]
    images = study.robustness.images or everything
    return f"{images:,} test images, drawn at random" if images < everything else f"all {images:,} test images"


def of_robustness(study: StudyResult) -> Table:
    """Return the accuracy of every model under every damage."""
    damage = study.robustness
    found: dict[tuple[str, str, float], RobustnessPoint] = {
        (point.model, point.corruption, point.severity): point for point in damage.points
    }
    kinds = [(UNDAMAGED, 0.0, "undamaged")]
    for one in damage.corruptions:
        kinds += [(one.name, level, _damage_words(one, level)) for level in one.severities]
    return Table(
        ["damage", *SLOTS],
        [[words, *(_accuracy(found.get((slot, name, level))) for slot in SLOTS)] for name, level, words in kinds],
    )


def _damage_words(corruption: Corruption, severity: float) -> str:
    if len(corruption.severities) == 1:
        return corruption.title
    return f"{corruption.title}, {severity:g} {corruption.unit}"


def _accuracy(point: RobustnessPoint | None) -> Estimate | None:
    return point.accuracy if point else None


def of_shapley(shapley: Shapley) -> Table:
    """Return what each quarter, and each half, is worth."""
    return Table(
        [
            "images",
            "of",
            "nothing seen",
            "top right",
            "top left",
            "bottom left",
            "bottom right",
            "all seen",
            "upper half",
            "lower half",
            "upper less lower",
            "left less right",
        ],
        [
            [
                row.label or "all",
                f"{row.count:,}",
                f"{row.prior * 100:.1f}",
                *row.quadrants,
                f"{row.whole * 100:.1f}",
                row.upper,
                row.lower,
                row.upper_less_lower,
                row.left_less_right,
            ]
            for row in shapley.rows
        ],
    )


def of_agreement(one: Agreement) -> Table:
    """Return on how many of the faces the specialists agree, and are right."""
    return Table(
        ["of the faces", "%"],
        [
            ["Fleiss' kappa", one.fleiss_kappa],
            ["all answer alike", one.all_alike],
            ["all are right", one.all_right],
            ["none is right", one.none_right],
        ],
    )


def of_kappas(one: Agreement) -> Table:
    """Return how far each two of the specialists agree."""
    return Table(
        ["Cohen's kappa, hundredths", *one.models],
        [
            [model, *(f"{kappa * 100:.1f}" for kappa in kappas)]
            for model, kappas in zip(one.models, one.kappa, strict=True)
        ],
    )


def of_speed(study: StudyResult) -> Table:
    """Return the speed and the size of each model beside its accuracy."""
    rows: list[list[Value]] = []
    for model in study.models:
        cell, speed = study.cell(model.slot, "full" if model.slot == "any" else model.slot), model.latency
        rows.append(
            [
                model.slot,
                model.version,
                f"{model.architecture}, {model.parameters / 1e6:.1f} M",
                cell.metrics.accuracy if cell else None,
                f"{model.size_bytes / 1e6:.1f}",
                f"{speed.one_face_ms:.1f}" if speed else None,
                f"{speed.batch_32_ms:.0f}" if speed else None,
                f"{model.temperature:.2f}",
            ]
        )
    head = [
        "slot",
        "version",
        "network",
        "accuracy, own view",
        "file, MB",
        "one face, ms",
        "32 faces, ms",
        "temperature",
    ]
    return Table(head, rows)


def machines(study: StudyResult) -> str:
    """Return on what the speed was measured."""
    found = {f"{model.latency.machine}, threads: {model.latency.threads}" for model in study.models if model.latency}
    return "; ".join(sorted(found)) or "no machine"


def of_tests(study: StudyResult) -> Table:
    """Return every paired test."""
    return Table(
        [
            "test",
            "family",
            "images",
            "only first right",
            "only second right",
            "difference, points",
            "macro F1, points",
            "odds ratio",
            "Cohen's g",
            "p",
            "p corrected",
        ],
        [
            [
                test.id,
                test.family,
                f"{test.n:,}",
                f"{test.only_first:,}",
                f"{test.only_second:,}",
                test.difference,
                test.macro_f1_difference,
                f"{test.odds_ratio.value:.2f}",
                f"{test.cohens_g:.3f}",
                f"{test.p:.2g}",
                f"{test.p_corrected:.2g}",
            ]
            for test in study.tests
        ],
    )


def of_protocol(study: StudyResult) -> Table:
    """Return how the study was made."""
    protocol = study.protocol
    return Table(
        ["", "what was done"],
        [
            ["Data", f"{protocol.data}; {protocol.train:,} training, {protocol.validation:,} validation images"],
            ["Test images", ", ".join(f"{name} {count:,}" for name, count in protocol.subsets.items())],
            ["Copies", "; ".join(_copies(study))],
            ["Training", protocol.training],
            ["Selection", protocol.selection],
            ["Evaluation", protocol.evaluation],
            [
                "Intervals",
                f"95 %, {protocol.resamples:,} resamples of the test images, seed {protocol.bootstrap_seed}; of areas "
                f"under curves (AUC, AP) the first {min(AREA_RESAMPLES, protocol.resamples):,}",
            ],
            ["Seeds of the trainings", ", ".join(map(str, protocol.seeds))],
            ["Made", f"{protocol.created}, revision {protocol.revision or 'not noted'}"],
            ["Fingerprint of the data", protocol.fingerprint],
        ],
    )


def _copies(study: StudyResult) -> list[str]:
    leaks = study.protocol.leaks
    counts = [f"{leaks.equal:,} test images stand in the training split pixel for pixel, {leaks.near:,} more nearly so"]
    if leaks.train_repeats is not None:
        counts.append(
            f"{leaks.train_repeats:,} training and {leaks.test_repeats or 0:,} test images repeat another one"
        )
        counts.append(f"{leaks.conflicting or 0:,} different images stand there under several labels")
    if leaks.left_out:
        left_out = ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in leaks.left_out.items())
        counts.append(f"training images left out: {left_out}")
    return counts
