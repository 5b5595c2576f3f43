"""HTTP client of the inference service: pooled connections, a timeout on every call, errors as the gateway's own."""

import logging
from typing import Any, Final, TypeVar

import requests
from pydantic import BaseModel, Field, ValidationError
from requests.adapters import HTTPAdapter

from shared.schemas import Answer, ErrorAnswer, Health, PredictAnswer, PredictRequest
from shared.web import REQUEST_ID_HEADER, ApiError, current_request_id

CONNECT_TIMEOUT_S: Final = 3.0
READY_TIMEOUT_S: Final = 2.0
RETRY_AFTER_S: Final = 5
ATTEMPTS: Final = 2

Parsed = TypeVar("Parsed", bound=BaseModel)

_log = logging.getLogger("halfface.gateway.inference")


class ClassData(Answer):
    """What `POST /inference` says of one image."""

    prediction: int = Field(ge=0, le=6, description="The class's index.")
    label: str | None = None
    confidence: float | None = None
    probabilities: dict[str, float] | None = None
    version: str | None = None


class ClassAnswer(Answer):
    """The answer of `POST /inference`, as in the original system."""

    msg: str
    data: ClassData


class InferenceClient:
    """Asks the inference service; safe to use from many threads.

    Args:
        url: its address, such as http://127.0.0.1:5000.
        timeout_s: longest wait for an answer.
        connections: how many are kept open.

    Every method raises ApiError: inference's own refusals (4xx and 503) as they are, 503 `inference_unavailable` if it
    cannot be reached or takes too long, 502 if its answer makes no sense.
    """

    def __init__(self, url: str, timeout_s: float, connections: int = 8) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy in the environment is not meant for the neighbour
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def predict(self, asked: PredictRequest) -> PredictAnswer:
        """Return what the models read on the images of a JSON request."""
        return self._post("/v1/predict", asked.model_dump_json().encode(), "application/json", PredictAnswer)

    def predict_body(self, body: bytes, content_type: str) -> PredictAnswer:
        """Return the same for a request body of any type that inference takes, passed on unchanged."""
        return self._post("/v1/predict", body, content_type, PredictAnswer)

    def classify(self, image: str, model: str) -> ClassData:
        """Return the class of one image by the original system's contract."""
        body = ClassRequest(image=image, model_name=model).model_dump_json().encode()
        return self._post("/inference", body, "application/json", ClassAnswer).data

    def why_not_ready(self) -> str | None:
        """Return why inference cannot serve, or None if it can. Raises nothing."""
        try:
            response = self._session.get(f"{self._url}/readyz", timeout=READY_TIMEOUT_S, headers=_headers())
        except requests.RequestException:
            return "it does not answer"
        if response.status_code == 200:
            return None
        try:
            return Health.model_validate_json(response.content).reason or "it is not ready"
        except ValidationError:
            return "it gives no sensible answer"

    def _post(self, path: str, body: bytes, content_type: str, answer: type[Parsed]) -> Parsed:
        response = self._send(path, body, {"Content-Type": content_type, **_headers()})
        if response.status_code != 200:
            raise _refusal(response)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            _log.error("inference answered something else", extra={"path": path, "faults": error.error_count()})
            raise _broken() from error

    def _send(self, path: str, body: bytes, headers: dict[str, str], attempts: int = ATTEMPTS) -> requests.Response:
        """Post, and once more if the connection breaks: a prediction changes nothing, so asking twice is safe."""
        timeouts = (CONNECT_TIMEOUT_S, self._timeout_s)
        try:
            return self._session.post(f"{self._url}{path}", data=body, headers=headers, timeout=timeouts)
        except requests.Timeout as error:
            raise _unavailable("takes too long to answer") from error
        except requests.RequestException as error:
            _log.warning("no connection to inference: %s", type(error).__name__)
            if attempts <= 1:
                raise _unavailable("does not answer") from error
        return self._send(path, body, headers, attempts - 1)


class ClassRequest(BaseModel):
    """The request of `POST /inference`, as in the original system."""

    image: str
    model_name: str


def _headers() -> dict[str, str]:
    return {REQUEST_ID_HEADER: current_request_id()}


def _unavailable(what: str) -> ApiError:
    return ApiError(
        status=503,
        code="inference_unavailable",
        message=f"The inference service {what}; try again in a few seconds.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _broken() -> ApiError:
    return ApiError(
        status=502,
        code="inference_failed",
        message="The inference service could not handle this request; its log says more under this request id.",
    )


def _refusal(response: requests.Response) -> ApiError:
    """Return inference's own error to pass on, if it is one that the caller can do something about."""
    status = response.status_code
    if not (400 <= status < 500 or status == 503):
        return _broken()
    try:
        detail = ErrorAnswer.model_validate_json(response.content).error
    except ValidationError:
        return _broken()
    headers: dict[str, Any] = {}
    if status == 503:
        headers["Retry-After"] = response.headers.get("Retry-After", str(RETRY_AFTER_S))
    return ApiError(status=status, code=detail.code, message=detail.message, field=detail.field, headers=headers)
