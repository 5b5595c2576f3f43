"""A job's way over HTTP: asked for twice, started anew, deleted, by whom it may be done, and what is shown of it."""

import os
import subprocess
import sys
from itertools import count
from typing import Any

import pytest
import requests
from redis import Redis

from shared.run_folder import REPORT_DIR, RunFolder, RunState
from shared.schemas.jobs import JobDetail, JobState
from shared.schemas.wire import ErrorAnswer
from tests.integration.conftest import ADMIN_KEY, RunningGateway
from tests.integration.service_process import ROOT

EPOCHS = count(1)
"""A number for each job, so that no two ask for the same."""


@pytest.fixture(autouse=True)
def _empty_queue(gateway: RunningGateway) -> None:
    """Empty the gateway's queue server."""
    with Redis.from_url(gateway.queue_url) as connection:
        connection.flushall()


@pytest.fixture(scope="module")
def train_key(gateway: RunningGateway) -> str:
    """A key of the role train, made by the command."""
    command = [sys.executable, "-m", "services.gateway", "keys", "create", "--name", "lab", "--role", "train"]
    environment = {**os.environ, "GATEWAY_RUNS_DIR": str(gateway.folder / "runs")}
    made = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return made.stdout.strip()


def call(
    gateway: RunningGateway, method: str, path: str, key: str | None = ADMIN_KEY, **kwargs: Any
) -> requests.Response:
    """Return the answer to a call with a key."""
    headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **kwargs.pop("headers", {})}
    return requests.request(method, gateway.url + path, timeout=60, headers=headers, **kwargs)


def code(answer: requests.Response) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return answer.status_code, ErrorAnswer.model_validate_json(answer.content).error.code


def asked(**more: Any) -> dict[str, Any]:
    """Return a request that no job has asked for yet."""
    return {"dataset": "faces.zip", "settings": {"epochs": next(EPOCHS)}, **more}


def start(gateway: RunningGateway, **more: Any) -> JobDetail:
    """Return a job that was just queued."""
    answer = call(gateway, "POST", "/v1/jobs", json=asked(**more))
    assert answer.status_code == 201, answer.text
    return JobDetail.model_validate_json(answer.content)


def end(gateway: RunningGateway, job: JobDetail, state: JobState, **more: Any) -> RunFolder:
    """Leave the job as a worker does that ended it."""
    run = RunFolder.open(gateway.folder / "runs", job.id)
    run.set_state(RunState(state=state, **more))
    return run


def test_the_same_request_twice_is_one_job_and_so_is_the_same_idempotency_key(gateway: RunningGateway) -> None:
    body, mine = asked(), {"Idempotency-Key": "mine"}
    first, again = (call(gateway, "POST", "/v1/jobs", json=body) for _ in range(2))
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 200, first.json()["id"])

    body = asked()
    keyed = call(gateway, "POST", "/v1/jobs", json=body, headers=mine)
    end(gateway, JobDetail.model_validate(keyed.json()), JobState.FINISHED, model="full/1")
    repeated = call(gateway, "POST", "/v1/jobs", json=body, headers=mine)
    assert (keyed.status_code, repeated.status_code, repeated.json()["id"]) == (201, 200, keyed.json()["id"])
    assert repeated.json()["state"] == "finished"
    assert code(call(gateway, "POST", "/v1/jobs", json=asked(), headers=mine)) == (409, "idempotency_key")
    for wrong in ("", "x" * 201):
        refused = call(gateway, "POST", "/v1/jobs", json=body, headers={"Idempotency-Key": wrong})
        assert code(refused) == (422, "invalid")
        assert refused.json()["error"]["field"] == "Idempotency-Key"
    for longest in ("x", "x" * 200):
        headers = {"Idempotency-Key": longest}
        assert call(gateway, "POST", "/v1/jobs", json=asked(), headers=headers).status_code == 201


def test_a_job_is_started_anew_once_it_has_ended(gateway: RunningGateway) -> None:
    job = start(gateway)
    assert code(call(gateway, "POST", f"/v1/jobs/{job.id}/retry")) == (409, "job_state")
    end(gateway, job, JobState.FAILED, message="The loss is no finite number any more.")
    again = call(gateway, "POST", f"/v1/jobs/{job.id}/retry")
    assert (again.status_code, again.json()["retry_of"], again.json()["state"]) == (201, job.id, "queued")
    assert again.headers["Location"] == f"/v1/jobs/{again.json()['id']}"
    assert call(gateway, "GET", f"/v1/jobs/{job.id}").json()["state"] == "failed"


def test_a_failed_job_shows_its_sentence_and_the_end_of_its_log(gateway: RunningGateway) -> None:
    job = start(gateway)
    run = end(gateway, job, JobState.FAILED, message="The disk is full.")
    (run.path / "log.txt").write_text("".join(f"line {number}\n" for number in range(100)))
    shown = JobDetail.model_validate_json(call(gateway, "GET", f"/v1/jobs/{job.id}").content)
    assert (shown.message, shown.log_tail[-1], len(shown.log_tail)) == ("The disk is full.", "line 99", 20)
    assert [change.state for change in shown.history] == [JobState.QUEUED, JobState.FAILED]


def test_a_deletion_says_what_it_frees_before_and_after_and_leaves_nothing(gateway: RunningGateway) -> None:
    job = start(gateway)
    path = f"/v1/jobs/{job.id}"
    assert code(call(gateway, "DELETE", path)) == (409, "job_state")
    run = end(gateway, job, JobState.CANCELLED)
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "step-000000001.safetensors").write_bytes(bytes(5000))
    said = call(gateway, "GET", path).json()["size_bytes"]
    answer = call(gateway, "DELETE", path)
    assert (answer.status_code, answer.json()) == (200, {"id": job.id, "freed_bytes": said})
    assert said > 5000
    assert not run.path.exists()
    assert code(call(gateway, "GET", path)) == (404, "job_not_found")


def test_a_study_is_cancelled_and_deleted_with_its_six_trainings(gateway: RunningGateway) -> None:
    study = start(gateway, kind="study")
    shown = JobDetail.model_validate_json(call(gateway, "GET", f"/v1/jobs/{study.id}").content)
    assert [part.step for part in shown.parts] == ["full", "upper", "lower", "left", "right", "any"]
    assert call(gateway, "POST", f"/v1/jobs/{study.id}/cancel").json()["state"] == "cancelled"
    assert call(gateway, "DELETE", f"/v1/jobs/{study.id}").json()["freed_bytes"] > 0
    left = {path.name for path in (gateway.folder / "runs").iterdir()}
    assert not left & {study.id, *(part.id for part in shown.parts)}


@pytest.mark.parametrize(
    ("method", "end_of_path"), [("POST", "/cancel"), ("POST", "/resume"), ("POST", "/retry"), ("DELETE", "")]
)
def test_each_change_of_a_job_needs_a_key(gateway: RunningGateway, method: str, end_of_path: str) -> None:
    job = start(gateway)
    assert code(call(gateway, method, f"/v1/jobs/{job.id}{end_of_path}", key=None)) == (401, "key_missing")
    assert call(gateway, "GET", f"/v1/jobs/{job.id}", key=None).json()["state"] == "queued"


def test_a_key_for_training_starts_jobs_under_its_name_and_promotes_nothing(
    gateway: RunningGateway, train_key: str
) -> None:
    job = call(gateway, "POST", "/v1/jobs", key=train_key, json=asked())
    assert (job.status_code, job.json()["by"]) == (201, "lab")
    promotion = call(gateway, "POST", "/v1/models/first/1/promote", key=train_key, json={"slots": ["full"]})
    assert code(promotion) == (403, "key_role")


def test_a_report_comes_as_a_page_or_as_figures_and_not_before_there_is_one(gateway: RunningGateway) -> None:
    job = start(gateway, kind="evaluate", model="first/1", settings={})
    path = f"/v1/jobs/{job.id}/report"
    assert code(call(gateway, "GET", path)) == (404, "report_not_found")
    run = end(gateway, job, JobState.FINISHED, model="first/1")
    (run.path / REPORT_DIR).mkdir()
    (run.path / REPORT_DIR / "report.html").write_text("<p>figures</p>")
    (run.path / REPORT_DIR / "metrics.json").write_text('{"accuracy": 0.5}')
    assert call(gateway, "GET", path).text == "<p>figures</p>"
    assert call(gateway, "GET", path, headers={"Accept": "application/json"}).json() == {"accuracy": 0.5}
    assert call(gateway, "GET", f"/v1/jobs/{job.id}").json()["has_report"]
