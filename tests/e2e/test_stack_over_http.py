"""The whole stack through its door, as with curl: predictions, and training jobs through the queue."""

import base64
from typing import Any

import pytest
import requests

from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from tests.e2e.running_stack import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]

SMALL = {"architecture": "resnet18", "size": 16, "batch_size": 32, "warmup_steps": 2, "checkpoint_seconds": 1}


def start_job(stack: RunningStack, view: str, epochs: int, **more: Any) -> str:
    settings = {**SMALL, "epochs": epochs}
    answer = stack.post("/v1/jobs", json={"dataset": "drawn", "view": view, "settings": settings, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_the_announcement_names_the_page_and_the_gateway(stack: RunningStack) -> None:
    assert stack.page_url in stack.announcement
    assert stack.gateway_url in stack.announcement


def test_the_first_key_is_announced_and_stands_in_no_log(stack: RunningStack) -> None:
    assert requests.post(f"{stack.gateway_url}/v1/jobs", json={"dataset": "drawn"}, timeout=60).status_code == 401
    assert stack.post("/v1/jobs", json={"dataset": "nowhere"}).status_code == 422
    written = [path.read_text() for path in (stack.folder / "runs" / "logs").iterdir()]
    assert stack.key.split("_", 2)[2] not in "".join([*written, (stack.folder / "runs" / "keys.json").read_text()])


def test_every_service_is_ready(stack: RunningStack) -> None:
    assert stack.get("/readyz")["status"] == "ok"
    assert requests.get(stack.page_url, timeout=60).status_code == 200


def test_a_portrait_gets_an_answer_of_each_of_the_five_models(stack: RunningStack, portrait: bytes) -> None:
    answer = stack.post("/v1/predictions", files={"images": ("face.png", portrait)}, data={"detect": "always"})
    assert answer.status_code == 200, answer.text
    (face,) = answer.json()["images"][0]["faces"]
    assert face["source"] == "detected"
    read = {prediction["model"]: prediction for prediction in face["predictions"]}
    assert set(read) >= {view.value for view in STUDY_VIEWS}
    for view in STUDY_VIEWS:
        assert read[view]["hidden"] == view
        assert set(read[view]["probabilities"]) == set(LABELS)
        assert sum(read[view]["probabilities"].values()) == pytest.approx(1, abs=1e-3)


def test_the_original_interface_still_answers(stack: RunningStack, portrait: bytes) -> None:
    image = "data:image/png;base64," + base64.b64encode(portrait).decode()
    answer = stack.post("/upload", json={"image": image, "model": "full"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["msg"] == "Success"
    assert answer.json()["data"]["result"] in {str(index) for index in range(len(LABELS))}


def test_the_original_interface_refuses_a_missing_field(stack: RunningStack) -> None:
    answer = stack.post("/upload", json={"model": "full"})
    assert answer.status_code == 400
    assert "image" in answer.json()["msg"]


def test_a_request_id_goes_through_every_service(stack: RunningStack, portrait: bytes) -> None:
    answer = stack.post("/v1/predictions", files={"images": portrait}, headers={"X-Request-ID": "from-outside-1"})
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "from-outside-1"
    assert "from-outside-1" in stack.log("gateway")
    assert "from-outside-1" in stack.log("inference")


def test_the_data_folder_is_listed(stack: RunningStack) -> None:
    (dataset,) = stack.get("/v1/datasets")["datasets"]
    assert dataset["name"] == "drawn"
    assert dataset["problem"] is None


def test_a_job_ends_with_a_model_version(stack: RunningStack) -> None:
    job_id = start_job(stack, "upper", epochs=1, name="from-the-queue")
    job = stack.wait_for_job(job_id, lambda job: job["state"] == "finished")
    assert job["progress"]["phase"] == "done"
    assert job["model"] in {model["id"] for model in stack.get("/v1/models")["models"]}
    assert (stack.folder / "models" / job["model"] / "card.json").is_file()
    (row,) = stack.get(f"/v1/jobs/{job_id}/metrics")["rows"]
    assert 0 <= row["validation_accuracy"] <= 1


def test_a_cancelled_job_goes_on_from_its_checkpoint(stack: RunningStack) -> None:
    job_id = start_job(stack, "full", epochs=1000)
    stack.wait_for_job(job_id, lambda job: job["progress"]["epoch"] >= 1)
    assert stack.post(f"/v1/jobs/{job_id}/cancel").status_code in {200, 202}
    cancelled = stack.wait_for_job(job_id, lambda job: job["state"] == "cancelled")
    assert stack.post(f"/v1/jobs/{job_id}/resume").status_code == 200
    reached = cancelled["progress"]["step"]
    resumed = stack.wait_for_job(job_id, lambda job: job["state"] == "running" and job["progress"]["step"] > reached)
    steps = [row["step"] for row in stack.get(f"/v1/jobs/{job_id}/metrics")["rows"]]
    assert steps == sorted(set(steps))
    assert resumed["progress"]["epoch"] >= cancelled["progress"]["epoch"]
    stack.post(f"/v1/jobs/{job_id}/cancel")
    stack.wait_for_job(job_id, lambda job: job["state"] == "cancelled")
