"""Who may do what, at the real application: every route that changes something is closed without a key."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from scripts.stack_settings import ROOT
from services.gateway.access import READING, current_key_name
from services.gateway.key_store import KeyStore
from services.gateway.keys import Role, new_key
from shared.schemas.wire import ErrorAnswer

from .small_app import make_gateway

PREDICTING = {"/v1/predictions", "/upload"}


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    """Give the store of `app`."""
    return KeyStore(tmp_path / "runs" / "keys.json")


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """Give the gateway as it is set up by default."""
    return make_gateway(tmp_path)


def changing(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Yield (method, rule, an address of it) of every route that changes something."""
    adapter = app.url_map.bind("")
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - READING):
            values = dict.fromkeys(rule.arguments, "1")
            yield method, rule.rule, adapter.build(rule.endpoint, values, method=method)


def call(app: Flask, method: str, path: str, key: str | None = None, **kwargs: Any) -> TestResponse:
    """Return the answer to a request with a key."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return app.test_client().open(path, method=method, headers={**headers, **kwargs.pop("headers", {})}, **kwargs)


def error_code(answer: TestResponse, status: int) -> str:
    """Return the code of an error with this status."""
    assert answer.status_code == status, answer.text
    return ErrorAnswer.model_validate_json(answer.data).error.code


# --- every route -----------------------------------------------------------------------------------------------------


def test_every_route_that_changes_something_refuses_without_a_key(app: Flask) -> None:
    routes = [(method, rule, path) for method, rule, path in changing(app) if rule not in PREDICTING]
    assert {("POST", "/v1/jobs"), ("POST", "/v1/jobs/<run_id>/cancel")} <= {
        (method, rule) for method, rule, _ in routes
    }
    for method, rule, path in routes:
        answer = call(app, method, path)
        assert error_code(answer, 401) == "key_missing", rule
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_with_the_setting_predicting_refuses_too(tmp_path: Path) -> None:
    app = make_gateway(tmp_path, prediction_key=True)
    for method, rule, path in changing(app):
        assert error_code(call(app, method, path), 401) == "key_missing", rule


def test_jobs_are_open_to_train_keys_and_everything_else_to_admins_alone(app: Flask, store: KeyStore) -> None:
    role_keys = {role: store.create(role.value, role) for role in Role}
    for method, rule, path in changing(app):
        if rule in PREDICTING:
            continue
        needed = Role.TRAIN if rule.startswith("/v1/jobs") else Role.ADMIN
        for role, key in role_keys.items():
            answer = call(app, method, path, key)
            if role.allows(needed):
                assert answer.status_code not in (401, 403, 500), (rule, role)
            else:
                assert error_code(answer, 403) == "key_role", (rule, role)
                assert f"needs the role {needed}" in answer.text


@pytest.mark.parametrize("rule", ["/v1/jobsx", "/v1/later", "/v1/predictions/later", "/later/<x>"])
def test_a_route_that_the_table_does_not_know_needs_an_admin(tmp_path: Path, store: KeyStore, rule: str) -> None:
    app = make_gateway(tmp_path)
    app.add_url_rule(rule, "later", lambda **_: "changed", methods=["PUT"])
    path = rule.replace("<x>", "1")
    assert error_code(call(app, "PUT", path), 401) == "key_missing"
    assert error_code(call(app, "PUT", path, store.create("lab", Role.TRAIN)), 403) == "key_role"
    assert call(app, "PUT", path, store.create("boss", Role.ADMIN)).text == "changed"


# --- what is free ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/models", "/v1/datasets", "/healthz", "/docs", "/openapi.json"])
def test_reading_is_free_whatever_key_is_sent(app: Flask, path: str) -> None:
    assert call(app, "GET", path).status_code == 200
    assert call(app, "GET", path, new_key()).status_code == 200
    assert call(app, "GET", path, "rubbish").status_code == 200


@pytest.mark.parametrize("path", sorted(PREDICTING))
def test_predicting_is_free_by_default(app: Flask, path: str) -> None:
    body = {"images": ["data:image/png;base64,AA=="], "image": "x", "model": "full"}
    assert call(app, "POST", path, json=body if path == "/upload" else {"images": body["images"]}).status_code == 503


def test_what_is_not_there_is_not_found_rather_than_closed(app: Flask) -> None:
    assert error_code(call(app, "POST", "/v1/nothing"), 404) == "not_found"
    assert error_code(call(app, "DELETE", "/v1/datasets"), 405) == "method_not_allowed"


def test_a_browser_may_ask_whether_it_may_send_a_key(app: Flask) -> None:
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}
    answer = call(app, "OPTIONS", "/v1/jobs", headers=asked)
    assert answer.status_code == 200
    assert {"Authorization", "Idempotency-Key", "If-None-Match"} <= set(
        answer.headers["Access-Control-Allow-Headers"].split(", ")
    )
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ("https://a.example, https://b.example/", "https://a.example", "https://a.example"),
        ("https://a.example, https://b.example/", "https://b.example", "https://b.example"),
        ("https://a.example", "https://evil.example", None),
        ("https://a.example", "https://a.example.evil.example", None),
        ("", "https://a.example", None),
        ("*", "https://evil.example", "*"),
    ],
)
def test_web_pages_of_the_origins_that_are_named_may_read_and_no_others(
    tmp_path: Path, origins: str, origin: str, allowed: str | None
) -> None:
    app = make_gateway(tmp_path, cors_origins=origins)
    preflight = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    for answer in (
        call(app, "GET", "/healthz", headers={"Origin": origin}),
        call(app, "OPTIONS", "/v1/jobs", headers=preflight),
    ):
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert ("Access-Control-Expose-Headers" in answer.headers) == (allowed is not None)
        assert ("Origin" in answer.headers.get("Vary", "")) == (origins != "*")
    assert ("Access-Control-Allow-Methods" in answer.headers) == (allowed is not None)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_job_is_asked_for_with_a_key_and_refused_for_its_own_faults(app: Flask, store: KeyStore) -> None:
    key = store.create("lab", Role.TRAIN)
    assert error_code(call(app, "POST", "/v1/jobs", key, json={}), 422) == "invalid"


@pytest.mark.parametrize("key", ["hf_00000000_" + "x" * 43, "x", "hf_", "é"])
def test_an_unknown_key_is_refused(app: Flask, store: KeyStore, key: str) -> None:
    store.create("lab", Role.ADMIN)
    assert error_code(call(app, "POST", "/v1/jobs", key), 401) == "key_unknown"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic eDp5", "hf_x"])
def test_a_header_without_a_key_is_none(app: Flask, header: str) -> None:
    answer = call(app, "POST", "/v1/jobs", headers={"Authorization": header})
    assert error_code(answer, 401) == "key_missing"


def test_a_key_that_another_process_revokes_stops_working_at_once(app: Flask, store: KeyStore) -> None:
    key = store.create("lab", Role.TRAIN)
    assert call(app, "POST", "/v1/jobs", key, json={}).status_code == 422
    environment = {**os.environ, "GATEWAY_KEYS_FILE": str(store.path)}
    command = [sys.executable, "-m", "services.gateway", "keys", "revoke", "lab"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert error_code(call(app, "POST", "/v1/jobs", key, json={}), 401) == "key_unknown"


def test_a_key_file_that_cannot_be_read_closes_what_changes_and_leaves_reading_open(
    app: Flask, store: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    key = store.create("lab", Role.ADMIN)
    store.path.write_text("{")
    assert error_code(call(app, "POST", "/v1/jobs", key), 503) == "keys_unavailable"
    assert call(app, "GET", "/v1/jobs", key).status_code == 200
    assert "cannot be read" in caplog.text


def test_the_original_interface_says_msg_when_it_wants_a_key(tmp_path: Path) -> None:
    answer = call(make_gateway(tmp_path, prediction_key=True), "POST", "/upload", json={})
    assert answer.status_code == 401
    assert answer.json["msg"] == answer.json["error"]["message"]


# --- what is known afterwards ----------------------------------------------------------------------------------------


def test_a_view_knows_whose_key_it_was(app: Flask, store: KeyStore) -> None:
    app.add_url_rule("/name", "name", current_key_name, methods=["GET", "POST"])
    assert call(app, "POST", "/name", store.create("boss", Role.ADMIN)).text == "boss"
    assert call(app, "GET", "/name", new_key()).text == "anonymous"


def test_the_log_names_the_key_and_never_its_secret(
    app: Flask, store: KeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key, unknown = store.create("lab", Role.TRAIN), new_key()
    for sent in (key, unknown, f"{key}x"):
        call(app, "POST", "/v1/jobs", sent, json={})
        call(app, "GET", "/v1/jobs", sent)
    lines = [vars(record) for record in caplog.records]
    assert {(line["key"], line["key_id"]) for line in lines if "key" in line} == {("lab", key.split("_")[1])}
    for secret in (key.split("_", 2)[2], unknown.split("_", 2)[2]):
        assert secret not in repr(lines)


def test_the_document_marks_what_needs_a_key(app: Flask, tmp_path: Path) -> None:
    document = app.test_client().get("/openapi.json").json
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    jobs, predictions = document["paths"]["/v1/jobs"], document["paths"]["/v1/predictions"]
    assert jobs["post"]["security"] == [{"key": []}]
    assert "role **train**" in jobs["post"]["description"]
    assert {"401", "403"} <= set(jobs["post"]["responses"])
    assert "security" not in jobs["get"]
    assert "security" not in predictions["post"]

    closed = make_gateway(tmp_path, prediction_key=True).test_client().get("/openapi.json").json
    assert closed["paths"]["/v1/predictions"]["post"]["security"] == [{"key": []}]
