"""One cell of the study: figures with intervals, emotions, confusion, curves, reliability."""

import streamlit as st

from services.frontend import study_charts, study_curves, study_figures, study_words
from services.frontend.study_words import CLASS_FIGURES, FIGURES, NAMES, SUBSETS
from shared.study import Cell, ClassFigures, Curve, Estimate, StudyResult, Subset


def show_cell(study: StudyResult, model: str, view: str, subset: Subset) -> None:
    """Show a model on a view of a part of the test set; curves are given for the whole alone."""
    cell, whole = study.cell(model, view, subset), study.cell(model, view)
    st.subheader(f"Trained: {NAMES[model].lower()} · tested: {NAMES[view].lower()}", anchor=False)
    if cell is None:
        st.caption("This cell was not measured.")
        return
    st.caption(f"{SUBSETS[subset]}: {cell.count:,} images.")
    _figures(cell)
    left, right = st.columns(2, gap="large")
    with left:
        _emotions(study, cell)
    with right:
        st.markdown("**Confusion**")
        st.altair_chart(study_charts.confusion(cell), width="stretch", alt="Confusion matrix")
        st.caption("Of each label's images, the per cent of each answer; the diagonal is right.")
    if whole:
        _curves(whole)


def _figures(cell: Cell) -> None:
    with st.container(horizontal=True):
        for name, figure in FIGURES.items():
            estimate = study_figures.figure_of(cell, name)
            value = study_words.hundredths(estimate.value) if estimate else "–"
            st.metric(figure.name, value, width=128)
    told = [
        f"{figure.name} {study_words.with_interval(study_figures.figure_of(cell, name))}"
        for name, figure in FIGURES.items()
    ]
    st.caption(f"Per cent, with 95 % intervals: {'; '.join(told)}.")


def _emotions(study: StudyResult, cell: Cell) -> None:
    st.markdown("**By emotion**")
    name = st.selectbox(
        "Figure of an emotion",
        [name for name in CLASS_FIGURES if any(getattr(each, name) is not None for each in cell.classes)],
        format_func=CLASS_FIGURES.__getitem__,
        key="class-figure",
        persist_state="session",
    )
    figures = {each.label: _class_figure(each, name) for each in cell.classes}
    beside, title, told = _beside(study, cell, name)
    chart = study_charts.emotions(
        {str(label): figure for label, figure in figures.items()},
        beside,
        unit=f"{CLASS_FIGURES[name]}, per cent",
        beside_title=title,
    )
    st.altair_chart(chart, width="stretch", alt=f"{CLASS_FIGURES[name]} of each emotion")
    st.caption(told)


def _class_figure(figures: ClassFigures, name: str) -> Estimate | None:
    value: Estimate | float | None = getattr(figures, name)
    return Estimate(value=value) if isinstance(value, float) else value


def _beside(study: StudyResult, cell: Cell, name: str) -> tuple[dict[str, float], str, str]:
    """Return what stands beside a figure of each emotion, as a diamond, its name, and what is said below the chart."""
    if name == "mean_probability":
        shares = {str(each.label): each.count / cell.count for each in cell.classes}
        told = "Mean over all images of the part, at the temperature. Diamonds: the emotion's share of the images."
        return shares, "Share of the images", told
    theirs = study.published_cell(cell.trained_on, cell.evaluated_on) if name == "accuracy" else None
    if theirs is None:
        return {}, "", "Lines are 95 % intervals."
    shares = {str(label): share for label, share in theirs.class_accuracy.items()}
    return shares, "Original study", "Lines are 95 % intervals. Diamonds: the original study, all test images."


def _curves(cell: Cell) -> None:
    left, right = st.columns(2, gap="large")
    means = cell.metrics
    with left:
        st.markdown("**ROC**, all test images")
        areas = {str(each.label): each.auc for each in cell.classes}
        areas |= {"macro": means.macro_auc, "micro": means.micro_auc, "weighted": means.weighted_auc}
        _curve(cell.roc, areas, "False positive rate", "True positive rate", chance=True)
    with right:
        st.markdown("**Precision and recall**, all test images")
        precisions = {str(each.label): each.ap for each in cell.classes} | {"micro": means.micro_ap}
        _curve(cell.precision_recall, precisions, "Recall", "Precision", chance=False)
    with left:
        st.markdown("**Reliability**, all test images")
        chart = study_curves.reliability(cell.calibration)
        st.altair_chart(chart, width="stretch", alt="Accuracy by confidence, before and after temperature scaling")
        before, after = cell.calibration.ece_before, cell.calibration.ece_after
        st.caption(
            f"On the diagonal, confidence is as high as accuracy. Calibration error before temperature scaling "
            f"{study_words.with_interval(before)}, after {study_words.with_interval(after)} per cent."
        )


def _curve(
    curves: tuple[Curve, ...], areas: dict[str, Estimate | None], x_title: str, y_title: str, *, chance: bool
) -> None:
    chart = study_curves.class_curves(curves, areas, x_title, y_title, chance=chance)
    st.altair_chart(chart, width="stretch", alt=f"{y_title} by {x_title.lower()}, a curve for each emotion")
    st.caption("Numbers are areas in hundredths. Click a name to bring its curve out.")
