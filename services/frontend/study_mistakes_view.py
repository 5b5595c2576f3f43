"""The test images that a model of the study misread, on demand, from the user's own data set."""

import streamlit as st

from services.frontend.client import GatewayRefusedError
from services.frontend.guard import gateway
from services.frontend.study_mistakes_grid import grid
from services.frontend.study_words import NAMES, undivided_words
from shared.labels import LABELS
from shared.study import StudyResult
from shared.study_mistakes import MistakeList, MistakesQuery

EVERY = "any"


def show_mistakes(study: StudyResult, model: str, view: str) -> None:
    """Show what a model of the study misread on a view, once it is asked for."""
    shown = st.expander("Misread test images", icon=":material/image_search:", key="mistakes", on_change="rerun")
    if not shown.open:
        return
    with shown:
        try:
            _browse(study, model, view)
        except GatewayRefusedError as error:
            st.info(str(error), icon=":material/folder_open:")


def _browse(study: StudyResult, model: str, view: str) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = _emotion("Label", "mistake-label")
        answer = _emotion("Read as", "mistake-answer")
        place = st.container(width="content")
    key = f"mistakes-{model}-{view}-{label}-{answer}"
    query = {"model": model, "view": view, "label": label, "answer": answer, "page": st.session_state.get(key, 1)}
    found = gateway().mistakes(MistakesQuery.model_validate(query))
    if found.pages > 1:
        place.number_input(f"Page, of {found.pages:,}", 1, found.pages, key=key, width=140)
    st.caption(_words(found, label, answer))
    if found.mistakes:
        st.html(grid(found.mistakes, {each.image: _png(each.image) for each in found.mistakes}, view))
        st.caption(
            f"{NAMES[model]}, {NAMES[view].lower() if view != 'full' else 'nothing hidden'} in the test; "
            f"those first of which the model was most sure. {undivided_words(study)}Shown from your own copy of the "
            "data; dark is what was hidden."
        )


def _emotion(title: str, key: str) -> str | None:
    chosen = st.selectbox(title, [EVERY, *LABELS], key=key, width=150, persist_state="session")
    return None if chosen == EVERY else chosen


def _words(found: MistakeList, label: str | None, answer: str | None) -> str:
    """Return how many of how many images were misread, in a sentence."""
    what = f"test images of {label}" if label else "test images in all"
    read_as = f" as {answer}" if answer else ""
    return f"{found.total:,} of {found.images:,} {what} were misread{read_as}."


@st.cache_data(show_spinner=False, max_entries=2000)
def _png(image_id: str) -> bytes:
    """Return a test image; its id stands for its pixels, so it never changes."""
    return gateway().study_image(image_id)
