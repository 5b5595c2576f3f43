"""How models are shown: what serves each view, the table of versions, and who changed what serves."""

from collections.abc import Callable, Sequence
from typing import Final, cast

import streamlit as st

from services.frontend import model_standing, model_words, prediction_view, words
from services.frontend.access import change
from services.frontend.client import GatewayAwayError, GatewayClient, GatewayRefusedError
from shared.masking import STUDY_VIEWS
from shared.model_comparison import Difference, figure
from shared.schemas.models import ModelChange, ModelInfo, ModelList
from shared.schemas.wire import Slot

SHOWN_CHANGES: Final = 10
LISTED_CHANGES: Final = 100
FIGURES: Final = (
    "Accuracy in per cent: the share of test faces that the version reads as they are labelled, by its card. Macro F1 "
    "counts every emotion alike, however rare. Differences are in points, of versions measured on the same data."
)
ANY_PART: Final = " Figures for any part are means over the five views."


def show_serving(listed: ModelList, history: Sequence[ModelChange]) -> None:
    """Show what serves each view, since when, how well and how much better than the released version or the one before,
    with a way back to that.

    Args:
        listed: all versions, the archived ones too.
        history: of what serves, newest first.
    """
    slots = [view.value for view in STUDY_VIEWS] + ["any"] * ("any" in listed.active)
    for slot, column in zip(slots, st.columns(len(slots), gap="small"), strict=True):
        with column.container(border=True, height="stretch", gap="small"):
            _slot(listed, history, cast(Slot, slot))
    st.caption(FIGURES + ANY_PART * ("any" in listed.active))


def _slot(listed: ModelList, history: Sequence[ModelChange], slot: Slot) -> None:
    model_id = listed.active.get(slot)
    model = next((each for each in listed.models if each.id == model_id), None)
    beside = model_standing.standing(model, slot, listed, history) if model and not model.problem else None
    _figures(model, slot, beside.difference if beside else None)
    if model_id is None:
        st.markdown("Nothing serves")
        return
    when = model_standing.since(model, slot, history) if model else "no date recorded"
    told = "".join(f"  \n:gray[{each}]" for each in (when, beside.sentence if beside else "") if each)
    st.markdown(f"**{model_words.escaped(model_id)}**{told}")
    if model is None or model.problem:
        st.badge("Cannot be read", icon=":material/warning:", color="orange")
    previous = listed.previous.get(slot)
    pressed = st.button(
        "Roll back",
        key=f"roll-back-{slot}-{model_id}",  # pressed twice in one go, it takes back one version and not two
        icon=":material/undo:",
        width="stretch",
        disabled=previous is None,
        help=f"Let {previous} serve again." if previous else "No earlier version of this view is known.",
    )
    if pressed:
        make(lambda gateway: gateway.roll_back(slot), f"{previous} serves again.")


def _figures(model: ModelInfo | None, slot: Slot, beside: Difference | None) -> None:
    """Show accuracy and macro F1 of what serves a slot, with the differences from what it is compared with."""
    accuracy, macro_f1 = (figure(model.metrics, slot, key) if model else None for key in ("accuracy", "macro_f1"))
    same = beside is not None and abs(beside.difference) < model_words.SAME
    st.metric(
        model_words.CARD_NAMES.get(slot, words.view_name(slot)),
        "–" if accuracy is None else model_words.hundredths(accuracy),  # six cards side by side have no room for " %"
        f"{'±0.0' if same else f'{beside.difference * 100:+.1f}'} points" if beside else None,
        delta_color="off" if same else "normal",
        delta_arrow="off" if same else "auto",
    )
    if macro_f1 is not None:
        less = beside.macro_f1_difference if beside else None
        shown = f" {model_words.points(less)}" if less is not None else ""
        st.markdown(f":gray[Macro F1] {model_words.hundredths(macro_f1)}{shown}")


def show_versions(listed: ModelList) -> None:
    """Show the versions and how each compares with what serves."""
    if not listed.models:
        st.caption("No version yet. One that you train appears here.")
        return
    st.table([model_words.version_row(model, listed) for model in listed.models], border="horizontal", hide_index=True)
    st.caption(
        "Accuracy on the test split in per cent, macro F1 below it; :primary[●] serves this view. Beside the others, "
        "the difference in points from the version that serves, where both were measured on the same data."
    )


def show_history(changes: Sequence[ModelChange]) -> None:
    """Show who changed what serves, and when; the older changes on demand."""
    if not changes:
        st.caption("Nobody has changed what serves yet.")
        return
    rows = [model_words.change_row(each) for each in changes[:LISTED_CHANGES]]
    st.table(rows[:SHOWN_CHANGES], border="horizontal", hide_index=True)
    if len(rows) > SHOWN_CHANGES:
        earlier = len(rows) - SHOWN_CHANGES
        with st.expander(f"{earlier} earlier change{'s' * (earlier > 1)}"):
            st.table(rows[SHOWN_CHANGES:], border="horizontal", hide_index=True)


def _made(sentence: str) -> None:
    prediction_view.forget_answer()
    st.toast(sentence, icon=":material/check_circle:")


def make(action: Callable[[GatewayClient], object], sentence: str) -> None:
    """Make a change and say so once the page has run again; say here why it was not made, where that is so."""
    try:
        change(action, lambda result: _made(sentence))
    except (GatewayRefusedError, GatewayAwayError) as error:
        st.error(str(error), icon=":material/error:")
