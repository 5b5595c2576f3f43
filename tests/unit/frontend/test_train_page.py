"""The page Train, run by Streamlit, against the small gateway."""

from collections.abc import Callable
from typing import Any

import pytest
import streamlit as st
from annotated_types import Ge, Le

from services.frontend import access, job_view
from services.frontend.screens import train
from services.frontend.settings_fields import IN_FRONT, grouped_fields
from services.frontend.training_form import SettingsError, checked_settings
from shared.masking import STUDY_VIEWS
from shared.schemas.datasets import DatasetList
from shared.schemas.jobs import JobDetail, JobProgress, JobRequest, JobState
from shared.schemas.training import FROM_BASE, SPLIT, TrainSettings

from .answers import a_data_set, a_job, a_model, epochs
from .opened import open_page, says
from .small_gateway import SmallGateway


def press(page, label: str):
    """Press the button of that label and run the page."""
    return next(button for button in page.button if button.label == label).click().run()


def open_kind(kind: str):
    """Open the page and choose a kind of job."""
    return open_page("train").radio(key="kind").set_value(kind).run()


def test_a_job_is_started_with_the_schemas_defaults(gateway: SmallGateway):
    page = press(open_page("train"), "Start training")
    assert gateway.jobs_asked == [JobRequest(dataset="faces.zip", view="full")]
    assert page.query_params["job"] == "new-job"
    assert not page.exception


def test_a_job_is_started_with_what_the_form_says(gateway: SmallGateway):
    page = open_page("train")
    page.selectbox(key="view").set_value("lower")
    page.number_input(key="setting-epochs").set_value(3)
    page.selectbox(key="setting-architecture").set_value("resnet50")
    page.number_input(key="setting-learning_rate").set_value(0.002)
    page.number_input(key="setting-grow_from").set_value(32)
    page.toggle(key="setting-flip").set_value(False)
    press(page, "Start training")
    settings = TrainSettings(epochs=3, architecture="resnet50", learning_rate=0.002, grow_from=32, flip=False)
    assert gateway.jobs_asked == [JobRequest(dataset="faces.zip", view="lower", settings=settings)]


def test_a_training_can_start_from_imagenet_weights(gateway: SmallGateway):
    page = open_page("train")
    page.selectbox(key="base").select_index(1)
    press(page, "Start training")
    assert gateway.jobs_asked[0].base_model == "imagenet"


def test_a_base_model_brings_its_own_architecture_width_stem_and_size(gateway: SmallGateway):
    shape = {"width": 0.5, "small_stem": True, "max_pool": True, "size": 64}
    gateway.models.models[0] = a_model().model_copy(update=shape)
    page = open_kind("fine-tune")
    press(page, "Start fine-tuning")
    asked = gateway.jobs_asked[0]
    assert (asked.kind, asked.base_model, asked.teacher) == ("fine-tune", "first/1", None)
    assert asked.settings.architecture == a_model().architecture
    assert asked.settings.model_dump(include=set(shape)) == shape
    assert asked.settings.distill_weight == 0
    assert not asked.settings.model_fields_set & {*SPLIT}  # left to the gateway, which knows what the base held out


def test_a_version_may_be_widened_and_not_narrowed(gateway: SmallGateway):
    gateway.models.models[0] = a_model().model_copy(update={"width": 0.5})
    page = open_kind("fine-tune")
    width = page.number_input(key="width-first/1")
    assert (width.value, width.min) == (0.5, 0.5)
    width.set_value(0.75)
    press(page, "Start fine-tuning")
    assert gateway.jobs_asked[0].settings.width == 0.75


def test_a_fine_tuning_may_read_faces_of_another_size(gateway: SmallGateway):
    page = open_kind("fine-tune")
    page.number_input(key="size-first/1").set_value(64)
    press(page, "Start fine-tuning")
    assert gateway.jobs_asked[0].settings.size == 64


def test_a_whole_face_base_teaches_where_the_view_hides_something(gateway: SmallGateway):
    gateway.models.models[0] = a_model(view="full")
    page = open_kind("fine-tune")
    page.selectbox(key="view").set_value("upper").run()
    press(page, "Start fine-tuning")
    asked = gateway.jobs_asked[0]
    assert (asked.view, asked.teacher, asked.settings.distill_weight) == ("upper", "first/1", 0.7)


def test_the_form_outlives_a_change_of_what_its_models_serve(gateway: SmallGateway):
    gateway.models.models[0] = a_model(view="full", serves=())
    page = open_kind("fine-tune")
    page.selectbox(key="view").set_value("upper").run()
    gateway.models.models[0] = a_model(view="full", serves=("full",))
    page.number_input(key="setting-epochs").set_value(3).run()
    assert not page.exception
    assert not page.error
    press(page, "Start fine-tuning")
    assert (gateway.jobs_asked[0].base_model, gateway.jobs_asked[0].teacher) == ("first/1", "first/1")


def test_a_start_that_fails_is_told_in_the_form_and_the_jobs_stay(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job()
    gateway.change_refusal = (503, "The job queue does not answer.")
    page = press(open_page("train"), "Start training")
    assert [error.value for error in page.error] == ["The job queue does not answer."]
    assert "open-job-1" in [button.key for button in page.button]


def test_a_change_of_a_job_that_fails_is_told(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job()
    gateway.change_refusal = (503, "The job queue does not answer.")
    page = press(open_page("train", job="job-1"), "Cancel")
    assert page.session_state[access.FAILURE] == "The job queue does not answer."


def test_a_second_model_may_teach_beside_the_first(gateway: SmallGateway):
    gateway.models.models[0] = a_model(view="full")
    gateway.models.models.append(a_model(view="full").model_copy(update={"id": "other/2", "name": "other"}))
    page = open_kind("fine-tune")
    assert not [box for box in page.selectbox if box.label == "Second teacher"]
    page.selectbox(key="view").set_value("upper").run()
    second = next(box for box in page.selectbox if box.label == "Second teacher")
    assert len(second.options) == 2  # nobody, or the one that is not the first teacher
    second.select_index(1).run()
    press(page, "Start fine-tuning")
    asked = gateway.jobs_asked[0]
    assert (asked.teacher, asked.second_teacher) == ("first/1", "other/2")


def test_two_models_may_be_exported_to_answer_together_and_the_other_needs_no_weights(gateway: SmallGateway):
    other = {"id": "other/2", "name": "other", "trainable": False}
    gateway.models.models.append(a_model().model_copy(update=other))
    page = open_kind("export")
    page.selectbox(key="ensemble-first/1").select_index(1).run()
    press(page, "Start export")
    asked = gateway.jobs_asked[0]
    assert (asked.model, asked.ensemble_with) == ("first/1", "other/2")


def test_a_version_without_weights_is_exported_from_its_file_which_keeps_its_arithmetic(gateway: SmallGateway):
    gateway.models.models = [a_model().model_copy(update={"trainable": False})]
    page = open_kind("export")
    assert not [box for box in page.selectbox if box.label in ("Mirror average", "Size average")]
    assert any("keeps its arithmetic" in caption.value for caption in page.caption)
    page.selectbox(key="prior-correction").set_value(True).run()
    press(page, "Start export")
    asked = gateway.jobs_asked[0]
    assert (asked.model, asked.prior_correction, asked.mirror_average) == ("first/1", True, None)


@pytest.mark.parametrize(
    ("kind", "button", "fields"),
    [
        ("evaluate", "Start evaluation", {"model": "first/1", "views": list(STUDY_VIEWS)}),
        ("export", "Start export", {"model": "first/1"}),
        ("study", "Start study", {}),
    ],
)
def test_a_kind_asks_for_its_own_fields_only(gateway: SmallGateway, kind, button, fields):
    press(open_kind(kind), button)
    assert gateway.jobs_asked == [JobRequest(kind=kind, dataset="faces.zip", **fields)]


def test_a_job_that_has_ended_is_started_anew_and_deleted(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job(JobState.FAILED)
    page = press(open_page("train", job="job-1"), "Start anew")
    assert page.query_params["job"] == "again"
    page = press(open_page("train", job="job-1"), "Delete it for good")
    assert set(gateway.jobs) == {"again"}
    assert "job" not in page.query_params


def test_a_deletion_says_before_what_goes_and_how_much_room_that_gives_back(gateway: SmallGateway):
    gateway.jobs["job-1"] = JobDetail(**a_job(JobState.FINISHED).model_dump(), size_bytes=412_000_000)
    assert "a model that it made stays. That frees 412.0 MB." in says(open_page("train", job="job-1"))


def test_a_job_that_another_user_starts_comes_to_the_list(gateway: SmallGateway):
    page = open_page("train")
    assert "No job yet" in says(page)
    gateway.jobs["job-1"] = a_job()
    page.run()
    assert "Running" in says(page)


def test_every_setting_has_a_field(gateway: SmallGateway):
    gateway.models.models[0] = a_model(view="full")
    page = open_kind("fine-tune")
    page.selectbox(key="view").set_value("upper").run()
    shown = {field.key for kind in (page.number_input, page.toggle, page.selectbox) for field in kind}
    hidden = {f"setting-{name}" for name in TrainSettings.model_fields} - shown
    assert hidden == {f"setting-{name}" for name in FROM_BASE}
    assert set(grouped_fields()) == {"Network", "Learning", "Hiding", "Augmentation", "Teaching", "Run"}
    assert not {name for names in grouped_fields().values() for name in names} & set(IN_FRONT)


def test_a_field_allows_what_the_schema_allows_and_no_more(gateway: SmallGateway):
    page = open_page("train")
    bounded = 0
    for field in page.number_input:
        name = (field.key or "").removeprefix("setting-")
        setting = TrainSettings.model_fields[name]
        kind = float if setting.annotation is float else int
        for value in (field.min, field.max):
            checked_settings({"size": 224, name: kind(value)} if name == "grow_from" else {name: kind(value)})
        for bound, beyond in ((Ge, field.min - field.step), (Le, field.max + field.step)):
            if any(isinstance(fact, bound) for fact in setting.metadata):
                bounded += 1
                with pytest.raises(SettingsError, match=name.replace("_", " ")):
                    checked_settings({name: kind(beyond)})
    assert bounded > 20


def test_settings_that_are_not_allowed_are_named():
    with pytest.raises(SettingsError, match="learning rate, weight decay"):
        checked_settings({"weight_decay": 7, "learning_rate": 0})


def test_an_empty_data_folder_shows_where_to_put_data(gateway: SmallGateway):
    gateway.datasets = DatasetList(datasets=[], folder="my-data")
    page = open_page("train")
    for word in ("my-data", "fer2013.zip", "train/", "icml_face_data.csv", "msambare/fer2013"):
        assert word in says(page)
    assert not page.exception


def test_a_broken_data_set_says_why_and_cannot_be_started(gateway: SmallGateway):
    gateway.datasets = DatasetList(datasets=[a_data_set(problem="faces.zip has no test images.")], folder="data")
    page = open_page("train")
    assert "faces.zip has no test images." in says(page)
    assert "Start training" not in [button.label for button in page.button]


def test_a_running_job_shows_its_progress_and_curves(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job()
    gateway.rows = epochs(3)
    page = open_page("train", job="job-1")
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown == {
        "Epoch": "3 of 10",
        "Loss": "1.234",
        "Validation accuracy": "41 %",
        "Images a second": "85",
    }
    assert page.get("progress")[0].value == 30
    assert page.get("progress")[0].proto.text == "Training, step 30 of 100"
    assert "about 12 minutes" in says(page)
    assert len(page.get("vega_lite_chart")) == 2
    assert not page.exception


def test_an_interrupted_job_says_how_far_it_got_and_that_it_will_resume(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job(JobState.INTERRUPTED)
    page = open_page("train", job="job-1")
    assert page.get("progress")[0].proto.text == "Reached step 30 of 100"
    assert "Interrupted, will resume" in says(page)
    assert "Time left" not in says(page)
    assert {"Cancel", "Resume"} <= {button.label for button in page.button}
    assert not page.exception


def test_a_job_that_is_being_cancelled_says_how_far_it_got_and_offers_nothing(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job(JobState.CANCELLING)
    page = open_page("train", job="job-1")
    assert page.get("progress")[0].proto.text == "Reached step 30 of 100"
    assert "Stopping" in says(page)
    assert not {"Cancel", "Resume", "Start anew", "Delete it for good"} & {button.label for button in page.button}
    assert not page.exception


def test_a_job_that_another_user_resumes_refreshes_as_an_open_one(
    gateway: SmallGateway, monkeypatch: pytest.MonkeyPatch
):
    gateway.jobs["job-1"] = a_job(JobState.CANCELLED)
    asked: list[float | None] = []

    def fragment(run_every: float | None) -> Callable[..., Any]:
        """Note how often the job's part refreshes, and let another user resume the job before it runs again."""
        if run_every == train.LIST_REFRESH_S:
            return lambda function: function
        asked.append(run_every)
        gateway.jobs["job-1"] = a_job()
        return lambda function: function

    monkeypatch.setattr(st, "fragment", fragment)
    page = open_page("train", job="job-1")
    assert asked == [job_view.ENDED_REFRESH_S, job_view.REFRESH_S]
    assert "Training, step 30 of 100" in page.get("progress")[0].proto.text


def test_a_job_without_a_worker_says_so(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job(JobState.QUEUED, message="Number 1 in the queue; no worker is running.")
    page = open_page("train", job="job-1")
    assert "no worker is running" in says(page)
    assert "Waiting" in says(page)


def test_a_job_is_cancelled_and_resumed(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job()
    page = press(open_page("train", job="job-1"), "Cancel")
    assert gateway.jobs["job-1"].state == JobState.CANCELLED
    press(page, "Resume")
    assert gateway.jobs["job-1"].state == JobState.QUEUED
    assert not page.exception


def test_a_finished_job_says_what_it_made(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job(JobState.FINISHED)
    page = open_page("train", job="job-1")
    assert "**upper/3**" in page.success[0].value
    assert not {"Cancel", "Resume"} & {button.label for button in page.button}


def test_a_failed_job_says_why_and_may_be_resumed(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job(JobState.FAILED, message="The loss became infinite; lower the learning rate.")
    page = open_page("train", job="job-1")
    assert page.error[0].value == "The loss became infinite; lower the learning rate."
    assert "Resume" in [button.label for button in page.button]


def test_an_opened_log_shows_its_last_lines(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job(JobState.CANCELLED)
    gateway.log = ["epoch 1 done"]
    page = open_page("train", job="job-1")
    assert gateway.count("GET /v1/jobs/job-1/log") == 0
    page.session_state["log"] = True
    page.run()
    assert page.code[0].value == "epoch 1 done"


def test_jobs_are_listed_with_their_states_and_opened(gateway: SmallGateway):
    gateway.jobs = {
        "job-1": a_job(JobState.FINISHED),
        "job-2": a_job(JobState.FAILED, "job-2"),
    }
    page = open_page("train")
    assert "Finished" in says(page)
    assert "Failed" in says(page)
    page.button(key="open-job-2").click().run()
    assert page.query_params["job"] == "job-2"
    press(page, "Train another network")
    assert "job" not in page.query_params


def test_more_jobs_are_shown_on_demand_and_the_gateway_looks_for_a_state_in_all(gateway: SmallGateway):
    number = train.PAGE_JOBS + 1
    gateway.jobs = {f"job-{each}": a_job(JobState.FINISHED, f"job-{each}") for each in range(number)}
    gateway.jobs["old"] = a_job(JobState.INTERRUPTED, "old")
    page = open_page("train")
    assert len([button for button in page.button if button.label == "Open"]) == train.PAGE_JOBS
    page.selectbox(key="state").set_value("Interrupted, will resume").run()
    assert [button.key for button in page.button if button.label == "Open"] == ["open-old"]
    assert "Show more" not in [button.label for button in page.button]
    page.selectbox(key="state").set_value("Failed").run()
    assert "No job is in this state." in says(page)
    press(page.selectbox(key="state").set_value("All").run(), "Show more")
    assert len([button for button in page.button if button.label == "Open"]) == number + 1
    assert "Show more" not in [button.label for button in page.button]


def test_the_list_names_the_phase_of_a_measurement_only_while_it_runs(gateway: SmallGateway):
    job = a_job().model_copy(update={"request": JobRequest(kind="evaluate", dataset="faces.zip", model="first/1")})
    job.progress = JobProgress(phase="evaluating")
    gateway.jobs["job-1"] = job
    assert "Evaluating" in says(open_page("train"))
    gateway.jobs["job-1"] = job.model_copy(update={"state": JobState.CANCELLED})
    assert "Evaluating" not in says(open_page("train"))


def test_a_measurement_tells_how_many_faces_were_read_how_fast_and_how_long_the_rest_takes(gateway: SmallGateway):
    job = a_job().model_copy(update={"request": JobRequest(kind="evaluate", dataset="faces.zip", model="first/1")})
    job.progress = JobProgress(phase="evaluating", step=1200, steps=7200, images_per_s=100.0, eta_s=60.0)
    gateway.jobs["job-1"] = job
    assert "1,200 of 7,200 faces, 100 a second. Time left in this phase: " in says(open_page("train", job="job-1"))


def test_an_unknown_job_in_the_address_is_said_to_be_unknown(gateway: SmallGateway):
    page = open_page("train", job="nowhere")
    assert "There is no job 'nowhere'." in page.warning[0].value
    assert not page.exception


@pytest.mark.parametrize("words", ["[Your session is over: sign in](https:evil.example)", "![x](https:evil.example)"])
def test_a_link_puts_no_words_of_its_own_on_the_page(gateway: SmallGateway, words: str):
    page = open_page("train", job=words)
    assert page.warning[0].value == "The address names no job. Choose one of the jobs below."
    assert "evil" not in says(page)


def test_a_refusal_of_a_jobs_button_is_told_above_the_job(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job(JobState.INTERRUPTED)
    page = open_page("train", job="job-1")
    gateway.change_refusal = (409, "A worker is still stopping job job-1; try again in a few seconds.")
    press(page, "Resume")
    assert not page.error
    assert "A worker is still stopping job job-1" in page.session_state[access.FAILURE]  # the application shows it
    assert any(button.label == "Resume" for button in page.button)


def test_a_gateway_that_is_away_shows_a_sentence(gateway_away: str):
    page = open_page("train")
    assert gateway_away in page.warning[0].value
    assert "Retry" in [button.label for button in page.button]
    assert not page.exception
