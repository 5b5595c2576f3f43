"""The page Models: what serves, promote, roll back, archive, the card, the history."""

from streamlit.testing.v1 import AppTest

from services.frontend import model_words, prediction_view
from shared.schemas.models import ModelChange, ModelList, PromoteRequest, RollBackRequest

from .answers import a_card, a_model, measured
from .opened import open_page, says
from .small_gateway import SmallGateway


def two_versions() -> ModelList:
    """Return first/1, which serves two views, and first/2, which could."""
    old = a_model(serves=("full", "upper")).model_copy(
        update={"metrics": measured(0.6), "since": {"full": "2026-11-23T09:38:26+00:00"}}
    )
    new = a_model(view="upper", serves=()).model_copy(update={"id": "first/2", "metrics": measured(0.65)})
    return ModelList(models=[old, new], active={"full": "first/1", "upper": "first/1"}, previous={"full": "first/2"})


def press(page: AppTest, key: str) -> AppTest:
    """Press a button and return the page after it."""
    return page.button(key=key).click().run()


def test_what_serves_each_view_is_shown_with_its_figure_and_since_when(gateway: SmallGateway) -> None:
    gateway.models = two_versions()

    page = open_page("models")

    assert [metric.value for metric in page.metric] == ["60.0", "60.0", "–", "–", "–"]
    assert "since 2026-11-23 09:38 UTC" in says(page)
    assert ":gray[released 2026-11-23]  \n:gray[the released version]" in says(page)
    assert not page.exception
    assert page.button(key="roll-back-upper-first/1").disabled


def test_what_serves_is_compared_with_the_released_version_by_accuracy_and_macro_f1(gateway: SmallGateway) -> None:
    listed = two_versions()
    listed.models[0] = listed.models[0].model_copy(update={"serves": ["upper"]})
    listed.models[1] = listed.models[1].model_copy(
        update={"serves": ["full", "any"], "metrics": measured(0.65, macro_f1=0.45)}
    )
    listed.active = {"full": "first/2", "upper": "first/1", "any": "first/2"}
    gateway.models = listed
    gateway.history = [
        ModelChange(
            time="2026-11-24T09:00:00+00:00", by="ada", action="promote", slot=slot, model="first/2", before=before
        )
        for slot, before in (("full", "first/1"), ("any", None))
    ]

    page = open_page("models")

    assert [metric.delta for metric in page.metric] == ["+5.0 points", "", "", "", "", ""]
    assert page.metric[5].value == "65.0"
    assert ":gray[Macro F1] 45.0 :red[−5.0]" in says(page)
    assert "compared with first/1, the released version" in says(page)
    assert "no earlier version was measured on the same data" in says(page)
    assert "no date recorded" in says(page)


def test_a_slot_is_rolled_back(gateway: SmallGateway) -> None:
    gateway.models = two_versions()

    page = press(open_page("models"), "roll-back-full-first/1")

    assert gateway.changes_asked == [("roll back", RollBackRequest(slot="full"))]
    assert [toast.value for toast in page.toast] == ["first/2 serves again."]


def test_a_roll_back_that_is_pressed_again_takes_back_no_second_version(gateway: SmallGateway) -> None:
    gateway.models = two_versions()
    page = open_page("models")
    gateway.models = two_versions()
    gateway.models.active["full"] = "first/2"  # as the first press, or another tab, has made it
    press(page, "roll-back-full-first/1")

    assert gateway.changes_asked == []


def test_a_promotion_that_inference_cannot_try_is_told_where_it_was_pressed(gateway: SmallGateway) -> None:
    gateway.models = two_versions()
    page = open_page("models", model="first/2")
    gateway.change_refusal = (503, "Inference does not answer.")
    press(page, "promote")

    assert [error.value for error in page.error] == ["Inference does not answer."]
    assert "History" in says(page)


def test_a_version_is_promoted_to_the_view_that_it_was_trained_for(gateway: SmallGateway) -> None:
    gateway.models = two_versions()

    page = press(open_page("models", model="first/2"), "promote")

    assert gateway.changes_asked == [("promote first/2", PromoteRequest(slots=["upper"]))]
    assert [toast.value for toast in page.toast] == ["first/2 serves now: upper half hidden."]


def test_a_version_is_promoted_to_other_views_if_these_are_chosen(gateway: SmallGateway) -> None:
    gateway.models = two_versions()
    page = open_page("models", model="first/2")

    press(page.multiselect(key="slots-first/2").set_value(["left", "any"]).run(), "promote")

    assert gateway.changes_asked == [("promote first/2", PromoteRequest(slots=["left", "any"]))]


def test_a_version_is_archived_unless_it_serves(gateway: SmallGateway) -> None:
    gateway.models = two_versions()
    assert open_page("models", model="first/1").button(key="archive").disabled

    press(open_page("models", model="first/2"), "archive")

    assert gateway.changes_asked == [("archive first/2", None)]


def test_archived_versions_are_shown_on_demand_and_restored(gateway: SmallGateway) -> None:
    listed = two_versions()
    listed.models[1] = listed.models[1].model_copy(update={"archived": True})
    gateway.models = listed
    page = open_page("models")
    assert page.selectbox[0].options == ["first/1"]
    assert open_page("models", model="first/2").selectbox[0].value == "first/2"  # a link to it leads there all the same

    press(page.toggle(key="archived").set_value(True).run().selectbox[0].set_value("first/2").run(), "restore")

    assert gateway.changes_asked == [("restore first/2", None)]


def test_another_version_is_looked_at_and_the_address_keeps_it(gateway: SmallGateway) -> None:
    gateway.models = two_versions()

    page = open_page("models")
    for version in ("first/2", "first/1", "first/2"):
        page.selectbox[0].set_value(version).run()

        assert page.query_params["model"] in (version, [version])
        assert page.selectbox[0].value == version
        assert version in [heading.value for heading in page.subheader]


def test_a_change_of_what_serves_has_the_last_picture_read_anew(gateway: SmallGateway) -> None:
    gateway.models = two_versions()
    page = open_page("models", model="first/2")
    page.session_state[prediction_view.ANSWER] = ("what was asked", "an answer")

    press(page, "promote")

    assert gateway.changes_asked
    assert prediction_view.ANSWER not in page.session_state


def test_what_was_left_out_of_the_data_is_told() -> None:
    card = a_card(data={"name": "faces.zip", "left_out": {"equal_to_test": 7, "repeated": 2}})
    assert model_words.data_facts(card) == {
        "Name": "faces.zip",
        "Left out": "equal to test\\: 7, repeated\\: 2",
    }


def test_a_refusal_is_shown_as_the_gateways_sentence_and_the_page_stays(gateway: SmallGateway) -> None:
    gateway.models = two_versions()
    page = open_page("models", model="first/2")

    gateway.change_refusal = (409, "first/2 fails its self-test.")
    page = press(page, "promote")

    assert [error.value for error in page.error] == ["first/2 fails its self-test."]
    assert "Research only." in says(page)


def test_a_broken_version_and_an_unreadable_list_are_named(gateway: SmallGateway) -> None:
    broken = a_model(serves=()).model_copy(update={"problem": "first/1/model.onnx is altered.", "metrics": {}})
    gateway.models = ModelList(models=[broken], active={}, problem="active.json cannot be read.")

    page = open_page("models")

    assert [error.value for error in page.error] == ["active.json cannot be read.", "first/1/model.onnx is altered."]
    assert not [button for button in page.button if button.key == "promote"]
    assert gateway.count("GET /v1/models/history") == 0


def test_without_models_the_page_says_where_they_come_from(gateway: SmallGateway) -> None:
    gateway.models = ModelList(models=[], active={})

    page = open_page("models")

    assert "No version yet" in says(page)
    assert "Nobody has changed what serves yet." in says(page)


def test_the_card_is_readable(gateway: SmallGateway) -> None:
    gateway.models = two_versions()

    page = open_page("models")

    assert [tab.label for tab in page.tabs] == ["Figures", "Training", "Data", "Intended use"]
    assert "Research only." in says(page)
    assert "How it was measured: Each test face once." in says(page)
    cells = "\n".join(str(table.value.to_dict()) for table in page.table)
    for text in ("Macro F1", "20, best after 17", "1,500", "random weights"):
        assert text in cells


def test_the_history_shows_ten_changes_and_the_earlier_ones_on_demand(gateway: SmallGateway) -> None:
    change = ModelChange(time="2026-11-23T09:38:26+00:00", by="ada", action="archive", model="first/3")
    gateway.models, gateway.history = two_versions(), [change] * 12

    page = open_page("models")

    assert [len(table.value) for table in page.table][-2:] == [10, 2]
    assert page.expander[-1].label == "2 earlier changes"
