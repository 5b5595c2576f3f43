"""Both services' web manners: one error shape, request ids, logs, pages that work offline."""

import json
import logging

import pytest
from apiflask import APIFlask
from flask import request
from flask.testing import FlaskClient
from pydantic import Field
from swagger_ui_bundle import swagger_ui_path
from werkzeug.test import TestResponse

from shared.json_logs import RequestIdFilter
from shared.schemas.wire import ErrorAnswer, Wire
from shared.web import ApiError, current_request_id, error_body, make_app, parse


class Order(Wire):
    """A request."""

    count: int = Field(ge=1, le=9)
    names: list[str] = Field(default_factory=list)


def small_app() -> APIFlask:
    """Return an application with a view of each kind."""
    app = make_app("small", title="Small", description="For tests.", max_request_bytes=1000)

    @app.post("/orders")
    def order() -> dict[str, object]:
        return {"count": parse(Order, request.get_json()).count, "request_id": current_request_id()}

    @app.get("/refused")
    def refused() -> None:
        raise ApiError(
            status=503, code="closed", message="Come back at nine.", field="time", headers={"Retry-After": "9"}
        )

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("the secret cause")

    return app


@pytest.fixture
def client() -> FlaskClient:
    """Give a client of the small application."""
    return small_app().test_client()


def error_of(answer: TestResponse, status: int) -> ErrorAnswer:
    """Return the error of an answer with this status."""
    assert answer.status_code == status
    error = ErrorAnswer.model_validate_json(answer.data)
    assert error.request_id == answer.headers["X-Request-ID"]
    assert error.error.message.endswith(".")
    return error


def test_a_refusal_has_its_code_sentence_field_and_headers(client: FlaskClient) -> None:
    answer = client.get("/refused")

    error = error_of(answer, 503).error
    assert (error.code, error.message, error.field) == ("closed", "Come back at nine.", "time")
    assert answer.headers["Retry-After"] == "9"


def test_an_unexpected_error_is_logged_and_not_shown(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.get("/broken")

    assert error_of(answer, 500).error.code == "internal_error"
    assert "secret" not in answer.text
    assert caplog.records[0].exc_info is not None
    assert "the secret cause" in str(caplog.records[0].exc_info[1])


def test_nothing_at_an_address_and_a_wrong_method_say_so(client: FlaskClient) -> None:
    wrong_method = client.get("/orders")

    assert error_of(client.get("/nowhere"), 404).error.code == "not_found"
    assert error_of(wrong_method, 405).error.code == "method_not_allowed"
    assert "POST" in wrong_method.headers["Allow"]


def test_a_request_that_is_too_large_is_refused(client: FlaskClient) -> None:
    answer = client.post("/orders", data=b" " * 2000, content_type="application/json")

    assert error_of(answer, 413).error.code == "request_too_large"


def test_malformed_json_and_other_content_types_are_refused(client: FlaskClient) -> None:
    assert error_of(client.post("/orders", data="{", content_type="application/json"), 400).error.code == "bad_request"
    assert error_of(client.post("/orders", data="x", content_type="text/plain"), 415).error.code == "media_type"


def test_json_that_is_nested_too_deep_is_refused_as_what_cannot_be_read(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app("deep", title="Deep", description="For tests.")
    app.post("/orders")(lambda: {"count": parse(Order, request.get_json()).count})

    answer = app.test_client().post("/orders", data="[" * 200_000, content_type="application/json")

    assert error_of(answer, 400).error.code == "bad_request"
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"count": 1, "names": ["a"] * 1001}, "names"),
        ({f"x{number}": 1 for number in range(1001)}, None),
        ([1] * 1001, None),
    ],
)
def test_more_entries_than_anybody_needs_are_refused_before_each_is_judged(body: object, field: str | None) -> None:
    app = make_app("many", title="Many", description="For tests.")

    @app.post("/parsed")
    def parsed() -> dict[str, object]:
        return {"count": parse(Order, request.get_json()).count}

    @app.post("/input")
    @app.input(Order)
    def taken(json_data: Order) -> dict[str, object]:
        return {"count": json_data.count}

    @app.post("/form")
    def form() -> dict[str, object]:
        return {"count": parse(Order, body).count}

    for path in ("/parsed", "/input", "/form"):
        error = error_of(app.test_client().post(path, json=body if path != "/form" else None), 422).error

        assert (error.code, error.field) == ("invalid", field)
        assert "more entries than anything here takes" in error.message


def test_as_many_entries_as_may_be_are_judged_one_by_one() -> None:
    app = make_app("many", title="Many", description="For tests.")
    app.post("/orders")(lambda: {"names": len(parse(Order, request.get_json()).names)})

    def answer(body: object) -> TestResponse:
        return app.test_client().post("/orders", json=body)

    assert answer({"count": 1, "names": ["a"] * 1000}).json == {"names": 1000}
    strange = error_of(answer({f"x{number}": 1 for number in range(1000)}), 422).error
    assert strange.message == "The field count is missing; send it."
    full = {"names": ["a"] * 1001} | {f"x{number}": 1 for number in range(999)}
    assert "The field names has more entries than anything here takes" in error_of(answer(full), 422).error.message


def test_a_long_text_in_a_form_is_no_matter_of_size_below_the_limit() -> None:
    app = make_app("forms", title="Forms", description="For tests.", max_request_bytes=2_000_000)
    app.post("/orders")(lambda: {"length": len(request.form["text"])})

    form = b"--x\r\nContent-Disposition: form-data; name=text\r\n\r\n%s\r\n--x--\r\n" % (b"x" * 1_000_000)
    answer = app.test_client().post("/orders", data=form, content_type="multipart/form-data; boundary=x")

    assert answer.json == {"length": 1_000_000}


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({}, "count", "The field count is missing; send it."),
        ({"count": 10}, "count", "The field count must be at most 9."),
        ({"count": "many"}, "count", "The field count must be a whole number."),
        ({"count": 1, "names": ["a", 5]}, "names[1]", "The field names[1] must be a text."),
        ({"count": 1, "colour": 1}, "colour", "The field colour is not known; remove it or check its spelling."),
        ([], None, "The request must be an object."),
    ],
)
def test_a_wrong_field_is_named_in_a_sentence(
    client: FlaskClient, body: object, field: str | None, message: str
) -> None:
    error = error_of(client.post("/orders", json=body), 422).error

    assert (error.code, error.field, error.message) == ("invalid", field, message)


def test_a_sane_request_id_is_kept_and_any_other_replaced(client: FlaskClient) -> None:
    def answered(sent: str) -> str:
        answer = client.post("/orders", json={"count": 1}, headers={"X-Request-ID": sent})
        assert answer.json is not None
        assert answer.json["request_id"] == answer.headers["X-Request-ID"]
        return answer.headers["X-Request-ID"]

    assert answered("mine-1") == "mine-1"
    for strange in ("a b", '"}{', "x" * 65, ""):
        assert len(answered(strange)) == 32
    assert current_request_id() == "-"


def test_each_request_is_one_line_of_the_log_with_its_id(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with_id = RequestIdFilter()
    caplog.handler.addFilter(with_id)
    with caplog.at_level(logging.INFO):
        client.post("/orders", json={"count": 1}, headers={"X-Request-ID": "mine-2"})
        client.get("/healthz")
    caplog.handler.removeFilter(with_id)

    (line,) = [record.__dict__ for record in caplog.records]
    assert (line["request_id"], line["method"], line["path"], line["status"]) == ("mine-2", "POST", "/orders", 200)


def test_the_error_body_fits_its_schema() -> None:
    assert ErrorAnswer.model_validate(error_body("a", "B.", "c")).error.field == "c"


def test_health_document_and_page_are_served_without_a_network(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok", "reason": None}
    assert client.get("/healthz").headers["X-Content-Type-Options"] == "nosniff"
    assert json.loads(client.get("/openapi.json").data)["openapi"] == "3.0.3"
    page = client.get("/docs").text
    assert "http" not in page
    with client.get("/docs/swagger-ui-bundle.js") as script:
        assert script.status_code == 200
    assert (swagger_ui_path / "swagger-ui-es-bundle.js").is_file()
    assert client.get("/docs/swagger-ui-es-bundle.js").status_code == 404
