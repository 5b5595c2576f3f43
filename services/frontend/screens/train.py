"""The page Train: start a job, watch it, stop it, delete it. The job's id lies in the address: a reload keeps it."""

from typing import Final

import streamlit as st

from services.frontend import job_view, words
from services.frontend.access import change
from services.frontend.client import GatewayRefusedError
from services.frontend.guard import gateway, guarded
from services.frontend.training_form import show_form
from shared.errors import HalffaceError
from shared.run_folder import RUN_ID_PATTERN
from shared.schemas.jobs import TRAINING_KINDS, Job, JobState

ANY_STATE = "All"
STATES: Final = {words.STATE_NAMES[state]: state for state in JobState}
LIST_REFRESH_S = 5
PAGE_JOBS: Final = 50
MOST_JOBS: Final = 1000
"""As many as the gateway lists."""
SHOWN: Final = "jobs-shown"
"""The key in the session that says how many jobs are shown."""


@guarded
def show() -> None:
    """Show the page: the job in the address, or the form; the list of jobs below."""
    st.title("Train a network", anchor=False)
    job_id = st.query_params.get(job_view.JOB)
    if job_id and not RUN_ID_PATTERN.fullmatch(job_id):  # a stranger's link may not put words on the page
        st.warning("The address names no job. Choose one of the jobs below.", icon=":material/search_off:")
        job_id = None
    if job_id:
        _selected(job_id)
    else:
        _form()
    st.subheader("Jobs", anchor=False)
    st.fragment(run_every=LIST_REFRESH_S)(_jobs)(job_id)


def _selected(job_id: str) -> None:
    st.button("Train another network", icon=":material/arrow_back:", on_click=_leave_job)
    with st.container(border=True):
        try:
            job_view.show_job(job_id)
        except GatewayRefusedError as error:
            st.warning(f"{error} Choose one of the jobs below.", icon=":material/search_off:")


def _form() -> None:
    st.markdown(
        "Choose what to learn from and what to hide. The job runs in the background; come back whenever you like."
    )
    datasets, models = gateway().datasets(), gateway().models().models
    with st.container(border=True):
        try:
            request = show_form(datasets, models)
            if request is not None:
                change(lambda gateway: gateway.start(request), lambda job: job_view.open_job(job.id))
        except HalffaceError as error:  # told here, so that the jobs below stay
            st.error(str(error), icon=":material/error:")


@guarded
def _jobs(selected: str | None) -> None:
    """Show the list, which refreshes itself: others start jobs too."""
    wanted = st.session_state.get("state", ANY_STATE)
    shown = st.session_state.get(SHOWN, PAGE_JOBS)
    jobs = gateway().jobs(state=STATES.get(wanted), limit=min(shown + 1, MOST_JOBS))
    if not jobs and wanted == ANY_STATE:
        st.caption("No job yet. The first one that you start appears here.")
        return
    st.selectbox("State", [ANY_STATE, *STATES], key="state", width=240, persist_state="session")
    if not jobs:
        st.caption("No job is in this state.")
    for job in jobs[:shown]:
        _row(job, job.id == selected)
    if len(jobs) > shown:
        st.button("Show more", icon=":material/expand_more:", key="more-jobs", on_click=_show_more, args=(shown,))


def _show_more(shown: int) -> None:
    st.session_state[SHOWN] = shown + PAGE_JOBS


def _row(job: Job, selected: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.markdown(f"**{words.job_title(job)}**  \n:gray[{words.clock(job.created)}{_summary(job)}]", width="stretch")
        job_view.badge(job)
        if st.button("Open", key=f"open-{job.id}", disabled=selected):
            job_view.open_job(job.id)
            st.rerun()  # the whole page, not the list alone


def _summary(job: Job) -> str:
    if job.request.kind not in TRAINING_KINDS:
        phase = {JobState.QUEUED: "waiting", JobState.RUNNING: job.progress.phase}.get(job.state)
        told = job.message or job.model or (words.PHASE_NAMES[phase] if phase else "")
        return f" · {told}" if told else ""
    accuracy = job.progress.accuracy
    reached = f", {words.percent(accuracy)} right" if accuracy is not None else ""
    epochs = job.progress.epochs or job.request.settings.epochs
    return f" · {job.request.settings.architecture}, epoch {job.progress.epoch} of {epochs}{reached}"


def _leave_job() -> None:
    st.query_params.pop(job_view.JOB, None)
