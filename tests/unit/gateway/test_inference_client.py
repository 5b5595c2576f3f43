"""What the client of inference makes of answers, refusals and silence."""

import hashlib

import pytest

from scripts.processes import free_port
from services.gateway.inference_client import InferenceClient
from shared.schemas import PredictRequest
from shared.web import ApiError

from .small_inference import SmallInference


def ask(inference: SmallInference, image: str, timeout_s: float = 20) -> ApiError:
    """Return the error that the client raises for this image."""
    with pytest.raises(ApiError) as raised:
        InferenceClient(inference.url, timeout_s).predict(PredictRequest(images=[image]))
    return raised.value


def test_a_body_is_passed_on_byte_for_byte_with_its_content_type(inference: SmallInference) -> None:
    body = b"--x\r\nContent-Disposition: form-data; name=images\r\n\r\n\x00\xff\r\n--x--\r\n"

    answer = InferenceClient(inference.url, 20).predict_body(body, "multipart/form-data; boundary=x")

    assert answer.images[0].note == hashlib.sha256(body).hexdigest()
    assert inference.content_types == ["multipart/form-data; boundary=x"]


def test_a_request_arrives_as_the_same_request(inference: SmallInference) -> None:
    asked = PredictRequest(images=["data:image/png;base64,AA=="], models=["upper"], mask=False)

    InferenceClient(inference.url, 20).predict(asked)

    assert PredictRequest.model_validate_json(inference.bodies[0]) == asked


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
