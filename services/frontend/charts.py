"""The charts of the pages (Altair). Pure functions from answers to charts; colours are readable in light and dark."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import altair as alt
import pandas  # noqa: F401  # Altair looks at it wherever it is loaded, and fails while another session half is

from services.frontend.words import view_name
from shared.labels import LABELS
from shared.schemas.jobs import MetricRow
from shared.schemas.predictions import Prediction

EMOTION_COLOURS: Final = {
    "angry": "#e5484d",
    "disgust": "#5f9e3e",
    "fear": "#8e6bd8",
    "happy": "#b58300",
    "neutral": "#8b95a1",
    "sad": "#3b82d6",
    "surprise": "#d9598c",
}
TRAINING_COLOUR, VALIDATION_COLOUR = "#8b95a1", "#0d9488"
CURVE_HEIGHT = 300
"""Pixels."""

Chart: TypeAlias = Any
"""An `altair.Chart`; Altair's own methods are typed in part only."""

# A model's name is broken before its last words, so that five fit side by side.
BREAK_NAME = "[split(datum.label, ' half')[0], indexof(datum.label, ' half') > 0 ? 'half hidden' : '']"


def names_axis(title: str | None = None, **settings: Any) -> alt.Axis:
    """Return an axis of names, each in the middle of its band.

    Streamlit's theme would move the first name to the band's edge, into the second one where there is little room.
    """
    return alt.Axis(title=title, ticks=False, labelFlush=False, **settings)


def probabilities(predictions: Sequence[Prediction]) -> Chart:
    """Return the models side by side, each with its seven probabilities as bars."""
    names = [view_name(prediction.model) for prediction in predictions]
    rows = [
        {"model": name, "emotion": label, "probability": prediction.probabilities.get(label, 0.0)}
        for name, prediction in zip(names, predictions, strict=True)
        for label in LABELS
    ]
    axis = names_axis(labelAngle=0, labelExpr=BREAK_NAME, labelLimit=200, labelPadding=8)
    chart = alt.Chart(inline(rows)).mark_bar(cornerRadiusEnd=2)
    return chart.encode(
        x=alt.X("model:N", sort=names, axis=axis, scale=alt.Scale(paddingInner=0.18, paddingOuter=0.09)),
        xOffset=alt.XOffset("emotion:N", sort=list(LABELS)),
        y=alt.Y("probability:Q", title=None, axis=alt.Axis(format="%", tickCount=5), scale=alt.Scale(domain=[0, 1])),
        color=_emotions("emotion:N"),
        tooltip=[
            alt.Tooltip("model:N", title="Model"),
            alt.Tooltip("emotion:N", title="Emotion"),
            alt.Tooltip("probability:Q", title="Probability", format=".1%"),
        ],
    ).properties(height=260)


def inline(rows: Iterable[Mapping[str, object]]) -> Any:
    """Return rows as a chart's data."""
    return alt.Data(values=list(rows))  # type: ignore[no-untyped-call]


def _legend() -> alt.Legend:
    return alt.Legend(orient="top", title=None, columns=7, symbolType="square", offset=8)


def _emotions(field: str) -> alt.Color:
    scale = alt.Scale(domain=list(LABELS), range=[EMOTION_COLOURS[label] for label in LABELS])
    return alt.Color(field, scale=scale, sort=list(LABELS), legend=None)


def class_counts(counts: Mapping[str, Mapping[str, int]]) -> Chart:
    """Return a small bar chart of a data set's images of each class, training and test stacked."""
    rows = [
        {"emotion": label, "split": split, "images": images}
        for split, by_label in counts.items()
        for label, images in by_label.items()
    ]
    scale = alt.Scale(domain=["train", "test"], range=[VALIDATION_COLOUR, TRAINING_COLOUR])
    return (
        alt.Chart(inline(rows))
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X("images:Q", title=None, axis=alt.Axis(tickCount=4)),
            y=alt.Y("emotion:N", sort=list(LABELS), axis=names_axis(labelOverlap=False)),
            color=alt.Color("split:N", scale=scale, legend=_legend()),
            order=alt.Order("split:N", sort="descending"),
            tooltip=["emotion:N", "split:N", "images:Q"],
        )
        .properties(height=270)
    )


def losses(rows: Sequence[MetricRow]) -> Chart:
    """Return the training and the validation loss over the epochs."""
    points = [
        {"epoch": row.epoch, "curve": curve, "loss": loss}
        for row in rows
        for curve, loss in (("training", row.train_loss), ("validation", row.validation_loss))
    ]
    scale = alt.Scale(domain=["training", "validation"], range=[TRAINING_COLOUR, VALIDATION_COLOUR])
    return (
        _curve(points, len(rows))
        .encode(
            y=alt.Y("loss:Q", title=None, scale=alt.Scale(zero=False)),
            color=alt.Color("curve:N", scale=scale, legend=_legend()),
            tooltip=["epoch:Q", "curve:N", alt.Tooltip("loss:Q", format=".3f")],
        )
        .properties(height=CURVE_HEIGHT)
    )


def accuracies(rows: Sequence[MetricRow]) -> Chart:
    """Return the validation accuracy over the epochs."""
    points = [{"epoch": row.epoch, "curve": "validation", "accuracy": row.validation_accuracy} for row in rows]
    scale = alt.Scale(domain=["validation"], range=[VALIDATION_COLOUR])
    return (
        _curve(points, len(rows))
        .encode(
            y=alt.Y("accuracy:Q", title=None, axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
            color=alt.Color("curve:N", scale=scale, legend=_legend()),
            tooltip=["epoch:Q", alt.Tooltip("accuracy:Q", format=".1%")],
        )
        .properties(height=CURVE_HEIGHT)
    )


def _curve(points: list[dict[str, object]], epochs: int) -> Chart:
    axis = alt.Axis(tickMinStep=1, format="d", title="Epoch")
    chart = alt.Chart(inline(points)).mark_line(point=epochs <= 30, strokeWidth=2.5)
    return chart.encode(x=alt.X("epoch:Q", axis=axis, scale=alt.Scale(zero=False, nice=False)))
