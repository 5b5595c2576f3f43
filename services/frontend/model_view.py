"""How models are shown: what serves each view, the table of versions, and who changed what serves."""

from collections.abc import Callable, Sequence
from typing import Final, cast

import streamlit as st

from services.frontend import model_words, words
from services.frontend.access import change
from services.frontend.client import GatewayClient, GatewayRefusedError
from shared.masking import STUDY_VIEWS
from shared.model_comparison import figure
from shared.schemas import ModelChange, ModelList, Slot

SHOWN_CHANGES: Final = 10
ACCURACY: Final = "Test faces whose emotion the version names as their label does, as its card says."


def show_serving(listed: ModelList) -> None:
    """Show what serves each view, since when and how well, with a way back to the version before."""
    slots = [view.value for view in STUDY_VIEWS] + ["any"] * ("any" in listed.active)
    for slot, column in zip(slots, st.columns(len(slots), gap="small"), strict=True):
        with column.container(border=True, height="stretch", gap="small"):
            _slot(listed, cast(Slot, slot))
    st.caption(ACCURACY)


def _slot(listed: ModelList, slot: Slot) -> None:
    model_id = listed.active.get(slot)
    model = next((each for each in listed.models if each.id == model_id), None)
    accuracy = figure(model.metrics, slot) if model else None
    value = "–" if accuracy is None else f"{model_words.hundredths(accuracy)} %"
    st.metric(model_words.SHORT_VIEW_NAMES.get(slot, words.view_name(slot)), value)
    if model_id is None:
        st.markdown("Nothing serves")
        return
    since = model.since.get(slot) if model else None
    when = f"since {words.clock(since)}" if since else "no date recorded"
    st.markdown(f"**{model_words.escaped(model_id)}**  \n:gray[{when}]")
    if model is None or model.problem:
        st.badge("Cannot be read", icon=":material/warning:", color="orange")
    previous = listed.previous.get(slot)
    pressed = st.button(
        "Roll back",
        key=f"roll-back-{slot}",
        icon=":material/undo:",
        width="stretch",
        disabled=previous is None,
        help=f"Let {previous} serve again." if previous else "No earlier version of this view is known.",
    )
    if pressed:
        make(lambda gateway: gateway.roll_back(slot), f"{previous} serves again.")


def show_versions(listed: ModelList) -> None:
    """Show the versions and how each compares with what serves."""
    if not listed.models:
        st.caption("No version yet. One that you train appears here.")
        return
    st.table([model_words.version_row(model, listed) for model in listed.models], border="horizontal", hide_index=True)
    st.caption(
        "Accuracy on the test split in per cent; :primary[●] serves this view. Beside the others, the difference in "
        "points from the version that serves, where both were measured on the same data."
    )


def show_history(changes: Sequence[ModelChange]) -> None:
    """Show who changed what serves, and when; the older changes on demand."""
    if not changes:
        st.caption("Nobody has changed what serves yet.")
        return
    rows = [model_words.change_row(each) for each in changes]
    st.table(rows[:SHOWN_CHANGES], border="horizontal", hide_index=True)
    if len(rows) > SHOWN_CHANGES:
        with st.expander(f"{len(rows) - SHOWN_CHANGES} earlier changes"):
            st.table(rows[SHOWN_CHANGES:], border="horizontal", hide_index=True)


def make(action: Callable[[GatewayClient], object], sentence: str) -> None:
    """Make a change and say so once the page has run again; say here why it was refused, where that is so."""
    try:
        change(action, lambda result: cast(None, st.toast(sentence, icon=":material/check_circle:")))
    except GatewayRefusedError as error:
        st.error(str(error), icon=":material/error:")
