"""Inference over HTTP, under gunicorn: the original contract, predictions, refusals, models that come and go."""

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import requests
from PIL import Image

from scripts.draw_faces import draw_face, draw_portrait, three_faces
from shared.labels import LABELS
from shared.masking import STUDY_VIEWS
from shared.model_folder import write_active
from shared.preprocessing import to_gray
from shared.probabilities import softmax
from shared.schemas.predictions import PredictAnswer, Prediction
from shared.schemas.wire import SLOTS, ErrorAnswer
from tests.integration.conftest import RunningInference, running_inference
from tests.unit.inference.pictures import bomb, data_url, encode
from tests.unit.inference.small_models import SPEC, projection, write_five, write_projection
from trainer.evaluation import logits_of

PORTRAIT = encode(draw_portrait("happy", 38, 256), "PNG")
FACE = encode(draw_face("happy", 3), "PNG")
SECONDS_TO_NOTICE = 30
NOT_THERE = "full: small/3 holds no card.json, so it is not a model. small/2 serves in its place."


def post(service: RunningInference, path: str = "/v1/predict", **kwargs: Any) -> requests.Response:
    """Return the answer to a POST."""
    return requests.post(service.url + path, timeout=60, **kwargs)


def get(service: RunningInference, path: str) -> requests.Response:
    """Return the answer to a GET."""
    return requests.get(service.url + path, timeout=60)


def answered(answer: requests.Response) -> PredictAnswer:
    """Return what was predicted."""
    assert answer.status_code == 200, answer.text
    return PredictAnswer.model_validate_json(answer.content)


def refused(answer: requests.Response, status: int) -> ErrorAnswer:
    """Return the error of an answer with this status."""
    assert answer.status_code == status, answer.text
    error = ErrorAnswer.model_validate_json(answer.content)
    assert error.request_id == answer.headers["X-Request-ID"]
    return error


def files(*images: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    """Return images as files of a form."""
    return [("images", (f"{number}.bin", image)) for number, image in enumerate(images)]


def until(condition: Callable[[], bool]) -> None:
    """Wait until the service has noticed something; it looks once a second."""
    for _ in range(SECONDS_TO_NOTICE * 10):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail(f"not noticed within {SECONDS_TO_NOTICE} s")


# --- what is served is what was evaluated ----------------------------------------------------------------------------


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("size", [48, 131])
def test_a_face_reaches_the_network_as_exactly_the_array_of_evaluation(
    inference_service: RunningInference, slot: str, size: int
) -> None:
    image = draw_face("sad", 7, size)
    view = "full" if slot == "any" else slot
    version = "mixed/1" if slot == "any" else f"{slot}/1"
    session = onnxruntime.InferenceSession(inference_service.models / version / "model.onnx")

    def forward(batch: np.ndarray) -> np.ndarray:
        return np.asarray(session.run(["logits"], {"input": batch})[0])

    gray = to_gray(image)
    expected = softmax(logits_of(forward, gray[None], view, SPEC))[0].tolist()
    unhidden = softmax(logits_of(forward, gray[None], "full", SPEC))[0].tolist()

    form = {"models": slot, "detect": "never"}
    (face,) = answered(post(inference_service, files=files(encode(image, "PNG")), data=form)).images[0].faces
    whole = {**form, "mask": "false"}
    (bare,) = answered(post(inference_service, files=files(encode(image, "PNG")), data=whole)).images[0].faces

    (read,), (read_whole,) = face.predictions, bare.predictions
    assert (read.version, read.hidden, read_whole.hidden) == (version, view, "full")
    assert list(read.probabilities.values()) == expected
    assert list(read_whole.probabilities.values()) == unhidden
    assert (expected == unhidden) == (view == "full")


# --- the original contract -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["full", "UPPER", "Left", "lower", "right", "any"])
@pytest.mark.parametrize("image", [data_url(PORTRAIT), data_url(PORTRAIT).partition(",")[2]])
def test_the_original_request_gets_the_original_answer_and_more(
    inference_service: RunningInference, name: str, image: str
) -> None:
    answer = post(inference_service, "/inference", json={"image": image, "model_name": name})

    assert answer.status_code == 200, answer.text
    assert answer.json()["msg"] == "Success"
    data = answer.json()["data"]
    read = same_by_v1(inference_service, name.lower())
    assert data["prediction"] == LABELS.index(data["label"])
    assert (data["label"], data["probabilities"], data["version"]) == (read.label, read.probabilities, read.version)
    assert data["source"] == "detected"


def same_by_v1(service: RunningInference, slot: str) -> Prediction:
    """Return what /v1/predict reads on the portrait."""
    answer = answered(post(service, json={"images": [data_url(PORTRAIT)], "models": [slot]}))
    return answer.images[0].faces[0].predictions[0]


def test_an_image_without_a_face_is_read_whole_as_in_the_original(inference_service: RunningInference) -> None:
    image = data_url(encode(Image.new("RGB", (600, 400), "gray"), "PNG"))

    answer = post(inference_service, "/inference", json={"image": image, "model_name": "full"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["source"] == "whole_image"


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        (b'{"model_name": "full"}', 400, "image_missing", "image"),
        (b'{"image": "", "model_name": "full"}', 400, "image_missing", "image"),
        (b'{"image": "AAAA"}', 400, "invalid", "model_name"),
        (b'{"image": "AAAA", "model_name": "sideways"}', 400, "invalid", "model_name"),
        (b'{"image": "no base64!", "model_name": "full"}', 400, "image_encoding", "image"),
        (b'{"image": "AAAA", "model_name": "full"}', 415, "image_format", "image"),
        (b"[]", 400, "image_missing", "image"),
        (b"{", 400, "bad_request", None),
    ],
)
def test_the_original_address_refuses_with_msg(
    inference_service: RunningInference, body: bytes, status: int, code: str, field: str | None
) -> None:
    answer = post(inference_service, "/inference", data=body, headers={"Content-Type": "application/json"})

    error = refused(answer, status).error
    assert (error.code, error.field) == (code, field)
    assert answer.json()["msg"] == error.message


# --- predictions -----------------------------------------------------------------------------------------------------


def test_a_form_and_json_get_the_same_answer(inference_service: RunningInference) -> None:
    options = {"mask": False, "detect": "auto", "crops": True}
    form = {"models": ["full,upper", "LEFT"], "mask": "false", "detect": "auto", "crops": "true"}
    images = [encode(three_faces(), "PNG"), FACE]

    by_form = answered(post(inference_service, files=files(*images), data=form))
    asked = {"images": [data_url(each) for each in images], "models": ["full", "upper", "left"], **options}
    by_json = answered(post(inference_service, json=asked))

    assert by_form.images == by_json.images
    assert [len(image.faces) for image in by_form.images] == [3, 1]
    for face in (face for image in by_form.images for face in image.faces):
        assert face.crop is not None
        assert face.crop.startswith("data:image/png;base64,")
        assert [each.model for each in face.predictions] == ["full", "upper", "left"]


def test_all_models_answer_where_none_is_named(inference_service: RunningInference) -> None:
    (image,) = answered(post(inference_service, files=files(PORTRAIT))).images

    assert [each.model for each in image.faces[0].predictions] == list(SLOTS)


def test_the_quarters_of_a_face_are_told_where_that_is_asked_for(inference_service: RunningInference) -> None:
    asked = {"images": [data_url(FACE)], "models": ["full"], "detect": "never"}
    (plain,) = answered(post(inference_service, json=asked)).images[0].faces
    (face,) = answered(post(inference_service, json={**asked, "explain": True})).images[0].faces
    form = {"models": "full", "detect": "never", "explain": "true"}
    (other,) = answered(post(inference_service, data=form, files={"images": FACE})).images[0].faces

    assert plain.worth is None
    assert face.worth == other.worth
    assert face.worth is not None
    assert [prediction.model for prediction in face.predictions] == ["full"]
    assert set(face.worth.quarters) == set(LABELS)


def test_a_large_image_without_a_face_gets_a_note(inference_service: RunningInference) -> None:
    (image,) = answered(post(inference_service, files=files(encode(Image.new("L", (500, 400)), "PNG")))).images

    assert image.faces == []
    assert image.note is not None
    assert "more light" in image.note


def test_as_many_images_as_may_be_are_read(inference_service: RunningInference) -> None:
    assert len(answered(post(inference_service, files=files(*[FACE] * 4))).images) == 4
    assert len(answered(post(inference_service, json={"images": [data_url(FACE)] * 4})).images) == 4


def test_a_crowd_is_read_up_to_the_limit_with_a_note(inference_service: RunningInference) -> None:
    portrait = draw_portrait("happy", 38, 160)
    crowd = Image.new("RGB", (8 * 160, 6 * 160))
    for place in range(48):
        crowd.paste(portrait, (place % 8 * 160, place // 8 * 160))

    (image,) = answered(
        post(inference_service, files=files(encode(crowd, "JPEG", quality=95)), data={"models": "full"})
    ).images

    assert len(image.faces) == 40
    assert image.note is not None
    assert "40 largest" in image.note


@pytest.mark.parametrize(
    ("images", "status", "code", "field"),
    [
        ([FACE, b""], 400, "image_missing", "images[1]"),
        ([FACE, PORTRAIT[:3000]], 422, "image_truncated", "images[1]"),
        ([encode(draw_face("sad", 1), "GIF")], 415, "image_format", "images[0]"),
        ([bomb()], 413, "image_too_many_pixels", "images[0]"),
        ([b"\x89PNG\r\n\x1a\n" + bytes(1_000_000)], 413, "image_too_large", "images[0]"),
        ([FACE] * 5, 413, "too_many_images", "images"),
        ([b"x" * 900_000] * 6, 413, "request_too_large", None),
    ],
)
def test_bad_images_are_refused_by_place(
    inference_service: RunningInference, images: list[bytes], status: int, code: str, field: str | None
) -> None:
    error = refused(post(inference_service, files=files(*images)), status).error

    assert (error.code, error.field) == (code, field)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/predict", {"images": [data_url(FACE)], "models": ["full"], "detect": "never"}),
        ("/inference", {"image": data_url(FACE), "model_name": "full"}),
    ],
)
def test_what_the_caller_waits_for_no_longer_is_refused_and_nonsense_is_no_limit(
    inference_service: RunningInference, path: str, body: dict[str, Any]
) -> None:
    def asked(seconds_left: str) -> requests.Response:
        return post(inference_service, path, json=body, headers={"X-Seconds-Left": seconds_left})

    late = asked("0")
    assert refused(late, 503).error.code == "took_too_long"
    assert late.headers["Retry-After"] == "5"
    assert [asked(words).status_code for words in ("3600", "x", "")] == [200] * 3


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"models": "sideways"}, "models[0]"),
        ({"mask": "perhaps"}, "mask"),
        ({"detect": "sometimes"}, "detect"),
        ({"model": "full"}, "model"),
    ],
)
def test_a_wrong_form_is_refused_by_field(
    inference_service: RunningInference, form: dict[str, str], field: str
) -> None:
    error = refused(post(inference_service, files=files(FACE), data=form), 422).error

    assert (error.code, error.field) == ("invalid", field)


def test_a_form_without_images_and_other_content_types_are_refused(inference_service: RunningInference) -> None:
    empty = post(inference_service, files={"picture": ("a.png", FACE)})
    text = post(inference_service, data=b"x", headers={"Content-Type": "text/plain"})

    assert refused(empty, 400).error.code == "image_missing"
    assert refused(text, 415).error.code == "media_type"
    assert refused(post(inference_service, json={"images": []}), 422).error.field == "images"


def test_requests_at_the_same_time_get_their_own_answers(inference_service: RunningInference) -> None:
    images = [encode(draw_face("happy", seed), "PNG") for seed in range(6)]

    def read(image: bytes) -> PredictAnswer:
        return answered(post(inference_service, files=files(image)))

    alone = [read(image).images for image in images]
    with ThreadPoolExecutor(6) as pool:
        together = [answer.images for answer in pool.map(read, images * 3)]

    assert together == alone * 3


# --- models that come and go -----------------------------------------------------------------------------------------


def test_clients_that_fall_silent_in_a_request_take_no_thread_for_long(tmp_path: Path) -> None:
    write_five(tmp_path / "models")
    with running_inference(tmp_path, THREADS="2", CLIENT_TIMEOUT_S="0.5") as running, ExitStack() as silent:
        address = ("127.0.0.1", int(running.url.rpartition(":")[2]))
        head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
        sent = (head, head + b"\r\n{", b"GET /healthz HTT", head + b"\r\n{")
        clients = [silent.enter_context(socket.create_connection(address, timeout=60)) for _ in sent]
        for client, words in zip(clients, sent, strict=True):
            client.sendall(words)
        assert requests.get(f"{running.url}/healthz", timeout=60).ok
        assert b" 408 " in clients[1].recv(100), "whose body does not come to its end is told so"
        assert clients[2].recv(100) == b"", "who sends no whole head loses the connection"
        for _ in range(3):  # who takes nothing of six megabytes, of which the kernel takes three
            client = silent.enter_context(socket.create_connection(address, timeout=60))
            client.sendall(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 6)
        assert requests.get(f"{running.url}/healthz", timeout=60).ok


def test_without_models_it_is_alive_and_ready_once_they_appear(tmp_path: Path) -> None:
    with running_inference(tmp_path) as service:
        waiting = get(service, "/readyz")
        asked = post(service, files=files(FACE))
        original = post(service, "/inference", json={"image": data_url(FACE), "model_name": "full"})
        write_five(service.models)
        until(lambda: get(service, "/readyz").status_code == 200)
        answered(post(service, files=files(FACE)))

    assert (waiting.status_code, waiting.json()["status"]) == (503, "unavailable")
    assert waiting.json()["reason"].startswith("No model is active")
    for answer in (asked, original):
        assert refused(answer, 503).error.code == "model_missing"
        assert answer.headers["Retry-After"] == "5"


def test_a_promoted_model_answers_without_a_restart_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    models = tmp_path / "models"
    write_projection(models, "small/1", projection(1))
    write_projection(models, "small/2", projection(2))
    write_active(models, {"full": "small/1"})

    with running_inference(tmp_path) as service:

        def version() -> str:
            answer = answered(post(service, files=files(FACE), data={"models": "full"}))
            return answer.images[0].faces[0].predictions[0].version

        assert version() == "small/1"
        write_active(models, {"full": "small/2"})
        until(lambda: version() == "small/2")
        write_active(models, {"full": "small/3"})
        until(lambda: get(service, "/v1/models").json()["problems"] != [])
        assert version() == "small/2"
        ready = get(service, "/readyz")
        assert (ready.status_code, ready.json()["reason"]) == (200, NOT_THERE)
        write_active(models, {"full": "small/1"})
        until(lambda: version() == "small/1")


def test_a_version_is_tried_over_http_without_serving(inference_service: RunningInference) -> None:
    write_projection(inference_service.models, "spare/1", projection(8))
    write_projection(inference_service.models, "spare/2", projection(8), self_test={"full": (9.0,) * 7})
    before = get(inference_service, "/v1/models").json()

    good = post(inference_service, "/v1/self-test", json={"model": "spare/1"})
    bad = refused(post(inference_service, "/v1/self-test", json={"model": "spare/2"}), 409).error
    absent = refused(post(inference_service, "/v1/self-test", json={"model": "spare/3"}), 404).error
    nothing = refused(post(inference_service, "/v1/self-test", json={}), 422).error

    assert (good.status_code, good.json()) == (200, {"model": "spare/1"})
    assert (bad.code, bad.message.split(":")[0]) == ("self_test_failed", "spare/2 fails its self-test")
    assert (absent.code, nothing.field) == ("model_not_found", "model")
    assert get(inference_service, "/v1/models").json() == before


def test_the_exported_model_serves_the_five_views(models_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "models").symlink_to(models_dir)

    with running_inference(tmp_path) as service:
        (image,) = answered(post(service, files=files(PORTRAIT))).images

    assert [each.model for each in image.faces[0].predictions] == list(STUDY_VIEWS)


# --- health, log and document ----------------------------------------------------------------------------------------


def test_health_models_and_document_are_served(inference_service: RunningInference) -> None:
    document = get(inference_service, "/openapi.json").json()

    assert get(inference_service, "/readyz").json()["status"] == "ok"
    assert get(inference_service, "/v1/models").json()["active"]["any"] == "mixed/1"
    assert set(document["paths"]) == {"/healthz", "/readyz", "/inference", "/v1/models", "/v1/predict", "/v1/self-test"}
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"]
            assert operation["tags"]


def test_every_line_of_the_log_is_json_and_has_the_request_id(inference_service: RunningInference) -> None:
    requests.get(f"{inference_service.url}/v1/models", headers={"X-Request-ID": "mine-7"}, timeout=60)

    lines = [json.loads(line) for line in inference_service.log.read_text().splitlines()]
    (line,) = [line for line in lines if line["request_id"] == "mine-7"]
    assert (line["service"], line["path"], line["status"]) == ("inference", "/v1/models", 200)
