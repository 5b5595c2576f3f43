"""The page Study: findings, the heat map with its choosers, a cell, the rest; and the page without a study."""

import pytest

from shared.study import StudyResult
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
    assert "**The lower half of the face is worth more than the upper half.**" in says(page)
    assert "+2.8 points (95 % 1.7 to 3.9; corrected p < 0.001)" in says(page)


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
