"""What the client of inference makes of answers, refusals and silence."""

import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from scripts.processes import free_port
from services.gateway import inference_client, replicas
from services.gateway.inference_client import InferenceClient
from shared.schemas.predictions import PredictRequest
from shared.web import ApiError

from .small_inference import SmallInference, serve_inference

ANY = PredictRequest(images=["any"])


def ask(inference: SmallInference, image: str, timeout_s: float = 20) -> ApiError:
    """Return the error that the client raises for this image."""
    with pytest.raises(ApiError) as raised:
        InferenceClient(inference.url, timeout_s).predict(PredictRequest(images=[image]))
    return raised.value


def arrived(*replicas: SmallInference) -> None:
    """Wait until one of them has the request that its client did not wait for."""
    while not any(each.bodies for each in replicas):
        time.sleep(0.01)


def test_a_body_is_passed_on_byte_for_byte_with_its_content_type(inference: SmallInference) -> None:
    body = b"--x\r\nContent-Disposition: form-data; name=images\r\n\r\n\x00\xff\r\n--x--\r\n"

    answer = InferenceClient(inference.url, 20).predict_body(body, "multipart/form-data; boundary=x")

    assert answer.images[0].note == hashlib.sha256(body).hexdigest()
    assert inference.content_types == ["multipart/form-data; boundary=x"]


def test_a_request_arrives_as_the_same_request(inference: SmallInference) -> None:
    asked = PredictRequest(images=["data:image/png;base64,AA=="], models=["upper"], mask=False)

    InferenceClient(inference.url, 20).predict(asked)

    assert PredictRequest.model_validate_json(inference.bodies[0]) == asked


def test_half_of_a_surrogate_pair_arrives_for_inference_to_judge(inference: SmallInference) -> None:
    client = InferenceClient(inference.url, 20)

    client.predict(PredictRequest(images=["a\ud800"]))
    client.classify("a\ud800", "full")

    assert json.loads(inference.bodies[0])["images"] == ["a\ud800"]
    assert json.loads(inference.bodies[1]) == {"image": "a\ud800", "model_name": "full"}


def test_a_refusal_is_passed_on_with_status_code_message_and_field(inference: SmallInference) -> None:
    error = ask(inference, "truncated")

    assert (error.status, error.code, error.field) == (422, "image_truncated", "images[0]")
    assert error.message == "The image ends early."


def test_a_busy_service_keeps_its_own_retry_after(inference: SmallInference) -> None:
    error = ask(inference, "busy")

    assert (error.status, error.code, error.headers) == (503, "busy", {"Retry-After": "7"})


@pytest.mark.parametrize("image", ["crash", "nonsense"])
def test_a_fault_of_inference_is_a_bad_gateway_that_shows_nothing_of_it(inference: SmallInference, image: str) -> None:
    error = ask(inference, image)

    assert (error.status, error.code) == (502, "inference_failed")
    assert "fault of the service" not in error.message
    assert "html" not in error.message


def test_nobody_listening_is_unavailable_with_retry_after() -> None:
    error = ask(SmallInference(free_port()), "any")

    assert (error.status, error.code, error.headers) == (503, "inference_unavailable", {"Retry-After": "5"})


def test_an_answer_that_takes_too_long_is_unavailable_and_not_asked_again(inference: SmallInference) -> None:
    error = ask(inference, "slow", timeout_s=0.2)
    arrived(inference)

    assert (error.status, error.code, error.headers) == (503, "inference_unavailable", {"Retry-After": "5"})
    assert len(inference.bodies) == 1


def test_a_connection_that_breaks_once_is_not_noticed(inference: SmallInference) -> None:
    inference.breaks = 1

    InferenceClient(inference.url, 20).predict(PredictRequest(images=["any"]))

    assert len(inference.bodies) == 2
    assert inference.bodies[0] == inference.bodies[1]


def test_a_connection_that_breaks_again_is_unavailable(inference: SmallInference) -> None:
    inference.breaks = 2

    assert ask(inference, "any").code == "inference_unavailable"
    assert len(inference.bodies) == 2


def test_the_original_contract_gives_a_class(inference: SmallInference) -> None:
    read = InferenceClient(inference.url, 20).classify("data:image/png;base64,AA==", "full")

    assert (read.prediction, read.label) == (3, "happy")


def test_readiness_is_told_with_inferences_own_reason(inference: SmallInference) -> None:
    client = InferenceClient(inference.url, 20)

    assert client.why_not_ready() is None
    inference.not_ready = "no model is active"
    assert client.why_not_ready() == "no model is active"
    assert InferenceClient(f"http://127.0.0.1:{free_port()}", 20).why_not_ready() == "it does not answer"


def test_what_a_replica_that_can_serve_says_is_told_until_it_says_so_no_more(inference: SmallInference) -> None:
    client = InferenceClient(inference.url, 20)
    inference.note = "upper: first/1 serves in its place."
    assert client.why_not_ready() is None
    assert client.note() == "upper: first/1 serves in its place."
    inference.note = None
    assert client.why_not_ready() is None
    assert client.note() is None


# --- several replicas ------------------------------------------------------------------------------------------------


@pytest.fixture
def second() -> Iterator[SmallInference]:
    """Serve another small inference service."""
    with serve_inference() as told:
        yield told


@pytest.fixture
def client(inference: SmallInference, second: SmallInference) -> InferenceClient:
    """Give a client of both."""
    return InferenceClient(f"{inference.url}, {second.url}/", 20)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Give a port where connections are never made: the listener's queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(closing(socket.socket()))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(closing(socket.socket()))
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


def test_requests_are_spread_over_the_replicas(
    client: InferenceClient, inference: SmallInference, second: SmallInference
) -> None:
    for _ in range(6):
        client.predict(ANY)

    assert (len(inference.bodies), len(second.bodies)) == (3, 3)


def test_a_host_name_reaches_the_replica_as_the_host(inference: SmallInference) -> None:
    InferenceClient(f"http://localhost:{inference.port}", 20).predict(ANY)

    assert inference.hosts == [f"localhost:{inference.port}"]


def test_a_dead_replica_is_passed_over(inference: SmallInference) -> None:
    client = InferenceClient(f"http://127.0.0.1:{free_port()},{inference.url}", 20)

    for _ in range(6):
        client.predict(ANY)

    assert len(inference.bodies) == 6


def test_a_replica_that_breaks_its_connections_is_passed_over(
    client: InferenceClient, inference: SmallInference, second: SmallInference
) -> None:
    inference.breaks = 1
    inference.not_ready = "it is broken"

    for _ in range(6):
        client.predict(ANY)

    assert (len(inference.bodies), len(second.bodies)) == (1, 6)


def test_a_replica_to_which_no_connection_is_made_is_passed_over(
    inference: SmallInference, deaf_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_client, "CONNECT_TIMEOUT_S", 0.2)
    deaf = f"http://127.0.0.1:{deaf_port}"
    client = InferenceClient(f"{deaf},{inference.url}", 20)

    for _ in range(6):
        client.predict(ANY)
    error = ask(SmallInference(deaf_port), "any")

    assert len(inference.bodies) == 6
    assert "takes too long" in error.message


def test_a_replica_that_hangs_fails_one_request_and_is_passed_over(
    inference: SmallInference, second: SmallInference
) -> None:
    client = InferenceClient(f"{inference.url},{second.url}", timeout_s=0.5)
    with pytest.raises(ApiError, match="takes too long"):
        client.predict(PredictRequest(images=["slow"]))
    arrived(inference, second)
    hanging, other = (inference, second) if inference.bodies else (second, inference)
    hanging.not_ready = "it hangs"
    client._timeout_s = 60  # of what has to succeed

    patient = [client.predict(ANY) for _ in range(4)]

    assert len(patient) == 4
    assert (len(hanging.bodies), len(other.bodies)) == (1, 4)


def test_a_replica_that_hangs_as_a_whole_costs_no_request(
    client: InferenceClient, inference: SmallInference, second: SmallInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_client, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(inference_client, "BUSY_S", 0.1)
    inference.hangs = True

    for _ in range(6):
        client.predict(ANY)

    assert (len(inference.bodies), len(second.bodies)) == (0, 6)


def test_a_replica_with_all_threads_at_work_is_not_taken_for_one_that_hangs(
    client: InferenceClient,
    inference: SmallInference,
    second: SmallInference,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(inference_client, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(inference_client, "READY_TIMEOUT_S", 0.05)
    inference.hangs = second.hangs = True  # nor does it answer whether it is ready
    free = threading.Timer(0.5, lambda: (inference.released.set(), second.released.set()))
    free.start()

    client.predict(ANY)
    free.join()

    assert len(inference.bodies) + len(second.bodies) == 1
    assert "set aside" not in caplog.text


def test_a_replica_that_is_slow_but_alive_is_waited_for(
    client: InferenceClient,
    inference: SmallInference,
    second: SmallInference,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(inference_client, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(inference_client, "BUSY_S", 0.1)  # so that it is asked for a sign of life
    looked = threading.Timer(0.5, lambda: (inference.released.set(), second.released.set()))
    looked.start()

    client.predict(PredictRequest(images=["slow"]))
    looked.join()

    assert len(inference.bodies) + len(second.bodies) == 1
    assert "set aside" not in caplog.text


def test_a_request_that_breaks_every_connection_is_not_asked_on_and_on(
    client: InferenceClient, inference: SmallInference, second: SmallInference
) -> None:
    inference.breaks = second.breaks = 100

    with pytest.raises(ApiError) as raised:
        client.predict(ANY)

    assert raised.value.code == "inference_unavailable"
    assert len(inference.bodies) + len(second.bodies) == 3


def test_a_replica_that_is_not_ready_is_passed_over_until_it_is(
    client: InferenceClient, inference: SmallInference, second: SmallInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "FIRST_ASIDE_S", 0.01)
    inference.not_ready = "no model is active"
    for _ in range(6):
        client.predict(ANY)
    assert (len(inference.bodies), len(second.bodies)) == (1, 6)

    inference.not_ready = None
    give_up_s = time.monotonic() + 60
    while len(inference.bodies) < 3:
        assert time.monotonic() < give_up_s, "the replica is ready but gets no requests"
        client.predict(ANY)


def test_what_every_replica_refuses_is_passed_on_and_sets_none_aside(
    client: InferenceClient, inference: SmallInference, second: SmallInference
) -> None:
    with pytest.raises(ApiError) as raised:
        client.predict(PredictRequest(images=["busy"]))
    for _ in range(4):
        client.predict(ANY)

    assert (raised.value.status, raised.value.code) == (503, "busy")
    assert (len(inference.bodies), len(second.bodies)) == (3, 3)


def test_what_took_a_replica_all_the_time_is_not_asked_of_another(
    inference: SmallInference, second: SmallInference, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference_client, "SPARE", 0.9)  # it gives up after half a second, and has long for the answer
    client = InferenceClient(f"{inference.url},{second.url}", 5.0)

    with pytest.raises(ApiError) as raised:
        client.predict(PredictRequest(images=["too much"]))

    assert (raised.value.status, raised.value.code) == (503, "took_too_long")
    assert raised.value.message == "Send fewer pictures."
    assert len(inference.bodies) + len(second.bodies) == 1


def test_a_fault_of_a_request_is_not_asked_of_another_replica(
    client: InferenceClient, inference: SmallInference, second: SmallInference
) -> None:
    for image in ("crash", "truncated"):
        with pytest.raises(ApiError):
            client.predict(PredictRequest(images=[image]))

    assert len(inference.bodies) + len(second.bodies) == 2


def test_inference_is_ready_while_one_replica_is(
    client: InferenceClient, inference: SmallInference, second: SmallInference
) -> None:
    assert client.why_not_ready() is None
    inference.not_ready = "no model is active"
    assert client.why_not_ready() is None
    second.not_ready = "the disk is full"

    reason = client.why_not_ready()

    assert reason is not None
    assert reason.startswith("none of its 2 replicas can serve: ")
    assert "no model is active" in reason
    assert "the disk is full" in reason
