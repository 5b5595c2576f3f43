"""The page Models: what serves, what there is beside it, and who changed that.

The version that is looked at lies in the address, so a link leads to it.
"""

import streamlit as st

from services.frontend import model_view
from services.frontend.guard import gateway, guarded
from services.frontend.model_words import in_order
from services.frontend.version_view import show_version
from shared.schemas.models import ModelInfo, ModelList

MODEL = "model"
LOOK_AT = "look-at"


@guarded
def show() -> None:
    """Show the page."""
    st.title("Models", anchor=False)
    st.markdown(
        "Each view is read by one version at a time. Versions never change: promote another one, and roll back if it "
        "disappoints."
    )
    listed = in_order(gateway().models(archived=True))
    history = [] if listed.problem else gateway().model_history()
    if listed.problem:
        st.error(listed.problem, icon=":material/error:")
    st.subheader("In service", anchor=False)
    model_view.show_serving(listed, history)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Versions", anchor=False, width="stretch")
        archived = st.toggle("Archived too", key="archived")
    if not archived:
        asked = st.query_params.get(MODEL)  # a link may lead to a version that was archived since
        shown = [model for model in listed.models if not model.archived or model.id == asked]
        listed = listed.model_copy(update={"models": shown})
    model_view.show_versions(listed)
    if listed.models:
        model = _chosen(listed)
        with st.container(border=True):
            show_version(model, listed)
    if not listed.problem:
        st.subheader("History", anchor=False)
        model_view.show_history(history)


def _chosen(listed: ModelList) -> ModelInfo:
    """Return the version in the address, or the one that serves most; the selector changes the address."""
    models = {model.id: model for model in listed.models}
    asked = st.query_params.get(MODEL)
    if asked not in models:
        asked = max(models.values(), key=lambda model: len(model.serves)).id
    if st.session_state.get(LOOK_AT) != asked:
        st.session_state[LOOK_AT] = asked
    return models[st.selectbox("Look at", list(models), key=LOOK_AT, on_change=_note_choice, width=340)]


def _note_choice() -> None:
    st.query_params[MODEL] = st.session_state[LOOK_AT]
