"""The page Study: findings, the heat map with its choosers, a cell, the rest; and the page without a study."""

import base64

import pytest
from streamlit.testing.v1 import AppTest

from services.frontend import study_charts, study_tables, study_words
from shared.copies import knowing_copies
from shared.study import Estimate, Leaks, StudyResult
from shared.study_mistakes import Mistake, MistakeList, MistakesQuery
from tests.study_example import example_study

from .opened import open_page, says
from .small_gateway import SmallGateway


@pytest.fixture(scope="module")
def example() -> StudyResult:
    """Give a study with every table filled."""
    return example_study()


def test_without_a_study_the_page_says_how_to_make_one(gateway: SmallGateway) -> None:
    page = open_page("study")

    assert "There is no study yet." in says(page)
    assert "python -m trainer study-report --data" in says(page)
    assert not page.exception


def test_the_page_answers_both_questions_with_their_figure(gateway: SmallGateway, example: StudyResult) -> None:
    gateway.study = example

    page = open_page("study")

    assert [error.value for error in page.error] == []
    assert not page.exception
    assert "**To these networks the lower half of the face is worth more than the upper half.**" in says(page)
    assert "By 2.8 points (95 % interval 1.7 to 3.9; corrected p < 0.001)" in says(page)


def test_an_undecided_question_names_the_halves_of_its_figure(example: StudyResult) -> None:
    undecided = example.hypotheses[1].model_copy(update={"verdict": "undecided"})

    sentence, figure = study_words.finding(undecided, example.tests)

    assert sentence == "No difference is shown between the left half and the right half of the face."
    assert figure.startswith("Left half minus right half: −2.8 points (95 % interval −3.9 to −1.7;")


def test_what_carries_a_difference_is_told_and_what_the_other_emotions_give(example: StudyResult) -> None:
    counts = {"happy": (10, 160), "neutral": (20, 100), "sad": (60, 50), "disgust": (1, 0)}
    tests = []
    for test in example.tests:
        first, second = counts.get(str(test.label), (30, 30)) if test.label else (181, 400)
        images = 1000 if test.label else 7000
        tests.append(test.model_copy(update={"only_first": first, "only_second": second, "n": images}))

    told = study_words.carriers(example.hypotheses[0], tests)

    # others: sad, disgust and three of 30 each way: 151 against 140 of 5,000 images
    assert told.startswith("Of the net 219 images that make it, 150 are happy and 80 neutral.")
    assert "On the other 5 emotions together the upper half is ahead by 0.2 points (95 % −0.4 to 0.9)" in told


def test_an_emotion_that_goes_the_other_way_carries_no_difference(example: StudyResult) -> None:
    tests = []
    for test in example.tests:
        first, second = (100, 331) if test.label == "happy" else (100, 95) if test.label else (700, 901)
        tests.append(test.model_copy(update={"only_first": first, "only_second": second, "n": 1000}))
    told = study_words.carriers(example.hypotheses[0], tests)
    assert told.startswith("Of the net 201 images that make it, 231 are happy. On the other 6 emotions together ")


def test_nothing_carries_a_difference_that_is_not_shown(example: StudyResult) -> None:
    undecided = example.hypotheses[0].model_copy(update={"verdict": "undecided"})
    assert study_words.carriers(undecided, example.tests) == ""


def test_the_table_of_tests_can_be_sorted_by_its_numbers(example: StudyResult) -> None:
    test = example.tests[0].model_copy(update={"p": 1e-45, "p_corrected": 0.25})
    row = study_words.paired_test_row(test)
    assert (row["p"], row["p corrected"], row["Difference, points"]) == (1e-45, 0.25, -2.8)
    assert row["95 % interval"] == "−3.9 to −1.7"


def test_intervals_of_areas_are_told_to_use_fewer_resamples(example: StudyResult) -> None:
    words = study_words.protocol_rows(example)["Intervals"]
    assert "2,000 bootstrap resamples" in words
    assert "of areas under curves (AUC, average precision) the first 500." in words


def test_the_protocol_tells_what_training_on_copies_could_give(example: StudyResult) -> None:
    known = knowing_copies(example, "upper", "upper")
    assert known is not None
    assert f"upper hidden {known.accuracy * 100:.1f}" in study_words.protocol_rows(example)["Leaks"]

    none = example.protocol.leaks.model_copy(update={"equal": 0, "near": 0})
    without = example.model_copy(update={"protocol": example.protocol.model_copy(update={"leaks": none})})
    assert "by heart" not in study_words.protocol_rows(without)["Leaks"]


def test_another_model_under_damage_is_shown_by_itself(gateway: SmallGateway, example: StudyResult) -> None:
    gateway.study = example
    page = open_page("study")

    page.selectbox(key="damaged").set_value("any").run()

    assert not page.exception
    assert "reach up to 2.0 points to each side" in says(page)
    table = next(frame.value for frame in page.dataframe if "Change, points" in frame.value)
    assert table.to_dict("records") == study_tables.damage_of_rows(example.robustness, "any")


def test_another_cell_and_part_are_looked_into(gateway: SmallGateway, example: StudyResult) -> None:
    gateway.study = example
    page = open_page("study")

    page.selectbox(key="trained").set_value("any")
    page.selectbox(key="tested").set_value("lower")
    page.selectbox(key="images").set_value("clean").run()

    cell = example.cell("any", "lower", "clean")
    assert cell
    assert "Trained: any hidden · tested: lower hidden" in [heading.value for heading in page.subheader]
    assert f"{cell.metrics.accuracy.value * 100:.1f}" in [metric.value for metric in page.metric]


def test_the_study_is_sent_once_while_it_stays_the_same(gateway: SmallGateway, example: StudyResult) -> None:
    gateway.study = example

    open_page("study").run()

    assert gateway.count("GET /v1/study") == 2
    assert gateway.studies_sent == 1


def open_mistakes() -> AppTest:
    """Open the page with the misread images unfolded."""
    page = open_page("study")
    page.session_state["mistakes"] = True
    return page.run()


def a_list(pages: int = 3) -> MistakeList:
    """Return the first part of a list."""
    mistake = Mistake(image="0f3c5a7e9b1d2c4e", name='test/sad/"1".jpg', label="sad", answer="happy", confidence=0.87)
    return MistakeList(images=1247, total=24 * pages, page=1, pages=pages, mistakes=[mistake])


def test_misread_images_are_asked_for_only_once_they_are_unfolded(gateway: SmallGateway, example: StudyResult) -> None:
    gateway.study, gateway.mistakes = example, a_list()

    open_page("study")

    assert gateway.mistakes_asked == []


def test_misread_images_of_the_chosen_model_view_label_and_answer_are_shown_page_by_page(
    gateway: SmallGateway, example: StudyResult
) -> None:
    gateway.study, gateway.mistakes = example, a_list()
    page = open_mistakes()
    page.selectbox(key="trained").set_value("any")
    page.selectbox(key="tested").set_value("left")
    page.selectbox(key="mistake-label").set_value("sad")
    page.selectbox(key="mistake-answer").set_value("happy").run()
    page.number_input(key="mistakes-any-left-sad-happy").set_value(2).run()

    assert not page.exception
    asked = {"model": "any", "view": "left", "label": "sad", "answer": "happy"}
    assert gateway.mistakes_asked[-1] == MistakesQuery.model_validate({**asked, "page": 2})
    assert "72 of 1,247 test images of sad were misread as happy." in says(page)
    drawn = next(
        element.proto.body for element in page.main if element.type == "html" and "base64" in element.proto.body
    )
    assert base64.b64encode(b"png of 0f3c5a7e9b1d2c4e").decode() in drawn
    assert "happy 87 %" in drawn
    assert "&quot;1&quot;" in drawn


def test_without_the_data_the_page_says_where_to_put_it(gateway: SmallGateway, example: StudyResult) -> None:
    gateway.study = example

    page = open_mistakes()

    assert "put FER2013 into data/" in says(page)
    assert not page.error


def test_damage_is_a_table_too_and_the_sample_is_told(gateway: SmallGateway, example: StudyResult) -> None:
    damage = example.robustness.model_copy(update={"images": 1000})
    gateway.study = example.model_copy(update={"robustness": damage})

    assert "Measured on 1,000 test images, drawn at random" in says(open_page("study"))
    rows = study_tables.damage_rows(damage)
    assert [(row["Damage"], row["Severity"]) for row in rows] == [
        ("Undamaged", ""),
        ("Random rectangle", "10 % of the area"),
        ("Random rectangle", "30 % of the area"),
        ("Random rectangle", "50 % of the area"),
        ("Sunglasses", ""),
    ]
    point = next(one for one in damage.points if (one.model, one.corruption) == ("upper", "sunglasses"))
    assert rows[-1]["Upper hidden"] == study_words.with_interval(point.accuracy)


def test_copies_are_told_where_they_were_counted(example: StudyResult) -> None:
    leaks = Leaks(equal=568, near=210, similarity=0.96)
    assert "repeat another one" not in study_words.leaks_words(leaks)
    counted = leaks.model_copy(
        update={"train_repeats": 1236, "test_repeats": 86, "conflicting": 57, "left_out": {"nearly_test": 1037}}
    )
    words = study_words.leaks_words(counted)
    assert "1,236 training images and 86 test images repeat another one; 57 different images" in words
    assert "Left out of training: 1,037 nearly equal to one." in words


def test_what_an_emotion_is_given_on_average_stands_beside_its_share(
    gateway: SmallGateway, example: StudyResult
) -> None:
    gateway.study = example
    page = open_page("study")
    page.selectbox(key="class-figure").set_value("mean_probability").run()
    assert not page.exception
    assert "Diamonds: the emotion's share of the images." in says(page)
    chart = study_charts.emotions({"sad": Estimate(value=0.2)}, {"sad": 0.3}, unit="", beside_title="Share")
    assert chart.to_dict()["layer"][-1]["encoding"]["tooltip"][1]["title"] == "Share"


def test_a_study_of_before_has_no_mean_probabilities_to_choose(gateway: SmallGateway, example: StudyResult) -> None:
    cells = tuple(
        cell.model_copy(
            update={"classes": tuple(one.model_copy(update={"mean_probability": None}) for one in cell.classes)}
        )
        for cell in example.cells
    )
    gateway.study = example.model_copy(update={"cells": cells})
    page = open_page("study")
    assert "Mean probability" not in page.selectbox(key="class-figure").options
    assert not page.exception


@pytest.mark.parametrize("divided", [True, False])
def test_a_study_of_before_says_that_its_probabilities_are_not_divided(
    gateway: SmallGateway, example: StudyResult, divided: bool
) -> None:
    protocol = example.protocol.model_copy(update={"divided": divided})
    gateway.study = example.model_copy(update={"protocol": protocol})
    assert ("Probabilities are those before temperature scaling" in says(open_page("study"))) is not divided


def test_a_study_of_before_has_no_changes_by_damage(gateway: SmallGateway, example: StudyResult) -> None:
    points = tuple(point.model_copy(update={"change": None}) for point in example.robustness.points)
    robustness = example.robustness.model_copy(update={"points": points})
    gateway.study = example.model_copy(update={"robustness": robustness})
    page = open_page("study")
    assert not page.exception
    assert "the change is against" not in says(page)
    assert all("Change, points" not in row for row in study_tables.damage_of_rows(robustness, "any"))


def test_what_always_answering_one_emotion_gives_is_told(example: StudyResult) -> None:
    cell = example.cell("full", "full")
    assert cell is not None
    most = max(cell.classes, key=lambda one: one.count)
    assert study_words.floor_words(example).startswith(
        f"Always answering {most.label} would be right on {most.count / cell.count * 100:.1f} %"
    )


def test_copies_that_some_versions_were_trained_on_are_not_said_to_be_left_out() -> None:
    leaks = Leaks(equal=5, near=2, similarity=0.96)
    assert "none of those training images was trained on" in study_words.leaks_words(leaks)
    some = leaks.model_copy(update={"left_out_by_all": False})
    assert "which of those training images a version left out is in its card" in study_words.leaks_words(some)
    counted = some.model_copy(update={"left_out": {"nearly_test": 7}})
    assert "Left out where a version left copies out: 7 nearly equal to one." in study_words.leaks_words(counted)


def test_ours_are_said_to_have_left_copies_out_only_if_all_did(example: StudyResult) -> None:
    leaks = example.protocol.leaks.model_copy(update={"equal": 5, "left_out_by_all": True})
    told = {}
    for by_all in (True, False):
        update = {"leaks": leaks.model_copy(update={"left_out_by_all": by_all})}
        told[by_all] = study_words.copies_words(
            example.model_copy(update={"protocol": example.protocol.model_copy(update=update)})
        )
    assert "Ours left the copies out" in told[True]
    assert "Ours left the copies out" not in told[False]
    assert "by heart" in told[False]
