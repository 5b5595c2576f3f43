"""`/v1/study` at the real application."""

from pathlib import Path

from shared.schemas.wire import ErrorAnswer
from shared.study import STUDY_FILE, StudyResult, write_study
from tests.study_example import example_study

from .small_app import make_gateway


def error_code(content: bytes) -> str:
    """Return the code of an error."""
    return ErrorAnswer.model_validate_json(content).error.code


def test_without_a_study_the_answer_says_how_to_make_one(tmp_path: Path) -> None:
    answer = make_gateway(tmp_path).test_client().get("/v1/study")

    assert (answer.status_code, error_code(answer.data)) == (404, "study_not_found")
    assert "python -m trainer study-report" in answer.text


def test_a_study_that_cannot_be_read_is_refused_and_one_that_was_mended_is_sent(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / STUDY_FILE
    path.write_text("{")
    client = make_gateway(tmp_path).test_client()

    answer = client.get("/v1/study")
    assert (answer.status_code, error_code(answer.data)) == (409, "study_broken")
    assert str(tmp_path) not in answer.text

    study = example_study()
    write_study(study, path)
    assert StudyResult.model_validate_json(client.get("/v1/study").data) == study


def test_the_study_is_sent_again_only_where_it_changed(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / STUDY_FILE
    write_study(example_study(), path)
    client = make_gateway(tmp_path).test_client()
    etag = client.get("/v1/study").headers["ETag"]

    same = client.get("/v1/study", headers={"If-None-Match": etag})
    assert (same.status_code, same.data) == (304, b"")

    write_study(example_study().model_copy(update={"published": None}), path)
    changed = client.get("/v1/study", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != etag


def test_the_document_describes_the_study(tmp_path: Path) -> None:
    operation = make_gateway(tmp_path).test_client().get("/openapi.json").get_json()["paths"]["/v1/study"]["get"]

    assert {"200", "304", "404", "409"} <= set(operation["responses"])
    assert operation["tags"] == ["study"]
