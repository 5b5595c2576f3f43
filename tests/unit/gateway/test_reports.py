"""`/v1/jobs/<id>/report`: a page, or figures, of an evaluation and of a study."""

from pathlib import Path

import pytest

from shared.run_folder import RunFolder
from shared.schemas.jobs import JobRequest
from shared.schemas.wire import ErrorAnswer

from .small_app import make_gateway

NAMES = ("report", "log")


def job_with(folder: Path, **files: str) -> str:
    """Make a job with these files in its report; return the report's address."""
    run = RunFolder.create(folder / "runs", JobRequest(kind="study", dataset="faces.zip"))
    (run.path / "report").mkdir()
    for name, content in files.items():
        (run.path / "report" / name.replace("__", ".")).write_text(content)
    return f"/v1/jobs/{run.id}/report"


@pytest.mark.parametrize("figures", ["metrics__json", "study__json"])
def test_the_page_is_for_browsers_and_the_figures_for_programs(figures: str, tmp_path: Path) -> None:
    address = job_with(tmp_path, report__html="<p>a page</p>", **{figures: '{"a": 1}'})
    client = make_gateway(tmp_path).test_client()

    with client.get(address, headers={"Accept": "text/html"}) as page:
        assert (page.status_code, page.mimetype, page.text) == (200, "text/html", "<p>a page</p>")
    with client.get(address, headers={"Accept": "application/json"}) as json:
        assert (json.status_code, json.get_json(), json.vary.to_header()) == (200, {"a": 1}, "Accept")
    for accepts in ({}, {"Accept": "*/*"}, {"Accept": "image/png"}):
        with client.get(address, headers=accepts) as page:
            assert (page.mimetype, page.vary.to_header()) == ("text/html", "Accept")


def test_the_document_tells_both_forms_of_report_and_log(tmp_path: Path) -> None:
    paths = make_gateway(tmp_path).test_client().get("/openapi.json").get_json()["paths"]
    forms = {name: set(paths[f"/v1/jobs/{{run_id}}/{name}"]["get"]["responses"]["200"]["content"]) for name in NAMES}
    assert forms == {"report": {"text/html", "application/json"}, "log": {"text/plain", "application/json"}}


def test_a_job_without_a_report_says_so(tmp_path: Path) -> None:
    answer = make_gateway(tmp_path).test_client().get(job_with(tmp_path))
    assert answer.status_code == 404
    assert ErrorAnswer.model_validate_json(answer.data).error.code == "report_not_found"
