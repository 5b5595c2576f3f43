"""How a training job is shown: its state, progress, live curves, log, and what came of it."""

from collections.abc import Sequence
from typing import Final

import streamlit as st

from services.frontend import charts, words
from services.frontend.access import change_or_say_why
from services.frontend.client import GatewayRefusedError
from services.frontend.guard import gateway, guarded
from shared.schemas.jobs import (
    CANCELLABLE,
    OPEN_STATES,
    RESUMABLE,
    TRAINING_KINDS,
    Deleted,
    Job,
    JobDetail,
    JobProgress,
    JobState,
    MetricRow,
)

REFRESH_S: Final = 2
ENDED_REFRESH_S: Final = 10
"""Of a job that has ended: another person may resume it."""
JOB: Final = "job"
"""The key in the address that names the job to show."""

STATE_COLOURS: Final = {
    JobState.QUEUED: "gray",
    JobState.RUNNING: "blue",
    JobState.CANCELLING: "orange",
    JobState.CANCELLED: "gray",
    JobState.INTERRUPTED: "orange",
    JobState.FAILED: "red",
    JobState.FINISHED: "green",
}


def badge(job: Job) -> None:
    """Show a job's state as a coloured word."""
    st.badge(words.STATE_NAMES[job.state], color=STATE_COLOURS[job.state])  # type: ignore[arg-type]


def show_job(job_id: str) -> None:
    """Show one job; the part refreshes itself, more seldom once the job has ended.

    Raises:
        GatewayError: there is no such job, or the gateway is away.
    """
    is_open = gateway().job(job_id).state in OPEN_STATES
    st.fragment(run_every=REFRESH_S if is_open else ENDED_REFRESH_S)(_live)(job_id, is_open)


@guarded
def _live(job_id: str, was_open: bool) -> None:
    try:
        job = gateway().job(job_id)
    except GatewayRefusedError:
        st.rerun()  # the whole page, which says that it was deleted, and asks for it no more
    if was_open != (job.state in OPEN_STATES):
        st.rerun()  # the whole page, which says how often this part refreshes
    rows = gateway().metrics(job_id).rows if job.request.kind in TRAINING_KINDS else []
    _heading(job)
    if job.message:
        show = st.error if job.state == JobState.FAILED else st.info
        show(job.message)
    if job.state == JobState.FINISHED and job.model:
        st.success(_outcome(job), icon=":material/check_circle:")
    if job.request.kind in TRAINING_KINDS:
        _progress(job, rows)
        _curves(rows)
    elif job.state == JobState.RUNNING:
        _measuring(job.progress)
    _parts(job)
    _report(job)
    if job.log_tail:
        st.markdown("**The end of its log**")
        st.code("\n".join(job.log_tail), language=None)
    _history(job)
    _log(job_id)


def _heading(job: JobDetail) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(words.job_title(job), anchor=False, width="content")
        badge(job)
    started = f" · started {words.clock(job.started)}" if job.started else ""
    ended = f" · ended {words.clock(job.ended)}" if job.ended and job.state not in OPEN_STATES else ""
    by = f" by {job.by}" if job.by else ""
    st.caption(f"{_what(job)} · asked for{by} {words.clock(job.created)}{started}{ended} · `{job.id}`")
    if job.after and job.request.kind != "study":
        st.caption(f"It needs {words.listed([link(other, other) for other in job.after])}.")
    with st.container(horizontal=True):
        if job.state in CANCELLABLE and st.button("Cancel", icon=":material/stop:", key="cancel"):
            change_or_say_why(lambda gateway: gateway.cancel(job.id))
        if _may_resume(job) and st.button("Resume", icon=":material/play_arrow:", type="primary", key="resume"):
            change_or_say_why(lambda gateway: gateway.resume(job.id))
        if job.state not in OPEN_STATES:
            if st.button("Start anew", icon=":material/replay:", key="start-anew"):
                change_or_say_why(lambda gateway: gateway.retry(job.id), lambda made: open_job(made.id))
            with st.popover("Delete", icon=":material/delete:"):
                st.markdown(words.deletion(job))
                if st.button("Delete it for good", key="delete"):
                    change_or_say_why(lambda gateway: gateway.delete(job.id), _deleted)


def _deleted(gone: Deleted) -> None:
    st.query_params.pop(JOB, None)
    st.toast(f"Deleted; that freed {words.size(gone.freed_bytes)}.", icon=":material/delete:")


def _may_resume(job: JobDetail) -> bool:
    return any(each.state in RESUMABLE for each in (job, *job.parts))


def _what(job: Job) -> str:
    asked = job.request
    if asked.kind in TRAINING_KINDS:
        base = f"from {asked.base_model}" if asked.base_model else "from random weights"
        teachers = " and ".join(name for name in (asked.teacher, asked.second_teacher) if name)
        return f"{asked.settings.architecture}, {base}" + (f", taught by {teachers}" if teachers else "")
    return words.KIND_SENTENCES[asked.kind].partition(". ")[0].rstrip(".")


def link(job_id: str, text: str) -> str:
    """Return a link in Markdown to a job's view."""
    return f"[{text}](?{JOB}={job_id})"


def open_job(job_id: str) -> None:
    """Put a job into the address, so that the page shows it."""
    st.query_params[JOB] = job_id


def _parts(job: JobDetail) -> None:
    for part in job.parts:
        with st.container(horizontal=True, vertical_alignment="center"):
            name = words.view_name(part.step or part.request.view)
            if st.button(name, key=f"part-{part.id}", type="tertiary", help="Look at this part"):
                open_job(part.id)
                st.rerun()
            badge(part)
            st.caption(part.message or part.model or "")


def _report(job: JobDetail) -> None:
    if not (job.has_report and job.state == JobState.FINISHED):
        return
    shown = st.expander("Report", icon=":material/description:", key="report", on_change="rerun")
    if shown.open:
        try:
            with shown:
                st.iframe(gateway().report(job.id), height=700, alt=f"Report of {words.job_title(job)}")
        except GatewayRefusedError as error:
            shown.info(str(error))


def _history(job: JobDetail) -> None:
    if job.history:
        with st.expander("History", icon=":material/history:"):
            for each in job.history:
                note = f": {each.message}" if each.message else ""
                st.markdown(f":gray[{words.clock(each.time)}] {words.STATE_NAMES[each.state]}{note}")


def _outcome(job: Job) -> str:
    serves = [slot for model in gateway().models().models if model.id == job.model for slot in model.serves]
    return words.outcome(job, job.progress.accuracy, serves)


def _progress(job: Job, rows: Sequence[MetricRow]) -> None:
    progress = job.progress
    if job.state == JobState.QUEUED:
        st.progress(0.0, text=words.how_far(job))
        return
    share = progress.step / progress.steps if progress.steps else 0.0
    finished = job.state == JobState.FINISHED
    st.progress(1.0 if finished else min(max(share, 0.0), 1.0), text=words.how_far(job))
    accuracy = progress.accuracy if progress.accuracy is not None else (rows[-1].validation_accuracy if rows else None)
    shown = {
        "Epoch": f"{progress.epoch} of {progress.epochs or job.request.settings.epochs}",
        "Loss": "–" if progress.loss is None else f"{progress.loss:.3f}",
        "Validation accuracy": "–" if accuracy is None else words.percent(accuracy),
        "Images a second": "–" if progress.images_per_s is None else f"{progress.images_per_s:,.0f}",
    }
    for column, (label, value) in zip(st.columns(len(shown)), shown.items(), strict=True):
        column.metric(label, value, border=True)
    if job.state == JobState.RUNNING:
        st.caption(f"Time left in this phase: {words.time_left(progress.eta_s)}.")


def _measuring(progress: JobProgress) -> None:
    far = f": {progress.step:,} of {progress.steps:,} faces" if progress.steps else ""
    speed = "" if progress.images_per_s is None else f", {progress.images_per_s:,.0f} a second"
    left = "" if progress.eta_s is None else f" Time left in this phase: {words.time_left(progress.eta_s)}."
    st.caption(f"{words.PHASE_NAMES[progress.phase]}{far}{speed}.{left}")


def _curves(rows: Sequence[MetricRow]) -> None:
    if not rows:
        return
    left, right = st.columns(2, gap="large")
    left.markdown("**Loss**")
    left.altair_chart(charts.losses(rows), width="stretch", alt="Loss by epoch")
    right.markdown("**Validation accuracy**")
    right.altair_chart(charts.accuracies(rows), width="stretch", alt="Validation accuracy by epoch")


def _log(job_id: str) -> None:
    log = st.expander("Log", icon=":material/notes:", key="log", on_change="rerun")
    if log.open:
        lines = gateway().log(job_id)
        text = "\n".join(lines) or "The log is empty so far."
        log.code(text, language=None, height=280 if len(lines) > 12 else "content")
