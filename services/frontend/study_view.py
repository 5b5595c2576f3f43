"""The top of the page Study: findings, and the heat map with its choosers."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from services.frontend import study_charts, study_figures, study_words
from services.frontend.study_figures import Grid
from services.frontend.study_words import FIGURES, IDS, NAMES, SUBSETS
from shared.masking import STUDY_VIEWS
from shared.schemas.wire import SLOTS
from shared.study import Hypothesis, StudyResult, Subset

MODEL, VIEW, FIGURE, SHOW, SUBSET = "trained", "tested", "figure", "show", "images"
OURS, THEIRS, BESIDE, LESS = "Ours", "The original's", "Side by side", "Difference"
LESS_TEXT: Final = "Ours minus the original's in points: blue where ours is higher, orange where it is lower."


def show_findings(study: StudyResult) -> None:
    """Show the answers to H1 and Q1, a sentence each with its figure and by emotion; what they rest on, on demand."""
    for column, hypothesis in zip(st.columns(len(study.hypotheses)), study.hypotheses, strict=True):
        sentence, figure = study_words.finding(hypothesis, study.tests)
        with column.container(border=True, height="stretch"):
            st.caption(f"{hypothesis.id} · {hypothesis.question}")
            st.markdown(f"**{sentence}**  \n{figure}")
            if carried := study_words.carriers(hypothesis, study.tests):
                st.caption(carried)
            _by_emotion(study, hypothesis)
            with st.expander("What it rests on, and what it cannot say"):
                st.markdown(hypothesis.answer)
                st.markdown("\n".join(f"- {limit}" for limit in hypothesis.limits))


def _by_emotion(study: StudyResult, hypothesis: Hypothesis) -> None:
    """Show the specialists' tests, over all emotions and of each."""
    tests, minus = study_words.tests_by_emotion(hypothesis, study.tests), study_words.minus_words(hypothesis)
    chart = study_charts.emotions(
        {name: test.difference for name, test in tests.items()},
        {},
        unit=f"{minus}, points",
        differences=True,
        p_values={name: test.p_corrected for name, test in tests.items()},
    )
    st.altair_chart(chart, width="stretch", alt=f"{minus}, by emotion")
    st.caption(
        "The two specialists' accuracy; of one emotion that is recall, which also grows with how readily a model gives "
        "that answer: their precision and F1 stand below, in the cells. Lines are 95 % intervals, not corrected for "
        "how many there are; * is a p below 0.05, corrected (Holm)."
    )


def show_grid(study: StudyResult) -> tuple[str, str, Subset]:
    """Show the heat map; return the chosen model, view and part of the test set."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            "Figure",
            list(FIGURES),
            format_func=lambda key: FIGURES[key].name,
            key=FIGURE,
            width=190,
            persist_state="session",
        )
        subset = st.selectbox(
            "Test images",
            list(SUBSETS),
            format_func=SUBSETS.__getitem__,
            key=SUBSET,
            width=240,
            persist_state="session",
        )
        ways = [OURS, THEIRS, BESIDE, LESS] if _is_published(study, name) else [OURS]
        show = (
            st.segmented_control(
                "Show", ways, default=OURS, required=True, key=f"{SHOW}-{len(ways)}", persist_state="session"
            )
            or OURS
        )
    ours, theirs = study_figures.our_grid(study, name, subset), study_figures.published_grid(study, name)
    st.session_state.setdefault(MODEL, "full")
    st.session_state.setdefault(VIEW, "full")
    _maps(show, ours, theirs, (st.session_state[MODEL], st.session_state[VIEW]))
    _explain(study, name, subset, show)
    with st.container(horizontal=True):
        model = st.selectbox(
            "Trained with", SLOTS, format_func=NAMES.__getitem__, key=MODEL, width=190, persist_state="session"
        )
        views = [view.value for view in STUDY_VIEWS]
        view = st.selectbox(
            "Tested with", views, format_func=NAMES.__getitem__, key=VIEW, width=190, persist_state="session"
        )
    return model, view, Subset(subset)


def _is_published(study: StudyResult, name: str) -> bool:
    return study.published is not None and name in study_figures.PUBLISHED_FIGURES


def _maps(show: str, ours: Grid, theirs: Grid, chosen: tuple[str, str]) -> None:
    if show == LESS:
        grid = study_figures.difference_grid(ours, theirs)
        _map(grid, study_figures.balanced_domain(grid), chosen, LESS)
        return
    domain = study_figures.domain_of(ours, theirs)
    if show == BESIDE:
        left, right = st.columns(2, gap="medium")
        with left:
            st.markdown(f"**{OURS}**")
            _map(ours, domain, chosen, OURS)
        with right:
            st.markdown(f"**{THEIRS}**")
            _map(theirs, domain, chosen, THEIRS)
        return
    _map(ours if show == OURS else theirs, domain, chosen, show)


def _map(grid: Grid, domain: tuple[float, float], chosen: tuple[str, str], name: str) -> None:
    # The key has the chosen cell, so that a cell can be clicked again after the select boxes chose another one.
    key = f"map-{name}-{'-'.join(chosen)}"
    chart = study_charts.heat_map(grid, domain, difference=name == LESS, chosen=chosen)
    alt = f"{name}: models by views, a figure in each cell"
    st.altair_chart(chart, width="stretch", key=key, on_select=lambda: _choose(key), alt=alt)


def _choose(key: str) -> None:
    """Let the clicked cell be the chosen one."""
    points: Sequence[dict[str, str]] = st.session_state[key].selection.get(study_charts.SELECTION, [])
    if points:
        st.session_state[MODEL], st.session_state[VIEW] = IDS[points[0]["model"]], IDS[points[0]["view"]]


def _explain(study: StudyResult, name: str, subset: str, show: str) -> None:
    figure = FIGURES[name]
    better = "" if figure.more_is_better else " Less is better."
    text = LESS_TEXT if show == LESS else f"{figure.said[0].upper()}{figure.said[1:]} in per cent, darker is more."
    st.caption(f"{text}{better} Names say what was hidden. Click a cell, or choose it below, to look into it.")
    if show != OURS and study.published:
        parts = " Its figures are of all test images, ours of the chosen part." if subset != Subset.ALL else ""
        st.caption(
            f"{study.published.source}{parts} Off the diagonal ours had seen the tested view in training and the "
            "original's had not: only the diagonal compares like with like."
        )
