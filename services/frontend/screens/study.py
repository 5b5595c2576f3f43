"""The page Study: what each half of the face is worth, in figures that models/study.json holds."""

import streamlit as st

from services.frontend import study_cell_view, study_mistakes_view, study_parts_view, study_view, study_words
from services.frontend.guard import gateway, guarded


@guarded
def show() -> None:
    """Show the page, or how to make a study where there is none yet."""
    st.title("Study", anchor=False)
    study = gateway().study()
    if study is None:
        st.info("There is no study yet.", icon=":material/science:")
        st.markdown(study_words.NO_STUDY)
        return
    st.markdown("What is each half of the face worth? Six models, five views, measured on the same test images.")
    study_view.show_findings(study)
    st.header("Every model on every view", anchor=False)
    model, view, subset = study_view.show_grid(study)
    with st.container(border=True):
        study_cell_view.show_cell(study, model, view, subset)
        study_mistakes_view.show_mistakes(study, model, view)
    study_parts_view.show_recovery(study)
    study_parts_view.show_shapley(study)
    study_parts_view.show_robustness(study)
    study_parts_view.show_agreement(study)
    study_parts_view.show_speed(study)
    study_parts_view.show_tests(study)
    study_parts_view.show_protocol(study)
