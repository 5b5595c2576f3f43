"""The longer tables of the page Study as rows of text: damage, of all models or of one; quadrants. Pure functions."""

from collections.abc import Iterator

from services.frontend.study_words import NAMES, with_interval
from shared.study import UNDAMAGED, Estimate, Robustness, RobustnessPoint, Shapley


def damage_rows(damage: Robustness) -> list[dict[str, str]]:
    """Return the table of what damage costs: a line for each damage and severity, the accuracy of each model."""
    found = {(str(point.model), point.corruption, point.severity): point.accuracy for point in damage.points}
    return [
        {
            "Damage": title,
            "Severity": severity,
            **{NAMES[slot]: with_interval(found.get((slot, name, level))) for slot in NAMES},
        }
        for name, level, title, severity in damage_kinds(damage)
    ]


def damage_of_rows(damage: Robustness, model: str) -> list[dict[str, str]]:
    """Return the same of one model, with macro F1 and with what it loses or gains beside undamaged faces."""
    points = points_of(damage, model)
    changes = any(point.change for point in points.values())  # a study from before them has none
    return [
        {
            "Damage": title,
            "Severity": severity,
            "Accuracy, %": with_interval(point.accuracy),
            **({"Change, points": with_interval(point.change) if point.change else ""} if changes else {}),
            "Macro F1, %": with_interval(point.macro_f1),
        }
        for name, level, title, severity in damage_kinds(damage)
        if (point := points.get((name, level)))
    ]


def damage_kinds(damage: Robustness) -> Iterator[tuple[str, float, str, str]]:
    """Yield each damage and severity, the undamaged faces first: name, severity, title, the severity in words."""
    yield UNDAMAGED, 0.0, "Undamaged", ""
    for each in damage.corruptions:
        for level in each.severities:
            yield each.name, level, each.title, severity_words(level, each.unit) if len(each.severities) > 1 else ""


def severity_words(level: float, unit: str) -> str:
    """Return a severity in words: "10 % of the area", "σ 8 gray levels", "24 pixels a side"."""
    if unit.startswith("share of "):
        return f"{level * 100:g} % {unit.removeprefix('share ')}"
    if unit.startswith("deviation in "):
        return f"σ {level:g} {unit.removeprefix('deviation in ')}"
    return f"{level:g} {unit}"


def points_of(damage: Robustness, model: str) -> dict[tuple[str, float], RobustnessPoint]:
    """Return one model's points by damage and severity."""
    return {(point.corruption, point.severity): point for point in damage.points if point.model == model}


def shapley_rows(shapley: Shapley) -> list[dict[str, str]]:
    """Return what each quadrant and each half adds, with intervals, a line for each emotion, all of them first."""
    return [
        {
            "Labelled": row.label or "all",
            "Images": f"{row.count:,}",
            "Nothing seen": _points(row.prior),
            "Top right": with_interval(row.quadrants[0]),
            "Top left": with_interval(row.quadrants[1]),
            "Bottom left": with_interval(row.quadrants[2]),
            "Bottom right": with_interval(row.quadrants[3]),
            "All seen": _points(row.whole),
            "Upper half": with_interval(row.upper),
            "Lower half": with_interval(row.lower),
            "Upper minus lower": with_interval(row.upper_less_lower),
            "Left half": with_interval(row.left),
            "Right half": with_interval(row.right),
            "Left minus right": with_interval(row.left_less_right),
        }
        for row in sorted(shapley.rows, key=lambda row: row.label is not None)
    ]


def _points(share: float) -> str:
    return f"{share * 100:.1f}"


def widest_reach(damage: Robustness) -> float | None:
    """Return how far the widest interval of an accuracy reaches to each side, as a share of 1; None without any."""
    return max((reach for point in damage.points if (reach := _reach(point.accuracy)) is not None), default=None)


def _reach(estimate: Estimate) -> float | None:
    return None if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2
