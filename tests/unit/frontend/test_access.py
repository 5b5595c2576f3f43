"""The page asks for a key where the gateway wants one, then does what was pressed; it forgets the key when told."""

import pytest
from streamlit.testing.v1 import AppTest

from services.frontend.client import GatewayClient, KeyNeededError
from shared.schemas.jobs import JobState

from .answers import a_job
from .opened import says
from .small_gateway import SmallGateway

KEY, GUEST, OTHER = (f"hf_{name}_{'s3cr3t' * 8}" for name in ("owner001", "guest001", "other001"))
FRAMED = """
import streamlit as st
from services.frontend import access
from services.frontend.screens import {name}
with st.sidebar:
    access.show_key()
access.ask_where_needed()
{name}.show()
"""


def open_framed(name: str, **query: str) -> AppTest:
    """Run one page with what the application puts around it."""
    page = AppTest.from_string(FRAMED.format(name=name), default_timeout=60)
    for key, value in query.items():
        page.query_params[key] = value
    return page.run()


def press(page: AppTest, label: str) -> AppTest:
    """Press the button of that label and run the page."""
    return next(button for button in page.button if button.label == label).click().run()


def give(page: AppTest, key: str) -> AppTest:
    """Type a key into the dialog and go on."""
    page.text_input(key="given-key").set_value(key)
    return press(page, "Go on")


def asks(page: AppTest) -> bool:
    """Return whether the dialog is open."""
    return "given-key" in {field.key for field in page.text_input}


@pytest.fixture
def closed_gateway(gateway: SmallGateway) -> SmallGateway:
    """Give the small gateway, which wants a key for changes, with one running job."""
    gateway.keys = {KEY: True, GUEST: False}
    gateway.jobs["job-1"] = a_job()
    return gateway


def test_a_key_is_asked_for_only_where_the_gateway_wants_one(closed_gateway: SmallGateway) -> None:
    page = open_framed("train", job="job-1")
    assert not asks(page)
    press(page, "Cancel")
    assert asks(page)
    assert page.text_input(key="given-key").proto.type == page.text_input(key="given-key").proto.PASSWORD
    assert "docker compose logs gateway" in says(page)
    assert "Authorization" not in says(page)
    assert closed_gateway.jobs["job-1"].state == JobState.RUNNING


def test_what_was_pressed_is_done_once_the_key_is_there_and_the_key_is_kept(closed_gateway: SmallGateway) -> None:
    page = give(press(open_framed("train", job="job-1"), "Cancel"), f" {KEY} ")
    assert closed_gateway.jobs["job-1"].state == JobState.CANCELLED
    assert not asks(page)
    press(page, "Resume")
    assert not asks(page)
    assert closed_gateway.jobs["job-1"].state == JobState.QUEUED
    assert not page.exception


def test_a_job_is_started_with_a_key_and_opened(closed_gateway: SmallGateway) -> None:
    page = open_framed("train")
    page.number_input(key="setting-epochs").set_value(3)
    give(press(page, "Start training"), KEY)
    assert [asked.settings.epochs for asked in closed_gateway.jobs_asked] == [3]
    assert page.query_params["job"] == "new-job"
    assert not asks(page)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (OTHER, "mistyped or revoked"),
        (GUEST, "has the role predict"),
        ("my password", "begins with hf_"),
        ("hf_ключ", "begins with hf_"),
        ("", "begins with hf_"),
    ],
)
def test_a_key_that_does_not_do_is_refused_with_the_reason_and_not_kept(
    closed_gateway: SmallGateway, key: str, said: str
) -> None:
    page = give(press(open_framed("train", job="job-1"), "Cancel"), key)
    assert said in page.error[0].value
    assert asks(page)
    assert "key" not in page.session_state
    assert closed_gateway.jobs["job-1"].state == JobState.RUNNING
    give(page, KEY)
    assert closed_gateway.jobs["job-1"].state == JobState.CANCELLED


def test_a_change_that_is_refused_for_another_reason_closes_the_dialog_and_says_so(
    closed_gateway: SmallGateway,
) -> None:
    page = press(open_framed("train", job="job-1"), "Cancel")
    closed_gateway.change_refusal = (409, "The job is finished already.")
    give(page, KEY)
    assert not asks(page)
    assert page.error[0].value == "The job is finished already."
    assert page.session_state["key"] == KEY
    assert "finished already" not in says(page.run())


def test_a_gateway_that_is_away_meanwhile_keeps_the_dialog_open(closed_gateway: SmallGateway) -> None:
    page = press(open_framed("train", job="job-1"), "Cancel")
    closed_gateway.change_refusal = (503, "The queue does not answer; try again.")
    give(page, KEY)
    assert asks(page)
    assert page.error[0].value == "The queue does not answer; try again."
    closed_gateway.change_refusal = None
    press(page, "Go on")
    assert closed_gateway.jobs["job-1"].state == JobState.CANCELLED


def test_a_key_that_was_revoked_meanwhile_is_asked_for_again(closed_gateway: SmallGateway) -> None:
    page = open_framed("train", job="job-1")
    page.session_state["key"] = OTHER
    press(page, "Cancel")
    assert asks(page)
    assert "mistyped or revoked" in says(page)


def test_the_key_is_forgotten_when_told(closed_gateway: SmallGateway) -> None:
    page = give(press(open_framed("train", job="job-1"), "Cancel"), KEY)
    assert "hf_owner001_…" in says(page)
    assert "s3cr3t" not in says(page)
    press(page, "Forget key")
    assert "hf_owner001" not in says(page)
    press(page, "Resume")
    assert asks(page)


def test_a_gateway_that_wants_a_key_for_predictions_gets_one(closed_gateway: SmallGateway) -> None:
    page = open_framed("predict")
    assert not asks(page)
    assert closed_gateway.predictions_asked == []
    give(press(page, "Give a key"), KEY)
    assert len(closed_gateway.predictions_asked) == 1
    assert not asks(page)


def test_a_key_is_sent_by_its_own_client_alone(closed_gateway: SmallGateway) -> None:
    with GatewayClient(closed_gateway.url) as client:
        assert client.with_key(KEY).cancel("job-1").state == JobState.CANCELLED
        with pytest.raises(KeyNeededError) as caught:
            client.resume("job-1")
    assert caught.value.code == "key_missing"
