"""What the page Models says."""

from typing import Any

import pytest

from services.frontend import model_words
from shared.schemas.models import ModelChange, ModelInfo, ModelList

from .answers import a_card, a_model, measured


def version(model_id: str, accuracy: float | None, *serves: str, **changes: Any) -> ModelInfo:
    """Return a version that reached this accuracy on every view."""
    name, number = model_id.split("/")
    update = {"id": model_id, "name": name, "version": number, "metrics": measured(accuracy) if accuracy else {}}
    return a_model(serves=serves).model_copy(update={**update, "fingerprint": "abc", **changes})


def listed(*models: ModelInfo) -> ModelList:
    """Return the list of these versions."""
    return ModelList(models=list(models), active={slot: model.id for model in models for slot in model.serves})


@pytest.mark.parametrize(
    ("difference", "text"),
    [(0.0123, ":green[+1.2]"), (-0.0123, ":red[−1.2]"), (0.0004, ":gray[±0.0]"), (-0.0004, ":gray[±0.0]")],
)
def test_a_difference_has_a_sign_and_a_colour(difference: float, text: str) -> None:
    assert model_words.points(difference) == text


def test_a_version_is_compared_with_what_serves_each_view() -> None:
    old, new = version("first/1", 0.6, "full", "upper"), version("first/2", 0.625, "left")

    row = model_words.version_row(new, listed(old, new))

    assert row["Version"] == "**first/2**"
    assert row["Whole face"] == "62.5\N{NO-BREAK SPACE}:green[+2.5]  \n:gray[50.0]\N{NO-BREAK SPACE}:gray[±0.0]"
    assert row["Left hidden"] == "62.5\N{NO-BREAK SPACE}:primary[●]  \n:gray[50.0]"
    assert row["Right hidden"] == "62.5  \n:gray[50.0]"
    assert "Any part" not in row


def test_macro_f1_is_compared_beside_accuracy_and_any_part_by_its_mean() -> None:
    old = version("any/1", 0.6, "full", "any")
    new = version("any/2", None, view="any", metrics=measured(0.65, macro_f1=0.45))

    row = model_words.version_row(new, listed(old, new))
    lines = model_words.figure_rows(new, listed(old, new))

    assert row["Any part"] == "65.0\N{NO-BREAK SPACE}:green[+5.0]  \n:gray[45.0]\N{NO-BREAK SPACE}:red[−5.0]"
    assert [line["Against"] for line in lines] == ["any/1", "–", "–", "–", "–", "any/1"]
    assert (lines[5]["Accuracy"], lines[5]["Macro F1"]) == (
        "65.0\N{NO-BREAK SPACE}:green[+5.0]",
        "45.0\N{NO-BREAK SPACE}:red[−5.0]",
    )
    assert model_words.figure_rows(old, listed(old, new))[5]["Against"] == ":primary[●] in service"


def test_versions_measured_on_other_data_and_without_figures_are_not_compared() -> None:
    old = version("first/1", 0.6, "full")
    other, unmeasured = version("first/2", 0.625, fingerprint="xyz"), version("first/3", None)
    everything = listed(old, other, unmeasured)

    assert model_words.version_row(other, everything)["Whole face"] == "62.5  \n:gray[50.0]"
    assert model_words.version_row(unmeasured, everything)["Whole face"] == "–"
    assert model_words.figure_rows(other, everything)[0]["Against"] == "–"


def test_a_version_that_cannot_be_used_says_so_in_the_table() -> None:
    broken = version("first/1", None, problem="altered", created="")

    row = model_words.version_row(broken, listed(broken))

    assert (row["Learnt from"], row["Made"]) == (":orange[Cannot be used]", "–")


def test_what_serves_stands_first_then_the_newest() -> None:
    models = (
        version("old/1", 0.6, created="2026-01-01"),
        version("new/1", 0.6, created="2026-02-01"),
        version("first/1", 0.6, "full", created="2025-01-01"),
    )

    ordered = model_words.in_order(listed(*models))

    assert [model.id for model in ordered.models] == ["first/1", "new/1", "old/1"]


@pytest.mark.parametrize(
    ("view", "slots"),
    [("upper", ["upper"]), ("five", ["full", "upper", "lower", "left", "right"]), ("any", ["any"]), ("diagonal", [])],
)
def test_a_version_is_offered_for_what_it_was_trained_on(view: str, slots: list[str]) -> None:
    assert model_words.own_slots(a_model(view=view)) == slots


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"action": "promote", "slot": "upper", "before": "a/1"},
            "Promoted **a/2** for faces with the upper half hidden, in place of a/1",
        ),
        ({"action": "roll_back", "slot": "full", "before": "a/3"}, "Rolled back to **a/2** for whole faces, in place"),
        ({"action": "release", "slot": "left"}, "The release brought **a/2** for faces with the left half hidden"),
        ({"action": "archive"}, "Archived **a/2**"),
        ({"action": "restore"}, "Restored **a/2**"),
    ],
)
def test_a_change_is_a_sentence_with_who_and_when(change: dict[str, str], text: str) -> None:
    told = ModelChange.model_validate({"time": "2026-11-23T09:38:26+00:00", "by": "a_b", "model": "a/2", **change})

    row = model_words.change_row(told)

    assert (row["When"], row["Who"]) == ("2026-11-23 09:38 UTC", r"a\_b")
    assert row["What"].startswith(text)


def test_a_card_is_told_in_facts() -> None:
    training, data = model_words.training_facts(a_card()), model_words.data_facts(a_card())

    assert training["Network"] == "resnet34, reads 48 x 48 pixels, three channels"
    assert (training["Started from"], training["Epochs"], training["Time"]) == (
        "random weights",
        "20, best after 17",
        "about 1 hour",
    )
    assert training["Optimiser"] == "adamw, learning rate 0.0015"
    assert data == {"Name": "faces.zip", "Fingerprint": "abc123"}
    assert model_words.count_rows(a_card())[3] == {"Emotion": "Happy", "Train": "1,500", "Test": "1,500"}
    assert model_words.class_rows(a_card().metrics)[1]["Left hidden"] == "0.0"


@pytest.mark.parametrize("told", [{}, {"request": 3}, {"request": {"settings": []}, "seconds": "long"}])
def test_a_card_that_tells_little_is_shown_all_the_same(told: dict[str, Any]) -> None:
    card = a_card(training=told, data={"counts": {"train": 3}}, metrics={"test": {"full": 1, "left": {}}})

    assert "Epochs" not in model_words.training_facts(card)
    assert model_words.count_rows(card)[0] == {"Emotion": "Angry", "Train": "0"}
    assert model_words.class_rows(card.metrics) == []
    assert model_words.class_rows({}) == []


def test_text_from_outside_is_no_markdown() -> None:
    assert model_words.escaped("*a* [b](c) :red[d]") == r"\*a\* \[b\](c) \:red\[d\]"
