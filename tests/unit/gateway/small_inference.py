"""A small real inference service for the gateway's tests.

What it guarantees: it is an HTTP server; its errors are those of `shared.web`, as the real service's are; it remembers
the requests that it got. It reads no faces: the text of a JSON request's first image says how it behaves, and a
prediction's `note` is the SHA-256 of the body that arrived.
"""

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from apiflask import APIFlask
from flask import Response, request
from werkzeug.serving import WSGIRequestHandler, make_server

from shared.schemas.models import SelfTestAnswer, SelfTestRequest
from shared.schemas.predictions import ImageAnswer, PredictAnswer, Timings
from shared.schemas.wire import Health
from shared.web import SECONDS_LEFT_HEADER, ApiError, current_request_id, make_app

HAPPY = {
    "prediction": 3,
    "label": "happy",
    "confidence": 0.7,
    "probabilities": {"happy": 0.7, "sad": 0.3},
    "version": "full/1",
    "source": "detected",
}
"""What it reads by the original's interface."""


class _QuietHandler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Log nothing."""


@dataclass
class SmallInference:
    """What it is told to do, and what it was asked."""

    port: int
    not_ready: str | None = None
    """Why it refuses predictions, and /readyz too."""
    note: str | None = None
    """What /readyz says beside that it is ready."""
    breaks: int = 0
    """So many connections are closed without an answer."""
    hangs: bool = False
    """Requests that it takes, of any kind, wait until the end."""
    failing: set[str] = field(default_factory=set)
    """Versions that fail their self-test."""
    released: threading.Event = field(default_factory=threading.Event)
    """Requests with the image `slow` wait for it."""
    bodies: list[bytes] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    content_types: list[str] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


def small_app(told: SmallInference) -> APIFlask:
    """Return the application; `told` says how it behaves."""
    app = make_app("small_inference", title="Small inference", description="For tests.")

    @app.before_request
    def hang() -> None:
        if told.hangs:
            told.released.wait(60)

    def remember() -> str:
        body = request.get_data()
        told.bodies.append(body)
        told.hosts.append(request.host)
        told.content_types.append(request.content_type or "")
        told.request_ids.append(current_request_id())
        if told.breaks:
            told.breaks -= 1
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return hashlib.sha256(body).hexdigest()

    def behave(image: str) -> Response | None:
        if told.not_ready:
            raise ApiError(status=503, code="model_missing", message=told.not_ready)
        if image == "slow":
            told.released.wait(30)
        if image == "too much":
            time.sleep(float(request.headers[SECONDS_LEFT_HEADER]))
            raise ApiError(status=503, code="took_too_long", message="Send fewer pictures.")
        if image == "nonsense":
            return Response("<html>a proxy's page</html>", 200)
        if image == "crash":
            raise RuntimeError("a fault of the service")
        if image == "truncated":
            raise ApiError(status=422, code="image_truncated", message="The image ends early.", field="images[0]")
        if image == "busy":
            raise ApiError(status=503, code="busy", message="Try again soon.", headers={"Retry-After": "7"})
        return None

    @app.post("/v1/predict")
    def predict() -> Response:
        digest = remember()
        image = request.get_json()["images"][0] if request.is_json else ""
        note = ImageAnswer(width=1, height=1, faces=[], note=digest)
        timings = Timings(decode_ms=1, detect_ms=1, network_ms=1, total_ms=3)
        answer = PredictAnswer(images=[note], timings=timings, request_id=current_request_id())
        return behave(image) or Response(answer.model_dump_json(), mimetype="application/json")

    @app.post("/inference")
    def inference() -> Response | dict[str, object]:
        remember()
        return behave(request.get_json()["image"]) or {"msg": "Success", "data": HAPPY}

    @app.post("/v1/self-test")
    def self_test() -> dict[str, object]:
        remember()
        model = SelfTestRequest.model_validate(request.get_json()).model
        if model in told.failing:
            raise ApiError(status=409, code="self_test_failed", message=f"{model} fails its self-test.", field="model")
        return SelfTestAnswer(model=model).model_dump()

    @app.get("/readyz")
    def readyz() -> tuple[dict[str, object], int]:
        state = Health(status="unavailable" if told.not_ready else "ok", reason=told.not_ready or told.note)
        return state.model_dump(), 503 if told.not_ready else 200

    return app


@contextmanager
def serve_inference(port: int = 0) -> Iterator[SmallInference]:
    """Serve it until the block ends; on a free port if none is given."""
    told = SmallInference(port)
    server = make_server("127.0.0.1", port, small_app(told), threaded=True, request_handler=_QuietHandler)
    told.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield told
    finally:
        told.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
