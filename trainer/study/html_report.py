"""The page of one model's evaluation: tables, confusion matrices, curves and reliability, light or dark as the reader
has it. One self-contained file of HTML, CSS and SVG without a script."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Final

from shared.labels import LABELS
from shared.masking import View
from shared.study import Calibration, Cell, Curve, Estimate, ReliabilityBin
from trainer.study.svg import Bar, Line, chart

STYLE: Final = Path(__file__).with_name("report.css")
METRIC_TITLES: Final = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "weighted_f1": "weighted F1",
    "macro_auc": "macro AUC",
    "micro_auc": "micro AUC",
    "weighted_auc": "weighted AUC",
    "macro_ap": "macro AP",
}
CLASS_TITLES: Final = {"accuracy": "accuracy", "precision": "precision", "f1": "F1", "auc": "AUC", "ap": "AP"}


def page(title: str, images: int, cells: Sequence[Cell]) -> str:
    """Return the page: HTML that needs no other file.

    Args:
        title: its heading.
        images: how many test images were read.
        cells: the figures of each view, curves and reliability bins included.
    """
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            f"<p>{images:,} test images, each seen once. A view is named after what it hides. In per cent; below each "
            "figure its 95 % interval over images (bootstrap). AUC and AP (average precision): one emotion against the "
            "rest. ECE: expected calibration error, before and after the logits are scaled.</p>",
            _overview(cells),
            *(_section(cell) for cell in cells),
            "</main></body></html>",
        ]
    )


def _overview(cells: Sequence[Cell]) -> str:
    rows = [
        [f"<a href='#{cell.evaluated_on}'>{cell.evaluated_on}</a>"]
        + [_percent(getattr(cell.metrics, name)) for name in METRIC_TITLES]
        + [_percent(cell.calibration.ece_before), _percent(cell.calibration.ece_after)]
        for cell in cells
    ]
    return _table(["view", *METRIC_TITLES.values(), "ECE", "ECE, scaled"], rows)


def _section(cell: Cell) -> str:
    hidden = "nothing hidden" if cell.evaluated_on == View.FULL else f"{cell.evaluated_on} part hidden"
    classes = [
        [row.label, f"{row.count:,}", *(_percent(getattr(row, name)) for name in CLASS_TITLES)] for row in cell.classes
    ]
    return "\n".join(
        [
            f"<section id='{cell.evaluated_on}'><h2>{cell.evaluated_on}: {hidden}</h2>",
            _table(["emotion", "images", *CLASS_TITLES.values()], classes),
            "<div class='charts'>",
            _figure("Confusion: share of each emotion's images, in per cent", _confusion(cell)),
            _figure("ROC", _curves("ROC", "false positive rate", "true positive rate", cell.roc, rising=True)),
            _figure(
                "Precision and recall",
                _curves("Precision and recall", "recall", "precision", cell.precision_recall, rising=False),
            ),
            _figure("Reliability as the network answers", _reliability(cell.calibration.before)),
            _figure(_scaled_title(cell.calibration), _reliability(cell.calibration.after)),
            "</div></section>",
        ]
    )


def _scaled_title(calibration: Calibration) -> str:
    return f"Reliability with logits divided by {calibration.temperature:.2f}"


def _figure(title: str, content: str) -> str:
    return f"<figure><figcaption>{title}</figcaption>{content}</figure>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th scope='col'>{cell}</th>" for cell in head)
    body = "".join(
        f"<tr><th scope='row'>{row[0]}</th>{''.join(f'<td>{cell}</td>' for cell in row[1:])}</tr>" for row in rows
    )
    return f"<div class='wide'><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _percent(figure: Estimate | None) -> str:
    if figure is None:
        return "–"
    if figure.low is None or figure.high is None:
        return f"{figure.value * 100:.1f}"
    return f"{figure.value * 100:.1f}<small>{figure.low * 100:.1f} to {figure.high * 100:.1f}</small>"


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
