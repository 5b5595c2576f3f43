"""The page Predict, run by Streamlit, against the small gateway."""

import base64
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from services.frontend import picture_source, prediction_view, worth_view
from services.frontend.words import VIEW_NAMES
from shared.schemas.predictions import Quarters
from shared.schemas.wire import Health

from .answers import FOUR_HAPPY, a_face, a_prediction, a_worth, png
from .opened import open_app, open_page, says
from .small_gateway import SmallGateway

PREDICTIONS = "POST /v1/predictions"


def upload(content: bytes):
    """Open the page and upload a picture."""
    page = open_page("predict")
    page.segmented_control(key="source").set_value("upload").run()
    return page.file_uploader(key="upload").upload("face.png", content, "image/png").run()


def test_an_uploaded_face_shows_what_the_five_models_read(gateway: SmallGateway):
    page = upload(png())
    assert not page.exception
    for slot in FOUR_HAPPY:
        assert VIEW_NAMES[slot] in says(page)
    assert "Four of five models read happy; the one with the lower half hidden reads neutral." in says(page)
    assert "Model first/1 ·" in says(page)
    assert len(page.get("vega_lite_chart")) == 1
    assert not page.json


def test_the_happy_face_is_read_at_once_and_another_sample_when_chosen(gateway: SmallGateway):
    page = open_page("predict")
    page.pills(key="sample").set_value("Sad face").run()
    files = [picture_source.SAMPLES_DIR / name for name in ("happy-face.png", "sad-face.png")]
    assert [asked["bytes"] for asked in gateway.predictions_asked] == [str(file.stat().st_size) for file in files]


def forget_answer_of(page: AppTest) -> None:
    """Forget what a session keeps, as a promotion does."""
    del page.session_state[prediction_view.ANSWER]


def test_a_rerun_does_not_ask_again_but_new_options_do(gateway: SmallGateway):
    page = open_page("predict").run()
    assert gateway.count(PREDICTIONS) == 1
    page.toggle(key="whole").set_value(True).run()
    page.toggle(key="covered").set_value(True).run()
    assert [asked["detect"] for asked in gateway.predictions_asked] == ["auto", "never", "never"]
    assert [asked["mask"] for asked in gateway.predictions_asked] == ["true", "true", "false"]
    assert not page.exception


def test_of_several_faces_one_is_chosen(gateway: SmallGateway):
    gateway.prediction = a_prediction(a_face(), a_face(60, dict.fromkeys(FOUR_HAPPY, "sad")))
    page = open_page("predict")
    assert "Four of five" in says(page)
    page.segmented_control[-1].set_value(1).run()
    assert "All five models read sad." in says(page)
    assert gateway.count(PREDICTIONS) == 1
    assert not page.exception


def test_what_each_quarter_says_is_shown_of_the_chosen_emotion(gateway: SmallGateway):
    told = a_worth(top_left=0.1, bottom_left=0.3, bottom_right=-0.05)
    gateway.prediction = a_prediction(a_face().model_copy(update={"worth": told}))
    page = open_page("predict")
    assert not page.exception
    assert "**Happy** has 49 % with nothing more hidden, and 14 %, its share" in says(page)
    halves = page.table[-1].value.to_dict("records")
    assert halves == [
        {"Part": "Upper half", "Points": "+10.0"},
        {"Part": "Lower half", "Points": "+25.0"},
        {"Part": "Left half", "Points": "+40.0"},
        {"Part": "Right half", "Points": "−5.0"},
    ]
    page.segmented_control[-1].set_value("sad").run()
    assert "**Sad** has 14 % with nothing more hidden" in says(page)
    assert {row["Points"] for row in page.table[-1].value.to_dict("records")} == {"±0.0"}


def test_a_face_that_nobody_had_time_for_says_so(gateway: SmallGateway):
    gateway.prediction = a_prediction(a_face(), a_face(60).model_copy(update={"worth": a_worth(top_left=0.1)}))
    assert "told of the eight largest faces" in says(open_page("predict"))


def test_nothing_is_kept_of_a_picture_that_is_taken_away(gateway: SmallGateway):
    page = open_page("predict")
    kept = (prediction_view.ANSWER, prediction_view.SHOWN)
    assert all(key in page.session_state for key in kept)
    page.segmented_control(key="source").set_value("upload").run()
    assert not any(key in page.session_state for key in kept)


def test_a_fault_of_the_gateway_is_no_fault_of_the_picture(gateway: SmallGateway):
    gateway.refusal = (500, "Something went wrong on our side.")
    page = open_page("predict")
    assert "Something went wrong on our side." in says(page)
    gateway.refusal = None
    next(button for button in page.button if button.label == "Retry").click().run()
    assert "Four of five" in says(page)


def test_a_face_is_painted_as_strongly_as_its_quarters_weigh():
    told = a_worth(top_left=0.5, bottom_left=-0.25)
    drawn = worth_view.tinted("data:image/png;base64,AA==", told.quarters["happy"], 0.5, "happy")
    picture = base64.b64decode(drawn.partition("base64,")[2].partition('"')[0]).decode()
    assert '<rect x="0" y="0" width="168" height="168" fill="#1f5fa8" fill-opacity="0.620"/>' in picture
    assert '<rect x="0" y="168" width="168" height="168" fill="#b3500a" fill-opacity="0.310"/>' in picture
    assert '<text x="84" y="94">+50.0</text>' in picture
    assert '<text x="84" y="262">−25.0</text>' in picture
    assert "top left +50.0, bottom left −25.0" in drawn


def test_a_half_adds_what_its_two_quarters_add():
    quarters = Quarters(top_right=0.01, top_left=0.02, bottom_left=0.04, bottom_right=0.08)
    rows = {row["Part"]: row["Points"] for row in worth_view.half_rows(quarters)}
    assert rows == {"Upper half": "+3.0", "Lower half": "+12.0", "Left half": "+6.0", "Right half": "+9.0"}


def test_without_worths_nothing_is_said_of_quarters(gateway: SmallGateway):
    assert "What each quarter says" not in says(open_page("predict"))


def test_the_probabilities_stand_in_a_table_too(gateway: SmallGateway):
    (table,) = open_page("predict").table
    rows = table.value.to_dict("records")
    assert [row["Model"] for row in rows] == [VIEW_NAMES[slot] for slot in FOUR_HAPPY]
    assert (rows[0]["Happy"], rows[2]["Happy"], rows[2]["Neutral"]) == ("70 %", "5 %", "70 %")


def test_a_face_that_is_covered_already_is_said_to_be_read_as_it_is(gateway: SmallGateway):
    face = a_face()
    seen = [prediction.model_copy(update={"hidden": "full"}) for prediction in face.predictions]
    gateway.prediction = a_prediction(face.model_copy(update={"predictions": seen}))
    page = open_page("predict")
    assert "the one trained with the lower half hidden reads neutral." in says(page)
    assert "Nothing is hidden here" in says(page)


def test_the_chosen_face_is_the_first_again_once_something_else_is_asked(gateway: SmallGateway):
    gateway.prediction = a_prediction(a_face(), a_face(60, dict.fromkeys(FOUR_HAPPY, "sad")))
    page = open_page("predict")
    page.segmented_control[-1].set_value(1).run()
    page.toggle(key="covered").set_value(True).run()
    assert page.segmented_control[-1].value == 0
    assert "Four of five" in says(page)


def test_a_picture_is_read_anew_once_other_models_may_serve(gateway: SmallGateway):
    page = open_page("predict")
    forget_answer_of(page)
    page.run()
    assert gateway.count(PREDICTIONS) == 2


def test_a_refused_picture_shows_the_gateways_sentence(gateway: SmallGateway):
    gateway.refusal = (422, "The image is cut off; send the whole file.")
    page = upload(png()[:80])
    assert [error.value for error in page.error] == [gateway.refusal[1]]
    assert not page.exception
    page.run()
    assert gateway.count(PREDICTIONS) == 2  # one for the sample, one for the upload


def test_a_picture_without_a_face_says_what_to_do(gateway: SmallGateway):
    gateway.prediction = a_prediction(empty=True, note="Nothing (detect: never).")
    page = open_page("predict")
    assert "The whole image is the face" in page.warning[0].value
    assert "No face was found in this picture." in says(page)
    assert "detect: never" not in says(page)
    assert not page.exception


def test_a_gateway_that_is_away_shows_a_sentence_and_a_button_to_try_again(gateway_away: str):
    page = open_page("predict")
    assert gateway_away in page.warning[0].value
    assert "Retry" in [button.label for button in page.button]
    assert not page.exception


def test_the_page_works_again_once_the_gateway_is_back(gateway: SmallGateway):
    gateway.refusal = (503, "Inference does not answer; try again.")
    page = open_page("predict")
    assert page.warning[0].value == gateway.refusal[1]
    gateway.refusal = None
    next(button for button in page.button if button.label == "Retry").click().run()
    assert "Four of five" in says(page)


def test_without_samples_the_page_asks_for_a_picture(
    gateway: SmallGateway, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(picture_source, "SAMPLES_DIR", tmp_path)
    page = open_page("predict")
    assert "upload one" in says(page)
    assert not gateway.predictions_asked
    assert not page.exception


def test_the_application_opens_with_this_page_and_says_that_the_gateway_is_ready(gateway: SmallGateway):
    page = open_app()
    assert page.title[0].value == "Read a face"
    assert "Ready" in page.sidebar.markdown[-1].value
    assert not page.exception


def test_the_application_says_what_keeps_an_older_state(gateway: SmallGateway):
    gateway.health = Health(status="ok", reason="upper: upper/7 cannot be loaded; upper/6 serves in its place.")
    told = [caption.value for caption in open_app().sidebar.caption]
    assert any("upper/6 serves in its place" in each for each in told)


def test_the_application_opens_without_a_gateway(gateway_away: str):
    page = open_app()
    assert page.sidebar.caption[0].value == "The gateway does not answer."
    assert gateway_away in page.main.warning[0].value
    assert not page.exception
