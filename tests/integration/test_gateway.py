"""The gateway over HTTP, under gunicorn: the original contract, predictions, jobs, refusals, neighbours that are away.

Inference is the small real server of the unit tests, so that each of its behaviours can be asked for; the whole stack
with real faces is driven in tests/e2e.
"""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from redis import Redis

from scripts.processes import free_port
from scripts.stack_settings import ROOT
from shared.run_folder import RunFolder, RunState
from shared.schemas.jobs import Job, JobRequest, JobState
from shared.schemas.wire import ErrorAnswer
from tests.integration.conftest import ADMIN_KEY, MAX_REQUEST_BYTES, RunningGateway
from tests.integration.service_process import running_service
from tests.unit.gateway.small_inference import SmallInference, serve_inference

IMAGE = "data:image/png;base64,AA=="


@pytest.fixture
def inference(gateway: RunningGateway) -> Iterator[SmallInference]:
    """Serve a small inference service where the gateway looks for it."""
    with serve_inference(gateway.inference_port) as told:
        yield told


@pytest.fixture
def redis(gateway: RunningGateway) -> Iterator[Redis]:
    """Connect to the gateway's queue server, emptied."""
    with Redis.from_url(gateway.queue_url) as connection:
        connection.flushall()
        yield connection


def post(gateway: RunningGateway, path: str, key: str = ADMIN_KEY, **kwargs: Any) -> requests.Response:
    """Return the answer to a POST with a key."""
    headers = {"Authorization": f"Bearer {key}", **kwargs.pop("headers", {})}
    return requests.post(gateway.url + path, timeout=60, headers=headers, **kwargs)


def get(gateway: RunningGateway, path: str, **kwargs: Any) -> requests.Response:
    """Return the answer to a GET."""
    return requests.get(gateway.url + path, timeout=60, **kwargs)


def refused(answer: requests.Response, status: int) -> ErrorAnswer:
    """Return the error of an answer with this status."""
    assert answer.status_code == status, answer.text
    error = ErrorAnswer.model_validate_json(answer.content)
    assert error.request_id == answer.headers["X-Request-ID"]
    return error


def start(gateway: RunningGateway) -> Job:
    """Return a job that was just queued."""
    return Job.model_validate_json(post(gateway, "/v1/jobs", json={"dataset": "faces.zip"}).content)


# --- the original contract -------------------------------------------------------------------------------------------


def test_upload_answers_as_the_original_did(gateway: RunningGateway, inference: SmallInference) -> None:
    answer = post(gateway, "/upload", json={"image": IMAGE, "model": "full"})

    assert answer.status_code == 200
    assert answer.json()["msg"] == "Success"
    assert answer.json()["data"]["result"] == "3"
    assert json.loads(inference.bodies[0]) == {"image": IMAGE, "model_name": "full"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"model": "full"}', "image"),
        (b'{"image": "x"}', "model"),
        (b'{"image": "", "model": "full"}', "image"),
        (b'{"image": 5, "model": "full"}', "image"),
        (b'{"image": "x", "model": "sideways"}', "model"),
        (b"[]", "image"),
        (b"null", "image"),
        (b'{"image": ', None),
        (b"", None),
    ],
)
def test_upload_refuses_a_bad_request_with_400_and_msg(gateway: RunningGateway, body: bytes, field: str | None) -> None:
    answer = post(gateway, "/upload", data=body, headers={"Content-Type": "application/json"})

    error = refused(answer, 400).error
    assert error.field == field
    assert answer.json()["msg"] == error.message


def test_upload_keeps_the_status_of_other_failures_and_says_msg(
    gateway: RunningGateway, inference: SmallInference
) -> None:
    truncated = post(gateway, "/upload", json={"image": "truncated", "model": "full"})
    large = post(gateway, "/upload", json={"image": "x" * 300_000, "model": "full"})

    assert refused(truncated, 422).error.code == "image_truncated"
    assert truncated.json()["msg"] == "The image ends early."
    assert refused(large, 413).error.message == large.json()["msg"]


def test_pages_of_any_origin_may_call(gateway: RunningGateway) -> None:
    asked = {"Origin": "https://example.org", "Access-Control-Request-Method": "POST"}

    allowed = requests.options(f"{gateway.url}/upload", headers=asked, timeout=60)
    refusal = post(gateway, "/upload", json={}, headers={"Origin": "https://example.org"})

    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == "*"
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
    assert {"Authorization", "Content-Type"} <= set(allowed.headers["Access-Control-Allow-Headers"].split(", "))
    assert allowed.headers["Access-Control-Max-Age"] == "600"
    assert refusal.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Max-Age" not in refusal.headers
    for answer in (allowed, refusal):
        assert set(answer.headers["Access-Control-Expose-Headers"].split(", ")) == {
            "Content-Disposition",
            "ETag",
            "Location",
            "Retry-After",
            "X-Request-ID",
        }
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


# --- predictions -----------------------------------------------------------------------------------------------------


def test_a_form_reaches_inference_byte_for_byte(gateway: RunningGateway, inference: SmallInference) -> None:
    form = requests.Request(
        "POST",
        f"{gateway.url}/v1/predictions",
        files=[("images", ("a.png", b"\x00\xff" * 1000)), ("images", ("b.png", b"second"))],
        data={"models": ["full", "upper"], "mask": "false"},
    ).prepare()
    assert isinstance(form.body, bytes)

    with requests.Session() as session:
        answer = session.send(form, timeout=60)

    assert answer.status_code == 200
    assert answer.json()["images"][0]["note"] == hashlib.sha256(form.body).hexdigest()
    assert inference.content_types == [form.headers["Content-Type"]]


def test_a_form_sent_in_chunks_reaches_inference_whole(gateway: RunningGateway, inference: SmallInference) -> None:
    chunks = [b"--x\r\n", b"a" * 70_000, b"\r\n--x--\r\n"]

    answer = post(
        gateway, "/v1/predictions", data=iter(chunks), headers={"Content-Type": "multipart/form-data; boundary=x"}
    )

    assert answer.status_code == 200
    assert inference.bodies == [b"".join(chunks)]


def test_a_json_request_is_checked_and_forwarded(gateway: RunningGateway, inference: SmallInference) -> None:
    answer = post(gateway, "/v1/predictions", json={"images": [IMAGE], "models": ["left"]})

    assert answer.status_code == 200
    assert json.loads(inference.bodies[0])["models"] == ["left"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"images": []}, "images"),
        ({"models": ["full"]}, "images"),
        ({"images": [IMAGE], "models": ["sideways"]}, "models[0]"),
        ({"images": [IMAGE], "model": "full"}, "model"),
        ([], None),
    ],
)
def test_a_wrong_json_request_is_refused_by_field(gateway: RunningGateway, body: object, field: str | None) -> None:
    assert refused(post(gateway, "/v1/predictions", json=body), 422).error.field == field


def test_other_content_types_and_malformed_json_are_refused(gateway: RunningGateway) -> None:
    text = post(gateway, "/v1/predictions", data=b"x", headers={"Content-Type": "text/plain"})
    broken = post(gateway, "/v1/predictions", data=b"{", headers={"Content-Type": "application/json"})

    refused(text, 415)
    refused(broken, 400)


def test_a_form_that_is_too_large_is_refused(gateway: RunningGateway) -> None:
    answer = post(gateway, "/v1/predictions", files={"images": ("a.png", b"x" * 300_000)})

    assert refused(answer, 413).error.code == "request_too_large"


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x"])
def test_a_body_in_chunks_that_is_too_large_is_refused(gateway: RunningGateway, content_type: str) -> None:
    pieces = (b"x" * 10_000 for _ in range(30))
    answer = post(gateway, "/v1/predictions", data=pieces, headers={"Content-Type": content_type})

    assert refused(answer, 413).error.code == "request_too_large"


def test_a_body_in_chunks_that_is_as_large_as_may_be_is_none_too_large(gateway: RunningGateway) -> None:
    body = b" " * (MAX_REQUEST_BYTES - 2) + b"{}"
    answer = post(gateway, "/v1/predictions", data=iter([body]), headers={"Content-Type": "application/json"})

    assert refused(answer, 422).error.field == "images"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"zz\r\n", 400),
        (b"-1\r\n", 400),
        (b"2\r\n{}3\r\n", 400),
        (b"2\r\n{}", 400),
        (b"%x\r\n%s\r\n" % (MAX_REQUEST_BYTES, b" " * MAX_REQUEST_BYTES) * 2 + b"zz\r\n", 413),
        (b"%x\r\n%s\r\n" % (MAX_REQUEST_BYTES, b" " * MAX_REQUEST_BYTES), 408),
    ],
)
def test_chunks_that_are_none_are_refused(gateway: RunningGateway, body: bytes, status: int) -> None:
    address = urlsplit(gateway.url)
    head = (
        "POST /v1/predictions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: Bearer {ADMIN_KEY}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.status == status
        assert ErrorAnswer.model_validate_json(answer.read())


def test_nothing_is_redirected_to_an_address_made_from_the_host_header(gateway: RunningGateway) -> None:
    for path in ("/v1//models", "/v1/models/"):
        answer = get(gateway, path, headers={"Host": "evil.example"}, allow_redirects=False)
        assert refused(answer, 404).error.code == "not_found"


def test_inferences_refusal_reaches_the_caller(gateway: RunningGateway, inference: SmallInference) -> None:
    error = refused(post(gateway, "/v1/predictions", json={"images": ["truncated"]}), 422).error

    assert (error.code, error.field) == ("image_truncated", "images[0]")


def test_inference_may_be_away_and_come_back(gateway: RunningGateway) -> None:
    away = post(gateway, "/v1/predictions", json={"images": [IMAGE]})
    uploaded = post(gateway, "/upload", json={"image": IMAGE, "model": "full"})
    with serve_inference(gateway.inference_port):
        back = post(gateway, "/v1/predictions", json={"images": [IMAGE]})
    gone = post(gateway, "/v1/predictions", json={"images": [IMAGE]})
    with serve_inference(gateway.inference_port):
        again = post(gateway, "/v1/predictions", json={"images": [IMAGE]})

    for answer in (away, uploaded, gone):
        assert refused(answer, 503).error.code == "inference_unavailable"
        assert answer.headers["Retry-After"] == "5"
    assert uploaded.json()["msg"] == uploaded.json()["error"]["message"]
    assert (back.status_code, again.status_code) == (200, 200)


def test_a_request_keeps_its_id_through_both_services_and_the_log(
    gateway: RunningGateway, inference: SmallInference
) -> None:
    answer = post(gateway, "/v1/predictions", json={"images": [IMAGE]}, headers={"X-Request-ID": "a-request-of-mine"})

    assert answer.headers["X-Request-ID"] == "a-request-of-mine"
    assert inference.request_ids == ["a-request-of-mine"]
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines()]
    (line,) = [line for line in lines if line["request_id"] == "a-request-of-mine"]
    assert (line["service"], line["path"], line["status"]) == ("gateway", "/v1/predictions", 200)


# --- models and data sets --------------------------------------------------------------------------------------------


def test_models_and_data_sets_are_listed(gateway: RunningGateway) -> None:
    models, datasets = get(gateway, "/v1/models").json(), get(gateway, "/v1/datasets").json()

    assert [model["id"] for model in models["models"]] == ["first/1"]
    assert [(each["name"], each["total"]) for each in datasets["datasets"]] == [("faces.zip", 14)]
    assert get(gateway, "/v1/models/first/1").json()["architecture"] == "resnet18"
    assert refused(get(gateway, "/v1/models/first/2"), 404).error.code == "model_not_found"


# --- jobs ------------------------------------------------------------------------------------------------------------


def test_a_job_appears_in_the_queue_as_json(gateway: RunningGateway, redis: Redis) -> None:
    answer = post(gateway, "/v1/jobs", json={"dataset": "faces.zip", "view": "upper", "settings": {"epochs": 2}})

    job = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert redis.lrange("rq:queue:trainer", 0, -1) == [job["id"].encode()]
    data = redis.hget(f"rq:job:{job['id']}", "data")
    assert json.loads(zlib.decompress(data)) == ["trainer.jobs.run", None, [job["id"]], {}]
    shown = get(gateway, answer.headers["Location"]).json()
    assert (shown["state"], shown["request"]["settings"]["epochs"]) == ("queued", 2)
    assert shown["message"].startswith("Number 1 in the queue; no worker is running")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "dataset"),
        ({"dataset": "../faces.zip"}, "dataset"),
        ({"dataset": "faces.zip", "base_model": "first/9"}, "base_model"),
        ({"dataset": "faces.zip", "view": "sideways"}, "view"),
        ({"dataset": "faces.zip", "settings": {"epochs": 0}}, "settings.epochs"),
        ({"dataset": "faces.zip", "settings": {"epoch": 1}}, "settings.epoch"),
        ({"dataset": "faces.zip", "settings": {"grow_from": 64}}, "settings.grow_from"),
    ],
)
def test_a_wrong_job_is_refused_by_field(gateway: RunningGateway, body: object, field: str) -> None:
    assert refused(post(gateway, "/v1/jobs", json=body), 422).error.field == field


def test_a_job_that_waits_is_cancelled_at_once_and_resumed(gateway: RunningGateway, redis: Redis) -> None:
    path = f"/v1/jobs/{start(gateway).id}"

    cancelled, again = post(gateway, f"{path}/cancel"), post(gateway, f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert redis.llen("rq:queue:trainer") == 0
    assert refused(again, 409).error.code == "job_state"

    resumed = post(gateway, f"{path}/resume")
    assert (resumed.status_code, resumed.json()["state"]) == (200, "queued")
    assert redis.llen("rq:queue:trainer") == 1
    assert refused(post(gateway, f"{path}/resume"), 409).error.code == "job_state"


def test_jobs_are_listed_by_state_with_metrics_and_log(gateway: RunningGateway, redis: Redis) -> None:
    past = RunFolder.create(
        gateway.folder / "runs", JobRequest(dataset="gone.zip"), run_id="20200101-000000-full-000000"
    )
    past.set_state(RunState(state=JobState.CANCELLED))
    job = start(gateway)
    run = gateway.folder / "runs" / job.id
    row = {"step": 1, "seconds": 1, "train_loss": 1, "validation_loss": 1, "validation_accuracy": 0.5}
    rows = [{**row, "epoch": epoch, "learning_rate": 0.1, "size": 48} for epoch in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in rows))
    (run / "log.txt").write_text("one\ntwo\n")

    listed = get(gateway, "/v1/jobs", params={"state": "queued", "limit": 1}).json()["jobs"]
    later = get(gateway, f"/v1/jobs/{job.id}/metrics", params={"after": 1}).json()["rows"]
    log = get(gateway, f"/v1/jobs/{job.id}/log", params={"lines": 1})
    text = get(gateway, f"/v1/jobs/{job.id}/log", headers={"Accept": "text/plain"})
    older = get(gateway, "/v1/jobs", params={"before": job.id}).json()["jobs"]

    assert len(listed) == 1
    assert older[-1]["id"] == past.id
    assert all(each["id"] < job.id for each in older)
    assert [each["epoch"] for each in later] == [2]
    assert log.json() == {"lines": ["two"]}
    assert (text.text, text.headers["Content-Type"]) == ("one\ntwo\n", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("query", "field"), [("state=asleep", "state"), ("limit=0", "limit"), ("limit=many", "limit"), ("page=2", "page")]
)
def test_a_wrong_query_is_refused_by_field(gateway: RunningGateway, query: str, field: str) -> None:
    assert refused(get(gateway, f"/v1/jobs?{query}"), 422).error.field == field


@pytest.mark.parametrize("path", ["/v1/jobs/nothing", "/v1/jobs/nothing/metrics", "/v1/jobs/nothing/log", "/v1/other"])
def test_what_is_not_there_is_not_found(gateway: RunningGateway, path: str) -> None:
    refused(get(gateway, path), 404)


def test_the_queue_may_be_away_while_jobs_are_still_listed(gateway: RunningGateway, redis: Redis) -> None:
    job, port = start(gateway), free_port()
    environment = {
        "GATEWAY_PORT": str(port),
        "GATEWAY_INFERENCE_URL": f"http://127.0.0.1:{gateway.inference_port}",
        "GATEWAY_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        **{f"GATEWAY_{name.upper()}_DIR": str(gateway.folder / name) for name in ("data", "runs", "models")},
    }
    url = f"http://127.0.0.1:{port}"
    runs_before = sorted((gateway.folder / "runs").iterdir())
    second = replace(gateway, url=url)
    with running_service("gateway", environment, url, gateway.folder / "second.log"):
        started = post(second, "/v1/jobs", json={"dataset": "faces.zip", "settings": {"seed": 7}})
        again = post(second, "/v1/jobs", json={"dataset": "faces.zip"})
        cancelled = post(second, f"/v1/jobs/{job.id}/cancel")
        listed = requests.get(f"{url}/v1/jobs", timeout=60)
        ready = requests.get(f"{url}/readyz", timeout=60)

    for answer in (started, cancelled):
        assert refused(answer, 503).error.code == "queue_unavailable"
        assert answer.headers["Retry-After"] == "5"
    assert (again.status_code, again.json()["id"]) == (200, job.id)  # it is open: nothing is queued
    assert sorted((gateway.folder / "runs").iterdir()) == runs_before
    assert job.id in [each["id"] for each in listed.json()["jobs"]]
    assert ready.status_code == 503
    assert "queue: it does not answer" in ready.json()["reason"]


# --- keys ------------------------------------------------------------------------------------------------------------


def test_nothing_is_changed_without_a_key_and_no_secret_is_kept(gateway: RunningGateway, redis: Redis) -> None:
    unknown = f"hf_unknown1_{'0123456789abcdef' * 4}"
    without = requests.post(f"{gateway.url}/v1/jobs", json={"dataset": "faces.zip"}, timeout=60)
    wrong = post(gateway, "/v1/jobs", key=unknown, json={"dataset": "faces.zip"})

    assert refused(without, 401).error.code == "key_missing"
    assert refused(wrong, 401).error.code == "key_unknown"
    assert redis.llen("rq:queue:trainer") == 0
    allowed = post(gateway, "/v1/jobs", json={"dataset": "faces.zip", "settings": {"epochs": 7}})
    assert allowed.status_code == 201
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines()]
    assert lines[-1] | {"path": "/v1/jobs", "status": 201, "key": "owner", "key_id": "testing1"} == lines[-1]
    assert "0123456789abcdef" not in gateway.log.read_text() + (gateway.folder / "runs" / "keys.json").read_text()


def test_a_key_made_and_revoked_by_the_command_works_until_then(gateway: RunningGateway, redis: Redis) -> None:
    def keys(*arguments: str) -> str:
        command = [sys.executable, "-m", "services.gateway", "keys", *arguments]
        environment = {**os.environ, "GATEWAY_RUNS_DIR": str(gateway.folder / "runs")}
        return subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    key = keys("create", "--name", "guest", "--role", "train")
    body = {"dataset": "faces.zip", "settings": {"epochs": 8}}
    assert post(gateway, "/v1/jobs", key=key, json=body).status_code == 201
    keys("revoke", "guest")
    answer = post(gateway, "/v1/jobs", key=key, json=body)
    assert refused(answer, 401).error.code == "key_unknown"


def test_the_first_start_shows_a_key_once_and_not_as_json(gateway: RunningGateway, queue_url: str) -> None:
    port, folder = free_port(), gateway.folder / "first"
    environment = {
        "GATEWAY_PORT": str(port),
        "GATEWAY_REDIS_URL": queue_url,
        "GATEWAY_WORKERS": "2",
        "GATEWAY_KEYS_FILE": str(folder / "keys.json"),
        **{f"GATEWAY_{name.upper()}_DIR": str(gateway.folder / name) for name in ("data", "runs", "models")},
    }
    url, logs = f"http://127.0.0.1:{port}", [gateway.folder / "start-1.log", gateway.folder / "start-2.log"]
    with running_service("gateway", environment, url, logs[0]):
        (line,) = re.findall(r"^ +(hf_\S+)$", logs[0].read_text(), re.MULTILINE)
        answer = post(replace(gateway, url=url), "/v1/jobs", key=line, json={"dataset": "nowhere.zip"})
        assert refused(answer, 422).error.field == "dataset"
    with running_service("gateway", environment, url, logs[1]):
        answer = post(replace(gateway, url=url), "/v1/jobs", key=line, json={"dataset": "nowhere.zip"})
        assert refused(answer, 422).error.field == "dataset"

    assert logs[0].read_text().count(line.split("_", 2)[2]) == 1
    assert "hf_" not in logs[1].read_text()


# --- health and the document -----------------------------------------------------------------------------------------


def test_ready_names_the_part_that_is_not(gateway: RunningGateway) -> None:
    away = get(gateway, "/readyz")
    with serve_inference(gateway.inference_port) as told:
        ready = get(gateway, "/readyz")
        told.not_ready = "no model is active"
        waiting = get(gateway, "/readyz")

    assert get(gateway, "/healthz").json()["status"] == "ok"
    assert (away.status_code, away.json()["reason"]) == (503, "inference: it does not answer")
    assert (ready.status_code, ready.json()["status"]) == (200, "ok")
    assert (waiting.status_code, waiting.json()["reason"]) == (503, "inference: no model is active")


def test_the_document_describes_every_address_and_both_kinds_of_body(gateway: RunningGateway) -> None:
    document = get(gateway, "/openapi.json").json()

    assert set(document["paths"]) == {
        "/healthz",
        "/readyz",
        "/upload",
        "/v1/datasets",
        "/v1/jobs",
        "/v1/jobs/{run_id}",
        "/v1/jobs/{run_id}/cancel",
        "/v1/jobs/{run_id}/log",
        "/v1/jobs/{run_id}/metrics",
        "/v1/jobs/{run_id}/report",
        "/v1/jobs/{run_id}/resume",
        "/v1/jobs/{run_id}/retry",
        "/v1/models",
        "/v1/models/history",
        "/v1/models/rollback",
        "/v1/models/{name}/{version}",
        "/v1/models/{name}/{version}/archive",
        "/v1/models/{name}/{version}/download",
        "/v1/models/{name}/{version}/promote",
        "/v1/models/{name}/{version}/restore",
        "/v1/predictions",
        "/v1/study",
        "/v1/study/images/{image_id}",
        "/v1/study/mistakes",
    }
    started = document["paths"]["/v1/jobs"]["post"]["responses"]
    assert {"201", "401", "403", "408", "409", "413", "422", "503"} <= set(started)
    assert {"X-Request-ID", "Location"} == set(started["201"]["headers"]) == set(started["200"]["headers"])
    assert "Retry-After" in started["503"]["headers"]
    assert "content" not in document["paths"]["/v1/study"]["get"]["responses"]["304"]
    predictions = document["paths"]["/v1/predictions"]["post"]
    assert set(predictions["requestBody"]["content"]) == {"multipart/form-data", "application/json"}
    assert {"200", "413", "415", "422", "503"} <= set(predictions["responses"])
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["tags"]


def test_the_document_tells_what_a_field_may_be_and_what_is_assumed_without_it(gateway: RunningGateway) -> None:
    schemas = get(gateway, "/openapi.json").json()["components"]["schemas"]

    def fields_of(name: str) -> dict[str, Any]:
        """Return the fields of a schema, whose name may begin with that of another one that holds it."""
        found: dict[str, Any] = next(schema["properties"] for key, schema in schemas.items() if key.endswith(name))
        return found

    asked, settings = fields_of("JobRequest"), fields_of("TrainSettings")
    for open_one in (asked["kind"], asked["settings"], settings["distill_weight"], settings["width"], settings["size"]):
        assert "default" not in open_one  # left out, it is what a base version or a teacher makes of it
    assert settings["epochs"]["default"] == 20
    slot, worth = fields_of("ModelChange")["slot"], fields_of("Face")["worth"]
    assert (slot["nullable"], slot["enum"][-1]) == (True, None)
    assert (worth["nullable"], len(worth["allOf"])) == (True, 1)


def test_every_reference_of_the_document_leads_somewhere(gateway: RunningGateway) -> None:
    document = get(gateway, "/openapi.json").json()

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from (value for key, value in node.items() if key == "$ref")
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    found = set(references(document))
    assert found
    for reference in found:
        kind, _, name = reference.removeprefix("#/components/").partition("/")
        assert name in document["components"][kind]


def test_the_page_to_try_it_is_served(gateway: RunningGateway) -> None:
    assert "swagger-ui" in get(gateway, "/docs").text
