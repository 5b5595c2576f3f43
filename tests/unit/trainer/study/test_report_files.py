"""The report is one file without scripts or other files, its figures are those of the answers, no image is in it."""

import csv
import json
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from shared.labels import LABELS
from shared.masking import View
from shared.probabilities import softmax
from shared.study import Cell
from tests.unit.trainer.study.small_study import answers, labels_of
from trainer.study.report_files import Evaluation, write_report
from trainer.study.svg import Bar, Line, chart

TRUTH = labels_of(140)
EVALUATION = Evaluation(
    model="mine/1",
    trained_on="five",
    data="<drawn>.zip",
    names=[f"test/{index}.jpg" for index in range(140)],
    labels=TRUTH,
    logits={View.FULL: answers(TRUTH, 2.0, 0), View.UPPER: answers(TRUTH, 1.0, 1)},
    temperature=1.2,
)


class Page(HTMLParser):
    """Collects a page's tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a written report."""
    folder = tmp_path_factory.mktemp("reports") / "new" / "report"
    write_report(EVALUATION, folder, resamples=50)
    return folder


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_folder_holds_four_files_and_no_image(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {
        "report.html",
        "metrics.json",
        "confusion.csv",
        "predictions.csv",
    }


def test_the_page_needs_no_other_file_and_no_script(folder: Path) -> None:
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.tags}
    assert all((attributes.get("href") or "#").startswith("#") for _, attributes in page.tags)
    assert "prefers-color-scheme: dark" in page.words


def test_the_page_shows_every_view_with_its_charts(folder: Path) -> None:
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert [attributes["id"] for tag, attributes in page.tags if tag == "section"] == ["full", "upper"]
    assert sum(tag == "svg" for tag, _ in page.tags) == 2 * 4
    assert sum(attributes.get("class") == "confusion" for _, attributes in page.tags) == 2
    assert "mine/1 on <drawn>.zip" in page.words  # escaped in the source


def test_the_figures_are_those_of_the_answers(folder: Path) -> None:
    document = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert (document["model"], document["trained_on"]) == ("mine/1", "five")
    cells = [Cell.model_validate(cell) for cell in document["cells"]]
    right = EVALUATION.logits[View.UPPER].argmax(axis=1) == TRUTH
    assert cells[1].metrics.accuracy.value == pytest.approx(right.mean(), abs=5e-5)
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert f"{cells[1].metrics.accuracy.value * 100:.1f}" in page.words


def test_the_confusion_file_counts_every_image_once_a_view(folder: Path) -> None:
    rows = rows_of(folder / "confusion.csv")
    assert [(row["view"], row["true"]) for row in rows[6:8]] == [("full", "surprise"), ("upper", "angry")]
    assert sum(int(row[label]) for row in rows for label in LABELS) == 2 * 140


def test_the_predictions_file_names_images_and_answers(folder: Path) -> None:
    rows = rows_of(folder / "predictions.csv")
    assert len(rows) == 2 * 140
    row, logits = rows[140 + 5], EVALUATION.logits[View.UPPER][5:6]
    assert (row["view"], row["name"], row["true"]) == ("upper", "test/5.jpg", LABELS[TRUTH[5]])
    assert row["answer"] == LABELS[logits.argmax()]
    np.testing.assert_allclose([float(row[f"p_{label}"]) for label in LABELS], softmax(logits / 1.2)[0], atol=5e-5)


def test_a_chart_is_well_formed_and_inside_its_frame() -> None:
    drawn = chart(
        'a "chart"',
        "x < y",
        "y",
        lines=[Line("a & b", "angry", (0, 0.5, 1), (0, 1, 1))],
        bars=[Bar("bar", 0.0, 0.5, 1.0)],
        rising=True,
    )
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own text
    _, _, width, height = (float(number) for number in root.attrib["viewBox"].split())
    line = next(part for part in root if part.attrib.get("class") == "line angry")
    points = [tuple(map(float, point.split(","))) for point in line.attrib["d"][1:].split(" L")]
    assert len(points) == 3
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    assert points[0][1] > points[1][1]  # up is smaller
    bar = next(part for part in root if part.attrib.get("class") == "bar")
    assert float(bar.attrib["height"]) > 200
