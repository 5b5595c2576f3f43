"""One cell of the study as HTML: its emotions, confusion matrix, curves and reliability."""

from collections.abc import Sequence
from typing import Final

from shared.labels import LABELS
from shared.study import Calibration, Cell, Curve, ReliabilityBin
from trainer.study.html_parts import figure, percent, table
from trainer.study.svg import Bar, Line, chart

CLASS_TITLES: Final = {"accuracy": "accuracy", "precision": "precision", "f1": "F1", "auc": "AUC", "ap": "AP"}


def cell_details(cell: Cell) -> str:
    """Return the figures of each emotion, and the charts; `cell` has its curves and reliability bins."""
    classes = [
        [row.label, f"{row.count:,}", *(percent(getattr(row, name)) for name in CLASS_TITLES)] for row in cell.classes
    ]
    return "\n".join(
        [
            table(["emotion", "images", *CLASS_TITLES.values()], classes),
            "<div class='charts'>",
            figure("Confusion: share of each emotion's images, in per cent", _confusion(cell)),
            figure("ROC", _curves("ROC", "false positive rate", "true positive rate", cell.roc, rising=True)),
            figure(
                "Precision and recall",
                _curves("Precision and recall", "recall", "precision", cell.precision_recall, rising=False),
            ),
            figure("Reliability as the network answers", _reliability(cell.calibration.before)),
            figure(_scaled_title(cell.calibration), _reliability(cell.calibration.after)),
            "</div>",
        ]
    )


def _scaled_title(calibration: Calibration) -> str:
    return f"Reliability with logits divided by {calibration.temperature:.2f}"


def _confusion(cell: Cell) -> str:
    head = "".join(f"<th scope='col'>{label}</th>" for label in LABELS)
    rows = []
    for label, counts in zip(LABELS, cell.confusion, strict=True):
        total = sum(counts) or 1
        shares = [100 * count / total for count in counts]
        rows.append(
            f"<tr><th scope='row'>{label}</th>"
            + "".join(
                f"<td style='--share:{share:.0f}%' title='{count} images'>{share:.0f}</td>"
                for share, count in zip(shares, counts, strict=True)
            )
            + "</tr>"
        )
    return f"<table class='confusion'><thead><tr><th>true \\ answer</th>{head}</tr></thead>{''.join(rows)}</table>"


def _curves(name: str, x_title: str, y_title: str, curves: Sequence[Curve], *, rising: bool) -> str:
    drawn = chart(
        name,
        x_title,
        y_title,
        lines=[Line(curve.name, curve.name, curve.x, curve.y) for curve in curves],
        rising=rising,
    )
    key = "".join(f"<li class='{curve.name}'>{curve.name}</li>" for curve in curves)
    return f"{drawn}<ul class='key'>{key}</ul>"


def _reliability(bins: Sequence[ReliabilityBin]) -> str:
    bars = [
        Bar(f"{one.count} images: confidence {one.confidence:.2f}, right {share:.2f}", one.low, one.high, share)
        for one in bins
        if (share := one.accuracy) is not None
    ]
    return chart("Reliability", "confidence", "share that is right", bars=bars, rising=True)
