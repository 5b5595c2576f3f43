"""The charts of the report's pages, as SVG (see `trainer.study.svg`)."""

from collections.abc import Sequence

from markupsafe import Markup

from shared.schemas.wire import SLOTS
from shared.study import NATIVE_PIXELS, UNDAMAGED, Cell, Corruption, Curve, ReliabilityBin, RobustnessPoint
from trainer.study.svg import Bar, Line, chart


def roc(cell: Cell) -> Markup:
    """Return the ROC curve of each emotion and mean."""
    return _curves("ROC", "false positive rate", "true positive rate", cell.roc, rising=True)


def precision_recall(cell: Cell) -> Markup:
    """Return the precision at each recall, of each emotion and over all pairs."""
    return _curves("Precision and recall", "recall", "precision", cell.precision_recall, rising=False)


def _curves(name: str, x_title: str, y_title: str, curves: Sequence[Curve], *, rising: bool) -> Markup:
    lines = [Line(curve.name, curve.name, curve.x, curve.y) for curve in curves]
    return chart(name, x_title, y_title, lines=lines, rising=rising)


def reliability(bins: Sequence[ReliabilityBin]) -> Markup:
    """Return accuracy by confidence."""
    bars = [
        Bar(f"{one.count} images: confidence {one.confidence:.2f}, right {share:.2f}", one.low, one.high, share)
        for one in bins
        if (share := one.accuracy) is not None
    ]
    return chart("Reliability", "confidence", "share that is right", bars=bars, rising=True)


def damage_lines(corruption: Corruption, points: Sequence[RobustnessPoint]) -> list[Line]:
    """Return each model's accuracy by severity; damage grows to the right, from undamaged faces."""
    places = _places(corruption)
    whole = next(iter(places))
    lines = []
    for slot in SLOTS:
        own = {
            whole if point.corruption == UNDAMAGED else point.severity: point.accuracy.value
            for point in points
            if point.model == slot and point.corruption in (UNDAMAGED, corruption.name)
        }
        there = [level for level in places if level in own]
        if there:
            lines.append(Line(slot, slot, [places[level] for level in there], [own[level] for level in there]))
    return lines


def damage(corruption: Corruption, lines: Sequence[Line]) -> Markup:
    """Return what one damage costs, as `damage_lines` has it."""
    ticks = [(place, f"{level:g}") for level, place in _places(corruption).items()]
    return chart(corruption.title, corruption.unit, "accuracy", lines=lines, x_ticks=ticks)


def _places(corruption: Corruption) -> dict[float, float]:
    """Return where severities stand on the axis, evenly apart; what stands for undamaged comes first."""
    whole = NATIVE_PIXELS if corruption.severities[0] > corruption.severities[-1] else 0.0
    levels = (whole, *corruption.severities)
    return {level: (index + 0.5) / len(levels) for index, level in enumerate(levels)}
