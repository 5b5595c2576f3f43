"""Pages run by Streamlit's AppTest, and what they say."""

from pathlib import Path

from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[3] / "services" / "frontend" / "app.py"


def open_page(name: str, **query: str) -> AppTest:
    """Run one page as Streamlit does and return it."""
    page = AppTest.from_string(f"from services.frontend.screens import {name}\n{name}.show()", default_timeout=60)
    for key, value in query.items():
        page.query_params[key] = value
    return page.run()


def open_app() -> AppTest:
    """Run the whole application, which shows its first page."""
    return AppTest.from_file(str(APP), default_timeout=60).run()


def says(page: AppTest) -> str:
    """Return all that the page says, as text."""
    kinds = (page.title, page.subheader, page.markdown, page.caption, page.info, page.warning, page.error, page.success)
    return "\n".join(str(element.value) for elements in kinds for element in elements)
