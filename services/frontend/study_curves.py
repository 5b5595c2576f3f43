"""The study's curves and dots (Altair): ROC, precision-recall, reliability, robustness, recovery. Pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import altair as alt

from services.frontend.charts import EMOTION_COLOURS, Chart, inline, names_axis
from services.frontend.study_charts import Row
from services.frontend.study_palette import ACCENT, GREY, MEAN_COLOUR, MODEL_COLOURS
from services.frontend.study_tables import damage_kinds, points_of
from services.frontend.study_words import NAMES, hundredths, interval
from shared.schemas.wire import SLOTS
from shared.study import (
    NATIVE_PIXELS,
    UNDAMAGED,
    Calibration,
    Corruption,
    Curve,
    Estimate,
    Recovery,
    Robustness,
    RobustnessPoint,
)

MEAN_DASHES: Final = {"macro": [4, 2, 1, 2], "micro": [6, 3], "weighted": [2, 2]}
"""All means are dashed, since their gray is close to that of the emotion neutral."""
NARROW: Final[dict[str, Any]] = {"labelLimit": 150, "labelPadding": 8, "labelOffset": -6}
"""Room for names of two lines, on a phone too; their middle beside what they name."""
PERCENT: Final = alt.Axis(format="%", tickCount=5)
UNIT: Final = alt.Scale(domain=[0, 1], nice=False)


def class_curves(
    curves: Sequence[Curve], areas: Mapping[str, Estimate | None], x_title: str, y_title: str, *, chance: bool
) -> Chart:
    """Return curves of the emotions and of their means; a click in the legend brings one out.

    Args:
        curves: as in the study.
        areas: a curve's name to the area under it, which the legend gives in hundredths.
        x_title: of the axis.
        y_title: of the axis.
        chance: also draw the diagonal that guessing gives.
    """
    names = {curve.name: _with_area(curve.name, areas.get(curve.name)) for curve in curves}
    rows: list[Row] = [
        {"curve": names[curve.name], "x": x, "y": y, "order": order}
        for curve in curves
        for order, (x, y) in enumerate(zip(curve.x, curve.y, strict=True))
    ]
    colours = [EMOTION_COLOURS.get(curve.name, MEAN_COLOUR) for curve in curves]
    dashes = [MEAN_DASHES.get(curve.name, [1, 0]) for curve in curves]
    legend = alt.Legend(title=None, orient="bottom", columns=2, symbolType="stroke", symbolStrokeWidth=3)
    brought = alt.selection_point(fields=["curve"], bind="legend")
    domain = list(names.values())
    lines = (
        alt.Chart(inline(rows))
        .mark_line(strokeWidth=2.2)
        .encode(
            x=alt.X("x:Q", title=x_title, scale=UNIT, axis=PERCENT),
            y=alt.Y("y:Q", title=y_title, scale=UNIT, axis=PERCENT),
            order="order:Q",
            color=alt.Color("curve:N", sort=domain, scale=alt.Scale(domain=domain, range=colours), legend=legend),
            strokeDash=alt.StrokeDash(
                "curve:N", sort=domain, scale=alt.Scale(domain=domain, range=dashes), legend=legend
            ),
            opacity=alt.condition(brought, alt.value(1.0), alt.value(0.12)),
            tooltip=[
                alt.Tooltip("curve:N", title="Curve and area"),
                alt.Tooltip("x:Q", title=x_title, format=".1%"),
                alt.Tooltip("y:Q", title=y_title, format=".1%"),
            ],
        )
        .add_params(brought)
    )
    return alt.layer(*([_diagonal()] if chance else []), lines).properties(height=400)


def _with_area(name: str, area: Estimate | None) -> str:
    return f"{name} {hundredths(area.value)}" if area else name


def _diagonal() -> Chart:
    ends: list[Row] = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
    return (
        alt.Chart(inline(ends))
        .mark_line(strokeDash=[3, 4], strokeWidth=1.2, color=MEAN_COLOUR, opacity=0.7)
        .encode(x=alt.X("x:Q", scale=UNIT), y=alt.Y("y:Q", scale=UNIT))
    )


def reliability(calibration: Calibration) -> Chart:
    """Return accuracy by confidence, before and after temperature scaling; a dot's area is its number of images."""
    series = {"before": calibration.before, "after": calibration.after}
    rows: list[Row] = [
        {"scaling": name, "confidence": each.confidence, "accuracy": each.accuracy, "images": each.count}
        for name, bins in series.items()
        for each in bins
        if each.confidence is not None and each.accuracy is not None
    ]
    scale = alt.Scale(domain=list(series), range=[MEAN_COLOUR, ACCENT])
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("confidence:Q", title="Confidence", scale=UNIT, axis=PERCENT),
        y=alt.Y("accuracy:Q", title="Accuracy", scale=UNIT, axis=PERCENT),
        color=alt.Color("scaling:N", sort=None, scale=scale, legend=alt.Legend(title=None, orient="bottom")),
        tooltip=[
            alt.Tooltip("scaling:N", title="Temperature scaling"),
            alt.Tooltip("confidence:Q", format=".1%"),
            alt.Tooltip("accuracy:Q", format=".1%"),
            alt.Tooltip("images:Q", title="Images", format=","),
        ],
    )
    dots = base.mark_circle(opacity=0.9).encode(
        size=alt.Size("images:Q", scale=alt.Scale(range=[12, 320]), legend=None)
    )
    return alt.layer(_diagonal(), base.mark_line(strokeWidth=2), dots).properties(height=360)


def robustness_curve(corruption: Corruption, points: Sequence[RobustnessPoint]) -> Chart:
    """Return accuracy by severity, a line for each model.

    Where damage grows with the severity, undamaged faces stand at 0. Where it falls (pixels a side), they stand at
    their native size, and the axis runs backwards, so that damage grows to the right here too.
    """
    backwards = corruption.severities[0] > corruption.severities[-1]
    whole = {"severity": NATIVE_PIXELS if backwards else 0.0}
    rows = [
        _point(point) | (whole if point.corruption == UNDAMAGED else {})
        for point in points
        if point.corruption in (UNDAMAGED, corruption.name)
    ]
    axis = alt.Axis(title=corruption.unit[:1].upper() + corruption.unit[1:], tickCount=6)
    return (
        alt.Chart(inline(rows))
        .mark_line(point=alt.OverlayMarkDef(size=45, filled=True), strokeWidth=2.2)
        .encode(
            x=alt.X("severity:Q", axis=axis, scale=alt.Scale(reverse=backwards, nice=False, zero=not backwards)),
            y=alt.Y("accuracy:Q", title="Accuracy", axis=PERCENT, scale=alt.Scale(zero=False)),
            color=_models(),
            tooltip=_point_tooltip("severity:Q"),
        )
        .properties(height=270)
    )


def robustness_dots(corruptions: Sequence[Corruption], points: Sequence[RobustnessPoint]) -> Chart:
    """Return the accuracy of each model under damage of one severity, with intervals, beside undamaged faces."""
    titles = {UNDAMAGED: "Undamaged", **{corruption.name: corruption.title for corruption in corruptions}}
    rows = [{**_point(point), "damage": titles[point.corruption]} for point in points if point.corruption in titles]
    axis = names_axis(**NARROW, labelExpr=_two_lines(titles.values()))
    base = alt.Chart(inline(rows)).encode(
        y=alt.Y("damage:N", sort=list(titles.values()), axis=axis, scale=alt.Scale(padding=0.25)),
        yOffset=alt.YOffset("model:N", sort=[NAMES[slot] for slot in SLOTS]),
        color=_models(),
        tooltip=[alt.Tooltip("damage:N", title="Damage"), *_point_tooltip()],
    )
    dots = base.mark_circle(size=70, opacity=1).encode(
        x=alt.X("accuracy:Q", title="Accuracy", axis=PERCENT, scale=alt.Scale(zero=False))
    )
    return alt.layer(base.mark_rule(strokeWidth=2).encode(x="low:Q", x2="high:Q"), dots).properties(
        height=88 * len(titles)
    )


def robustness_of(damage: Robustness, model: str) -> Chart:
    """Return one model's accuracy under every damage and severity, with intervals; a line marks undamaged faces."""
    points = points_of(damage, model)
    rows = [
        {**_point(points[name, level]), "damage": f"{title}, {words}" if words else title}
        for name, level, title, words in damage_kinds(damage)
        if (name, level) in points
    ]
    order = [str(row["damage"]) for row in rows]
    base = alt.Chart(inline(rows)).encode(
        y=alt.Y("damage:N", sort=order, axis=names_axis(**NARROW, labelExpr=_two_lines(order), labelOverlap=False)),
        tooltip=[alt.Tooltip("damage:N", title="Damage"), *_point_tooltip()],
    )
    x = alt.X("accuracy:Q", title="Accuracy", axis=PERCENT, scale=alt.Scale(zero=False))
    whole = alt.Chart(inline(rows[:1])).mark_rule(strokeDash=[3, 4], color=GREY).encode(x=x)
    intervals = base.mark_rule(strokeWidth=2, color=MODEL_COLOURS[model]).encode(x="low:Q", x2="high:Q")
    dots = base.mark_circle(size=70, opacity=1, color=MODEL_COLOURS[model]).encode(x=x)
    return alt.layer(whole, intervals, dots).properties(height=32 * len(rows) + 40)


def _two_lines(titles: Any) -> str:
    """Return an expression that breaks each title at the space nearest to its middle."""
    broken = {title: _broken(title) for title in titles}
    return f"{broken!r}[datum.label]"


def _broken(title: str) -> list[str]:
    spaces = [index for index, letter in enumerate(title) if letter == " "]
    if len(title) < 16 or not spaces:
        return [title]
    middle = min(spaces, key=lambda index: abs(index - len(title) / 2))
    return [title[:middle], title[middle + 1 :]]


def _point(point: RobustnessPoint) -> Row:
    return {
        "model": NAMES[point.model],
        "severity": point.severity,
        "accuracy": point.accuracy.value,
        "low": point.accuracy.low,
        "high": point.accuracy.high,
        "interval": interval(point.accuracy),
    }


def _point_tooltip(*fields: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("model:N", title="Model"),
        *(alt.Tooltip(field) for field in fields),
        alt.Tooltip("accuracy:Q", title="Accuracy", format=".1%"),
        alt.Tooltip("interval:N", title="95 % interval"),
    ]


def _models() -> alt.Color:
    scale = alt.Scale(domain=[NAMES[slot] for slot in SLOTS], range=[MODEL_COLOURS[slot] for slot in SLOTS])
    return alt.Color("model:N", scale=scale, legend=None)


def _won_back(share: Estimate) -> str:
    """Return a share in whole per cent, with its interval."""
    value, *ends = (
        f"{round(each * 100)}".replace("-", "−") for each in (share.value, share.low, share.high) if each is not None
    )
    return f"{value} % ({' to '.join(ends)})" if ends else f"{value} %"


def recovery(rows: Sequence[Recovery]) -> Chart:
    """Return, for each hidden half, the way from `full` to a model trained on it, with the share won back."""
    values: list[Row] = [
        {
            "view": f"{NAMES[row.view]}{', any' if row.model == 'any' else ''}",
            "model": NAMES[row.model],
            "from": row.full_on_view,
            "to": row.model_on_view,
            "whole": row.full_on_full,
            "end": max(row.full_on_view, row.model_on_view),
            "text": _won_back(row.recovered) if row.recovered else "",
            "interval": interval(row.recovered) if row.recovered else "–",
        }
        for row in rows
    ]
    order = [str(value["view"]) for value in values]
    base = alt.Chart(inline(values)).encode(
        y=alt.Y("view:N", sort=order, axis=names_axis(labelPadding=8, labelLimit=130)),
        tooltip=[
            alt.Tooltip("model:N", title="Model trained with"),
            alt.Tooltip("from:Q", title="Whole-face model here", format=".1%"),
            alt.Tooltip("to:Q", title="This model here", format=".1%"),
            alt.Tooltip("whole:Q", title="Whole-face model, whole faces", format=".1%"),
            alt.Tooltip("text:N", title="Won back"),
            alt.Tooltip("interval:N", title="95 % interval"),
        ],
    )
    scale = alt.Scale(zero=False, padding=24)
    start = base.mark_point(size=70, filled=False, strokeWidth=2, color=MODEL_COLOURS["full"], opacity=1).encode(
        x=alt.X("from:Q", title="Accuracy", axis=PERCENT, scale=scale)
    )
    way = base.mark_rule(strokeWidth=3, opacity=0.55).encode(x="from:Q", x2="to:Q", color=_models())
    end = base.mark_circle(size=90, opacity=1).encode(x="to:Q", color=_models())
    words = base.mark_text(align="left", dx=10, fontSize=12, fontWeight=600, color=MEAN_COLOUR).encode(
        x="end:Q", text="text:N"
    )
    whole = base.mark_tick(thickness=2, size=24, color=MODEL_COLOURS["full"]).encode(x="whole:Q")
    return alt.layer(way, start, end, whole, words).properties(height=38 * len(values) + 40)
