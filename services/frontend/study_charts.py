"""The study's matrices and bars (Altair): heat map, confusion, agreement, emotions. Pure functions to charts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import altair as alt

from services.frontend.charts import EMOTION_COLOURS, Chart, inline, names_axis
from services.frontend.study_figures import Grid
from services.frontend.study_palette import ACCENT, AMOUNTS, DIFFERENCES, NO_FIGURE, colour, ink, place
from services.frontend.study_words import ALL, NAMES, hundredths, interval, p_words, signed
from shared.labels import LABELS
from shared.study import Agreement, Cell, Estimate

ROW_HEIGHT: Final = 50
SELECTION: Final = "cell"
SURE_BELOW: Final = 0.05
"""A corrected p below this is marked with a star."""
ON_TOP: Final = -5
"""Pixels by which a bar is drawn above the middle of its row, so that its interval has a place of its own below."""
TWO_LINES: Final = "split(datum.label, ' ')"

Row = dict[str, object]


def heat_map(
    grid: Grid, domain: tuple[float, float], *, difference: bool, chosen: tuple[str, str] | None = None
) -> Chart:
    """Return models (rows) by views (columns), a number in each cell, the chosen cell framed.

    A click selects: the selection is called `SELECTION` and has the names of the cell's `model` and `view`.

    Args:
        grid: shares of 1, shown in hundredths.
        domain: the shares at the two ends of the colours.
        difference: whether the figures are differences, coloured about 0.
        chosen: model and view of the cell to frame.
    """
    scale, words = (DIFFERENCES, signed) if difference else (AMOUNTS, hundredths)
    rows = [
        {
            "model": NAMES[model],
            "view": NAMES[view],
            **_tile(figure.value if figure else None, domain, scale, words),
            "interval": interval(figure) if figure else "–",
            "chosen": (model, view) == chosen,
        }
        for (model, view), figure in grid.items()
    ]
    models = list(dict.fromkeys(str(row["model"]) for row in rows))
    base = _matrix(rows, ("view", "Tested with", list(dict.fromkeys(str(row["view"]) for row in rows)), TWO_LINES))
    base = base.encode(
        y=_band("model", "Trained with", models),
        tooltip=[
            alt.Tooltip("model:N", title="Trained with"),
            alt.Tooltip("view:N", title="Tested with"),
            alt.Tooltip("text:N", title="Points" if difference else "Per cent"),
            alt.Tooltip("interval:N", title="95 % interval of ours, moved along" if difference else "95 % interval"),
        ],
    )
    click = alt.selection_point(name=SELECTION, fields=["model", "view"], on="click", toggle=False)
    tiles = _tiles(base, cursor="pointer").add_params(click)
    frame = (
        base.transform_filter("datum.chosen")
        .mark_rect(fillOpacity=0, stroke="#c2410c", strokeWidth=3, cornerRadius=4)
        .encode(tooltip=alt.value(None))
    )
    return alt.layer(tiles, _numbers(base, 14), frame).properties(height=ROW_HEIGHT * len(models))


def confusion(cell: Cell) -> Chart:
    """Return a confusion matrix: of each true emotion's images (row), the share of each answer, in per cent."""
    rows = []
    for label, counts in zip(LABELS, cell.confusion, strict=True):
        total = sum(counts)
        for answer, count in zip(LABELS, counts, strict=True):
            share = count / total if total else None
            tile = _tile(share, (0.0, 1.0), AMOUNTS, lambda value: f"{value * 100:.0f}")
            rows.append({"true": label, "answer": answer, "count": count, "total": total, **tile})
    base = _matrix(rows, ("answer", "Answer", list(LABELS), None)).encode(
        y=_band("true", "Label", list(LABELS)),
        tooltip=[
            alt.Tooltip("true:N", title="Label"),
            alt.Tooltip("answer:N", title="Answer"),
            alt.Tooltip("count:Q", title="Images", format=","),
            alt.Tooltip("total:Q", title="of the label", format=","),
            alt.Tooltip("text:N", title="Per cent"),
        ],
    )
    return alt.layer(_tiles(base), _numbers(base, 12)).properties(height=7 * 42)


def agreement(table: Agreement) -> Chart:
    """Return Cohen's kappa of each two models, in hundredths."""
    rows = [
        {
            "first": NAMES[first],
            "second": NAMES[second],
            "share": hundredths(table.share[place_one][place_two]),
            **_tile(None if first == second else table.kappa[place_one][place_two], (0.0, 1.0), AMOUNTS, hundredths),
        }
        for place_one, first in enumerate(table.models)
        for place_two, second in enumerate(table.models)
    ]
    names = [NAMES[model] for model in table.models]
    base = _matrix(rows, ("second", None, names, TWO_LINES)).encode(
        y=_band("first", None, names),
        tooltip=[
            alt.Tooltip("first:N", title="Model"),
            alt.Tooltip("second:N", title="and"),
            alt.Tooltip("text:N", title="Kappa, hundredths"),
            alt.Tooltip("share:N", title="Alike, per cent"),
        ],
    )
    return alt.layer(_tiles(base), _numbers(base, 13)).properties(height=44 * len(names))


def emotions(
    figures: Mapping[str, Estimate | None],
    beside: Mapping[str, float],
    *,
    unit: str,
    beside_title: str = "",
    differences: bool = False,
    p_values: Mapping[str, float] | None = None,
) -> Chart:
    """Return a figure of each emotion as a bar with its interval and its number, what stands beside it as a diamond.

    Args:
        figures: emotion, or `ALL`, to a share of 1; None is left out.
        beside: emotion to another share, drawn as a diamond; empty for none.
        unit: the axis title.
        beside_title: what the diamonds are.
        differences: the shares are differences: bars begin at 0 and go to both sides.
        p_values: emotion, or `ALL`, to its corrected p: a star says that it is small, and hovering how small.
    """
    rows: list[Row] = [
        {
            "emotion": label,
            "value": figure.value * 100,
            "low": (figure.value if figure.low is None else figure.low) * 100,
            "high": (figure.value if figure.high is None else figure.high) * 100,
            "end": max(0.0, figure.value, figure.high or 0.0) * 100,  # right of bar and interval
            "text": signed(figure.value) if differences else hundredths(figure.value),
            "interval": interval(figure),
            **({"p": p_words(p_values[label])} if p_values else {}),
            "star": " *" if p_values and p_values[label] < SURE_BELOW else "",
        }
        for label, figure in figures.items()
        if figure
    ]
    scale = alt.Scale(nice=False, padding=34) if differences else alt.Scale(domain=[0, 105], nice=False)
    axis = alt.Axis(tickCount=5) if differences else alt.Axis(values=[0, 20, 40, 60, 80, 100])
    base = alt.Chart(inline(rows)).encode(
        y=_band("emotion", None, [str(row["emotion"]) for row in rows]),
        tooltip=[
            alt.Tooltip("emotion:N", title="Emotion"),
            alt.Tooltip("text:N", title=unit),
            alt.Tooltip("interval:N", title="95 % interval"),
            *([alt.Tooltip("p:N", title="Corrected")] if p_values else []),
        ],
    )
    bars = base.mark_bar(cornerRadiusEnd=2, height=12, yOffset=ON_TOP).encode(
        x=alt.X("value:Q", title=unit, scale=scale, axis=axis),
        color=alt.Color(
            "emotion:N",
            scale=alt.Scale(domain=[ALL, *LABELS], range=[ACCENT, *(EMOTION_COLOURS[label] for label in LABELS)]),
            legend=None,
        ),
    )
    intervals = base.mark_rule(strokeWidth=2, color=NO_FIGURE, yOffset=-2 * ON_TOP).encode(x="low:Q", x2="high:Q")
    numbers = (
        base.transform_calculate(told="datum.text + datum.star")
        .mark_text(align="left", dx=6, fontSize=12, color=NO_FIGURE)
        .encode(x=alt.X("end:Q"), text="told:N")
    )
    layers = [bars, intervals, numbers]
    if beside:
        marks: list[Row] = [{"emotion": label, "beside": value * 100} for label, value in beside.items()]
        layers.append(
            alt.Chart(inline(marks))
            .mark_point(shape="diamond", size=70, filled=False, strokeWidth=2, color=NO_FIGURE, yOffset=ON_TOP)
            .encode(
                y=alt.Y("emotion:N"),
                x="beside:Q",
                tooltip=[alt.Tooltip("emotion:N"), alt.Tooltip("beside:Q", title=beside_title, format=".1f")],
            )
        )
    return alt.layer(*layers).properties(height=36 * len(rows) + 30)


def _tile(
    value: float | None, domain: tuple[float, float], scale: tuple[str, ...], words: Callable[[float], str]
) -> Row:
    """Return a cell's number, colour and ink; no colour and a dash where there is no figure."""
    if value is None:
        return {"text": "–", "fill": "transparent", "ink": NO_FIGURE}
    fill = colour(place(value, domain), scale)
    return {"value": round(value, 4), "text": words(value), "fill": fill, "ink": ink(fill)}


def _matrix(rows: Sequence[Row], columns: tuple[str, str | None, list[str], str | None]) -> Chart:
    field, title, order, label = columns
    axis: dict[str, Any] = {
        "orient": "top",
        "labelAngle": 0,
        "domain": False,
        "labelPadding": 22 if label else 6,  # lines go down from the first
        "labelLimit": 90,
        "labelOverlap": False,
    }
    if label:
        axis["labelExpr"] = label
    return alt.Chart(inline(rows)).encode(
        x=alt.X(
            f"{field}:N",
            sort=order,
            axis=names_axis(title, **axis),
            scale=alt.Scale(paddingInner=0.04, paddingOuter=0.02),
        )
    )


def _band(field: str, title: str | None, order: list[str]) -> alt.Y:
    axis = names_axis(title, domain=False, labelPadding=8, labelLimit=120, labelOverlap=False)
    return alt.Y(f"{field}:N", sort=order, axis=axis, scale=alt.Scale(paddingInner=0.06, paddingOuter=0.02))


def _tiles(base: Chart, cursor: str = "default") -> Chart:
    return base.mark_rect(cornerRadius=4, cursor=cursor).encode(fill=alt.Fill("fill:N", scale=None))


def _numbers(base: Chart, size: int) -> Chart:
    return base.mark_text(fontSize=size, fontWeight=500).encode(text="text:N", color=alt.Color("ink:N", scale=None))
