"""The gateway's client against a real server: answers parsed, failures turned into sentences."""

import pytest

from services.frontend.client import GatewayAwayError, GatewayClient, GatewayError, GatewayRefusedError
from shared.schemas.jobs import JobRequest, JobState
from shared.schemas.predictions import Detect
from shared.schemas.wire import Health

from .answers import a_job, a_prediction, epochs, png
from .small_gateway import SmallGateway


def test_a_prediction_is_asked_with_its_options_and_parsed(gateway: SmallGateway):
    image = png()
    with GatewayClient(gateway.url) as client:
        answer = client.predict(image, name="face.png", detect=Detect.NEVER, mask=False)
    assert answer == a_prediction()
    asked = {"detect": "never", "mask": "false", "crops": "true", "explain": "true", "bytes": str(len(image))}
    assert gateway.predictions_asked == [asked]


def test_a_proxy_of_the_environment_is_not_meant_for_the_gateway(
    gateway: SmallGateway, unused_port: int, monkeypatch: pytest.MonkeyPatch
):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port}")
    with GatewayClient(gateway.url) as client:
        assert client.health().status == "ok"


def test_a_job_is_started_watched_cancelled_and_resumed(gateway: SmallGateway):
    gateway.rows, gateway.log = epochs(2), ["epoch 1", "epoch 2"]
    request = JobRequest(dataset="faces.zip", view="lower")
    with GatewayClient(gateway.url + "/") as client:
        job = client.start(request)
        assert client.job(job.id).request == request
        assert [known.id for known in client.jobs()] == [job.id]
        assert [row.epoch for row in client.metrics(job.id).rows] == [1, 2]
        assert client.log(job.id) == ["epoch 1", "epoch 2"]
        assert client.cancel(job.id).state == JobState.CANCELLED
        assert client.resume(job.id).state == JobState.QUEUED


def test_as_many_jobs_of_a_state_are_asked_for_as_are_wanted(gateway: SmallGateway):
    states = (JobState.FAILED, JobState.FINISHED, JobState.FAILED)
    gateway.jobs = {f"job-{number}": a_job(state, f"job-{number}") for number, state in enumerate(states)}
    with GatewayClient(gateway.url) as client:
        assert [job.id for job in client.jobs(limit=2)] == ["job-0", "job-1"]
        assert [job.id for job in client.jobs(state=JobState.FAILED)] == ["job-0", "job-2"]


def test_data_sets_and_models_are_listed(gateway: SmallGateway):
    with GatewayClient(gateway.url) as client:
        assert [found.name for found in client.datasets().datasets] == ["faces.zip"]
        assert [model.id for model in client.models().models] == ["first/1"]


def test_a_refusal_carries_the_gateways_own_sentence(gateway: SmallGateway):
    gateway.refusal = (422, "images[0] is cut off; send the whole file.")
    with GatewayClient(gateway.url) as client, pytest.raises(GatewayRefusedError, match="images\\[0\\] is cut off"):
        client.predict(b"x", name="x.png", detect=Detect.AUTO, mask=True)


def test_a_service_that_is_unavailable_is_worth_a_retry(gateway: SmallGateway):
    gateway.refusal = (503, "Inference does not answer; try again in a few seconds.")
    with GatewayClient(gateway.url) as client, pytest.raises(GatewayAwayError, match="Inference does not answer"):
        client.models()


def test_a_gateway_that_is_away_gives_a_sentence_that_says_what_to_do(gateway_away: str):
    with GatewayClient(gateway_away) as client, pytest.raises(GatewayAwayError, match="make up") as caught:
        client.jobs()
    assert "HTTPConnection" not in str(caught.value)


def test_an_answer_of_something_else_gives_a_sentence(gateway: SmallGateway):
    with GatewayClient(gateway.url) as client:
        with pytest.raises(GatewayRefusedError, match="status 404"):
            GatewayClient.job(client, "../nowhere")
        client.url += "/readyz?"
        with pytest.raises(GatewayError, match="cannot be read"):
            client.models()


def test_health_never_raises(gateway: SmallGateway, unused_port: int):
    gateway.health = Health(status="unavailable", reason="Inference does not answer.")
    with GatewayClient(gateway.url) as client:
        assert client.health() == gateway.health
    with GatewayClient(f"http://127.0.0.1:{unused_port}") as client:
        assert client.health().status == "unavailable"


def test_a_job_is_looked_up_by_its_quoted_id(gateway: SmallGateway):
    gateway.jobs["job-1"] = a_job()
    with GatewayClient(gateway.url) as client:
        assert client.job("job-1").id == "job-1"
        with pytest.raises(GatewayRefusedError, match="There is no job"):
            client.job("job-1?x=y")
