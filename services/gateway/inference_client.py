"""HTTP client of the inference service: pooled connections, a timeout on every call, errors as the gateway's own.

Requests are spread over the replicas of the service; one that fails is passed over (`services.gateway.replicas`). A
prediction changes nothing, so the same request may be asked of another one.
"""

import json
import logging
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import requests
from pydantic import BaseModel, ValidationError
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ProtocolError

from services.gateway.patience import HangsError, wait_for
from services.gateway.replicas import Replica, Replicas
from shared.schemas.models import SelfTestAnswer, SelfTestRequest
from shared.schemas.original import ClassAnswer, ClassData, ClassRequest
from shared.schemas.predictions import PredictAnswer, PredictRequest
from shared.schemas.wire import ErrorAnswer, Health, Slot
from shared.web import REQUEST_ID_HEADER, SECONDS_LEFT_HEADER, ApiError, current_request_id

CONNECT_TIMEOUT_S: Final = 3.0
READY_TIMEOUT_S: Final = 2.0
LOOK_EVERY_S: Final = 2.0
"""So often is it looked whether a replica that has not answered yet gives a sign of life."""
BUSY_S: Final = 12.0
"""So long may a replica be silent before it is asked whether it is alive: with all its threads at work on large
pictures it cannot answer that either, and is not to be taken for one that hangs."""
SPARE: Final = 0.1
"""The share of the time that is kept for the way back of a refusal, and too short to ask another replica in."""
MOST_BROKEN: Final = 3
"""So many times a request may break a connection before it is taken for one that kills who works on it."""
RETRY_AFTER_S: Final = 5
REPLICAS_CONNECTED: Final = 32  # of more, those asked longest ago lose the connections that are kept open
CANNOT_SERVE: Final = frozenset({502, 503})  # what a replica, or a proxy before it, answers that another may do better

Parsed = TypeVar("Parsed", bound=BaseModel)

_log = logging.getLogger("halfface.gateway.inference")


class InferenceClient:
    """Asks the inference service; safe to use from many threads.

    Args:
        url: its address, such as http://127.0.0.1:5000, or several, separated by commas.
        timeout_s: longest wait for an answer.
        connections: how many are kept open to each replica.

    Every method raises ApiError: inference's own refusals (4xx and 503) as they are, 503 `inference_unavailable` if it
    cannot be reached or takes too long, 502 if its answer makes no sense.
    """

    def __init__(self, url: str, timeout_s: float, connections: int = 8) -> None:
        self._replicas = Replicas([each.strip().rstrip("/") for each in url.split(",")])
        self._timeout_s = timeout_s
        self._heard_s: dict[Replica, float] = {}
        self._notes: dict[Replica, str | None] = {}
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy in the environment is not meant for the neighbour
        adapter = HTTPAdapter(pool_connections=REPLICAS_CONNECTED, pool_maxsize=connections)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def predict(self, asked: PredictRequest) -> PredictAnswer:
        """Return what the models read on the images of a JSON request."""
        return self._post("/v1/predict", _json(asked), "application/json", PredictAnswer)

    def predict_body(self, body: bytes, content_type: str) -> PredictAnswer:
        """Return the same for a request body of any type that inference takes, passed on unchanged."""
        return self._post("/v1/predict", body, content_type, PredictAnswer)

    def classify(self, image: str, model: Slot) -> ClassData:
        """Return the class of one image by the original system's contract."""
        asked = ClassRequest(image=image, model_name=model)
        return self._post("/inference", _json(asked), "application/json", ClassAnswer).data

    def self_test(self, model_id: str) -> None:
        """Have a version loaded and tried; inference's 404 or 409 says why it must not serve."""
        try:
            self._post("/v1/self-test", _json(SelfTestRequest(model=model_id)), "application/json", SelfTestAnswer)
        except ApiError as error:
            error.field = None  # of inference's request, not of the caller's
            raise

    def why_not_ready(self) -> str | None:
        """Return why no replica of inference can serve, or None if one can. Raises nothing."""
        replicas = self._replicas.all()
        with ThreadPoolExecutor(max(1, len(replicas))) as side_by_side:  # several that are silent are waited for once
            told = list(side_by_side.map(self._why_not_ready, replicas))
        reasons = [reason for reason in told if reason is not None]
        if len(reasons) < len(told):
            return None
        if len(reasons) == 1:
            return reasons[0]
        return f"none of its {len(reasons)} replicas can serve: {', '.join(dict.fromkeys(reasons))}"

    def note(self) -> str | None:
        """Return what replicas that can serve said when they were last asked, such as that an older version serves."""
        notes = [self._notes.get(replica) for replica in self._replicas.all()]
        return "; ".join(dict.fromkeys(note for note in notes if note)) or None

    def _post(self, path: str, body: bytes, content_type: str, answer: type[Parsed]) -> Parsed:
        response = self._send(path, body, {"Content-Type": content_type, **_headers()})
        if response.status_code != 200:
            raise _refusal(response)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            _log.error("inference answered something else", extra={"path": path, "faults": error.error_count()})
            raise _broken() from error

    def _send(self, path: str, body: bytes, headers: dict[str, str]) -> requests.Response:
        """Post to one replica after another until one can serve.

        A replica whose connection breaks comes once more at the end: an idle connection may have been closed just then.
        One that cannot be reached in time, hangs, or answers that it cannot serve, is asked once.
        """
        self._check_those_set_aside()
        end_s = time.monotonic() + self._timeout_s
        refusals: dict[Replica, requests.Response] = {}
        silent: set[Replica] = set()
        broken = 0
        for replica in self._replicas.in_turn():
            if replica in refusals or replica in silent:
                continue
            if refusals and end_s - time.monotonic() < self._timeout_s * SPARE:
                break
            try:
                response = self._ask(replica, path, body, headers, end_s - time.monotonic())
            except (requests.ConnectTimeout, HangsError):
                silent.add(replica)
            except requests.Timeout as error:
                raise _too_slow() from error
            except requests.RequestException as error:
                _log.info("no answer from %s: %s", replica.place, error)
                broken += isinstance(error.args[0] if error.args else None, ProtocolError)
                if broken == MOST_BROKEN:
                    break
            else:
                if response.status_code not in CANNOT_SERVE:
                    self._replicas.mark_well(replica)
                    for worse, refusal in refusals.items():  # it was not the request's fault
                        self._replicas.set_aside(worse, f"HTTP {refusal.status_code}")
                    return response
                refusals[replica] = response
        if refusals:
            return next(iter(refusals.values()))
        raise _too_slow() if silent else _unavailable("does not answer")

    def _ask(
        self, replica: Replica, path: str, body: bytes, headers: dict[str, str], left_s: float
    ) -> requests.Response:
        """Post to one replica; set it aside if it gives no answer."""
        if left_s <= 0:
            raise requests.Timeout
        told_s = max(left_s - self._timeout_s * SPARE, 0.0)
        headers = {**headers, "Host": replica.host, SECONDS_LEFT_HEADER: f"{told_s:.3f}"}
        timeouts = (min(CONNECT_TIMEOUT_S, left_s), left_s)

        def post() -> requests.Response:
            return self._session.post(f"{replica.url}{path}", data=body, headers=headers, timeout=timeouts)

        began_s = time.monotonic()
        try:
            with self._replicas.at_work(replica):
                response = wait_for(post, lambda since_s: self._hangs(replica, began_s, since_s), LOOK_EVERY_S)
        except (requests.RequestException, HangsError) as error:
            self._replicas.set_aside(replica, type(error).__name__)
            raise
        self._heard_s[replica] = time.monotonic()
        return response

    def _hangs(self, replica: Replica, began_s: float, since_s: float) -> bool:
        """Return whether a replica gave no sign of life for long, while there is another to ask instead.

        One that is busy answers some request or other; so it is asked whether it is ready only if it did not.

        Args:
            replica: which.
            began_s: when the request that waits was sent.
            since_s: since when it has to be silent, too.
        """
        if time.monotonic() - max(began_s, self._heard_s.get(replica, -math.inf)) < BUSY_S:
            return False
        if self._heard_s.get(replica, -math.inf) < since_s and self._replicas.another_is_well(replica):
            self._why_not_ready(replica)
            return self._heard_s.get(replica, -math.inf) < since_s
        return False

    def _check_those_set_aside(self) -> None:
        """Find out in the background whether replicas are back, so that no request has to wait for a dead one."""
        for replica in self._replicas.to_check():
            threading.Thread(target=self._why_not_ready, args=(replica,), daemon=True).start()

    def _why_not_ready(self, replica: Replica) -> str | None:
        """Return why a replica cannot serve, or None if it can, and remember whether it can."""
        try:
            headers = {**_headers(), "Host": replica.host}
            response = self._session.get(f"{replica.url}/readyz", timeout=READY_TIMEOUT_S, headers=headers)
        except requests.RequestException as error:
            self._replicas.set_aside(replica, type(error).__name__)
            self._notes.pop(replica, None)
            return "it does not answer"
        self._heard_s[replica] = time.monotonic()
        try:
            reason = Health.model_validate_json(response.content).reason
        except ValidationError:
            reason = "it gives no sensible answer"
        if response.status_code == 200:
            self._notes[replica] = reason
            self._replicas.mark_well(replica)
            return None
        self._replicas.set_aside(replica, "not ready")
        self._notes.pop(replica, None)
        return reason or "it is not ready"


def _json(asked: BaseModel) -> bytes:
    """Return a request as ASCII, in which half of a surrogate pair can stand: inference says what is wrong with it."""
    return json.dumps(asked.model_dump(mode="json"), separators=(",", ":")).encode()


def _headers() -> dict[str, str]:
    return {REQUEST_ID_HEADER: current_request_id()}


def _unavailable(what: str) -> ApiError:
    return ApiError(
        status=503,
        code="inference_unavailable",
        message=f"The inference service {what}; try again in a few seconds.",
        headers={"Retry-After": str(RETRY_AFTER_S)},
    )


def _too_slow() -> ApiError:
    return _unavailable("takes too long to answer")


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
