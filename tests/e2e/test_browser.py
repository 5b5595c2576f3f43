"""The page in a real browser: a portrait in, five answers out; a job started with a key and watched to its end."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from shared.study import STUDY_FILE, write_study
from tests.e2e.running_stack import RunningStack
from tests.missing import missing
from tests.study_example import example_study

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.timeout(1200)]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
PATIENCE_MS = 120_000
TRAINING_MS = 900_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Give Debian's Chromium without a window."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        missing("There is no chromium; on Debian: apt install chromium.")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=program, args=QUIET) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Give a page of the browser."""
    with browser.new_page(viewport={"width": 1400, "height": 1200}) as page:
        page.set_default_timeout(PATIENCE_MS)
        yield page


def test_an_uploaded_portrait_gets_five_answers(stack: RunningStack, page: Page, portrait: bytes) -> None:
    page.goto(stack.page_url)
    expect(page.get_by_role("heading", name="Read a face")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_text("Upload", exact=True).first.click()
    page.locator("input[type=file]").set_input_files(
        {"name": "portrait.png", "mimeType": "image/png", "buffer": portrait}
    )
    expect(page.get_by_text("portrait.png")).to_be_visible(timeout=PATIENCE_MS)
    for name in ("Whole face", "Upper half hidden", "Lower half hidden", "Left half hidden", "Right half hidden"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_alt_text("The face:")).to_have_count(5)
    expect(page.get_by_alt_text("What each quarter adds to")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Traceback")).to_have_count(0)


def test_the_first_page_opens_by_its_name_too(stack: RunningStack, page: Page) -> None:
    page.goto(f"{stack.page_url}/predict")
    expect(page.get_by_role("heading", name="Read a face")).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_url(f"{stack.page_url}/")
    expect(page.get_by_text("Page not found")).to_have_count(0)


def test_a_job_is_started_and_watched_until_it_is_finished(stack: RunningStack, page: Page) -> None:
    page.goto(f"{stack.page_url}/train")
    expect(page.get_by_role("heading", name="Train a network")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("spinbutton", name="Epochs").fill("2")
    page.get_by_text("More settings").click()
    page.get_by_role("spinbutton", name="Size", exact=True).fill("16")
    page.get_by_role("spinbutton", name="Batch size").fill("32")
    page.get_by_role("button", name="Start training").click()
    page.get_by_role("textbox", name="Key").fill(stack.key)
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("Finished", exact=True).first).to_be_visible(timeout=TRAINING_MS)
    expect(page.get_by_text("This job made the model")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Validation accuracy").first).to_be_visible(timeout=PATIENCE_MS)
    assert "job=" in page.url


def test_a_study_is_shown_with_its_heat_map_findings_and_curves(stack: RunningStack, page: Page) -> None:
    write_study(example_study(), stack.folder / "models" / STUDY_FILE)
    page.goto(f"{stack.page_url}/study")
    for heading in ("Study", "Every model on every view", "Protocol"):
        expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible(timeout=PATIENCE_MS)
    charts = page.get_by_test_id("stVegaLiteChart")
    for number in range(3):  # H1, Q1, the heat map
        expect(charts.nth(number).locator("canvas, svg").first).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_what_was_chosen_on_a_page_is_still_chosen_when_one_comes_back(stack: RunningStack, page: Page) -> None:
    write_study(example_study(), stack.folder / "models" / STUDY_FILE)
    page.goto(f"{stack.page_url}/study")
    page.get_by_role("radio", name="Difference").click()
    told = page.get_by_text("Ours minus the original's in points")
    expect(told).to_be_visible(timeout=PATIENCE_MS)

    page.get_by_role("link", name="Train").click()
    epochs = page.get_by_role("spinbutton", name="Epochs")
    epochs.fill("33")
    epochs.press("Enter")
    page.get_by_role("link", name="Study").click()
    expect(told).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="Train").click()
    expect(epochs).to_have_value("33", timeout=PATIENCE_MS)
