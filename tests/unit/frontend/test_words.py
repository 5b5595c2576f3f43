"""The sentences that the pages make from answers."""

from typing import get_args

import pytest

from services.frontend.words import (
    HIDDEN_PARTS,
    READS,
    STATE_NAMES,
    VIEW_NAMES,
    agreement,
    clock,
    duration,
    how_far,
    is_covered,
    outcome,
    percent,
    time_left,
    view_name,
)
from shared.masking import View
from shared.schemas.jobs import JobProgress, JobRequest, JobState
from shared.schemas.training import TrainOn

from .answers import FOUR_HAPPY, a_job, read


def test_five_that_agree_are_said_to_agree():
    assert agreement(read(dict.fromkeys(FOUR_HAPPY, "sad"))) == "All five models read sad."


def test_one_that_differs_is_named_by_what_it_does_not_see():
    expected = "Four of five models read happy; the one with the lower half hidden reads neutral."
    assert agreement(read()) == expected


def test_two_that_differ_alike_are_named_together():
    labels = {**FOUR_HAPPY, "left": "neutral"}
    assert agreement(read(labels)) == (
        "Three of five models read happy; those with the lower half hidden and with the left half hidden read neutral."
    )


def test_where_nothing_was_hidden_models_are_named_by_what_they_were_trained_without():
    covered = [prediction.model_copy(update={"hidden": "full"}) for prediction in read()]
    assert is_covered(covered)
    assert not is_covered(read())
    expected = "Four of five models read happy; the one trained with the lower half hidden reads neutral."
    assert agreement(covered) == expected


def test_without_a_majority_the_models_are_said_to_disagree():
    labels = {"full": "happy", "upper": "happy", "lower": "sad", "left": "sad", "right": "fear"}
    assert agreement(read(labels)) == "The models disagree: two read happy, two read sad and one reads fear."


def test_a_single_model_and_none_at_all_have_a_sentence_too():
    assert agreement(read({"full": "fear"})) == "The model reads fear."
    assert agreement([]) == "No model read this face."


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than a minute"),
        (49, "less than a minute"),
        (60, "about 1 minute"),
        (100, "about 2 minutes"),
        (3600, "about 1 hour"),
        (4800, "about 1 hour 20 minutes"),
        (3 * 86400, "about 3 days"),
    ],
)
def test_a_duration_is_said_in_words(seconds: float, words: str):
    assert duration(seconds) == words


def test_an_unknown_time_left_is_said_to_be_unknown():
    assert time_left(None) == "not known yet"


def test_every_view_has_a_name_for_people():
    assert all(view_name(view) != view.value for view in View)
    assert set(get_args(TrainOn)) == set(VIEW_NAMES) == set(HIDDEN_PARTS) == set(READS)
    assert set(STATE_NAMES) == set(JobState)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (JobState.QUEUED, "Waiting for a worker"),
        (JobState.RUNNING, "Training, step 30 of 100"),
        (JobState.CANCELLING, "Reached step 30 of 100"),
        (JobState.INTERRUPTED, "Reached step 30 of 100"),
        (JobState.CANCELLED, "Reached step 30 of 100"),
        (JobState.FAILED, "Reached step 30 of 100"),
        (JobState.FINISHED, "Done"),
    ],
)
def test_only_a_job_that_runs_is_said_to_be_in_a_phase(state: JobState, words: str):
    assert how_far(a_job(state)) == words


def test_a_job_that_stopped_before_its_first_step_says_so():
    job = a_job(JobState.CANCELLED)
    job.progress = JobProgress(phase="loading")
    assert how_far(job) == "No step was taken"
    assert how_far(job.model_copy(update={"state": JobState.RUNNING})) == "Loading the data"


def test_a_time_says_that_it_is_utc():
    assert clock("2026-11-23T09:38:26+00:00") == "2026-11-23 09:38 UTC"
    assert clock("2026-11-23") == "2026-11-23"


def test_a_share_is_said_in_per_cent():
    assert percent(0.876) == "88 %"


def test_a_finished_job_says_what_its_model_is_and_whether_it_serves():
    job = a_job(JobState.FINISHED)
    study = job.model_copy(update={"request": JobRequest(kind="study", dataset="faces.zip")})
    assert outcome(study, None, []) == "This job trained and measured six models; its report compares them."
    waiting = outcome(job, 0.583, [])
    assert "**upper/3**" in waiting
    assert "58 %" in waiting
    assert "until this one is promoted on the page **Models**" in waiting
    assert "answers now for: upper half hidden" in outcome(job, 0.583, ["upper"])
