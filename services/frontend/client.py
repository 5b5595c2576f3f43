"""The one class that speaks to the gateway. Answers are parsed with the classes of `shared.schemas`.

GatewayError (HalffaceError)
├── GatewayAwayError       nobody answers, or it cannot serve now: trying again may help
├── GatewayRefusedError    the gateway refused the request and said why
└── KeyNeededError         the gateway wants a key, or one that may do more

Every message is a sentence for a person.
"""

import copy
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import requests
from pydantic import BaseModel, ValidationError

from shared.errors import HalffaceError
from shared.model_folder import Card
from shared.schemas.datasets import DatasetList
from shared.schemas.jobs import Deleted, Job, JobDetail, JobList, JobLog, JobRequest, JobState, MetricList
from shared.schemas.models import ModelChange, ModelHistory, ModelInfo, ModelList, PromoteRequest, RollBackRequest
from shared.schemas.predictions import Detect, PredictAnswer
from shared.schemas.wire import ErrorAnswer, Health, Slot
from shared.study import StudyResult
from shared.study_mistakes import MistakeList, MistakesQuery

CONNECT_TIMEOUT_S = 3.05
HEALTH_TIMEOUT_S = 6.0
"""Longer than the gateway waits for its parts, or it could not say which of them is silent."""

Content = TypeVar("Content", bound=BaseModel)


class GatewayError(HalffaceError):
    """A call of the gateway that gave no answer to work with."""


class GatewayAwayError(GatewayError):
    """The gateway cannot be reached or cannot serve now."""


class GatewayRefusedError(GatewayError):
    """The gateway refused the request; the text is its own sentence."""


class KeyNeededError(GatewayError):
    """The gateway wants a key: none was sent (`key_missing`), it is not known (`key_unknown`) or may do less than this
    needs (`key_role`)."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class GatewayClient:
    """Calls the gateway; keeps its connections; every call has a timeout."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy in the environment is not meant for the neighbour
        self._key: str | None = None
        self._studies: dict[str, tuple[str, StudyResult]] = {}  # address to the last study and its ETag

    def with_key(self, key: str | None) -> Self:
        """Return a client that sends `key`, over the same connections; one without a key if None."""
        client = copy.copy(self)
        client._key = key
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def health(self) -> Health:
        """Return whether the gateway can serve, and why not; never raises."""
        try:
            response = self._call("GET", "/readyz", timeout_s=HEALTH_TIMEOUT_S)
            return Health.model_validate_json(response.content)
        except GatewayError:
            return Health(status="unavailable", reason="The gateway does not answer.")
        except ValidationError:
            return Health(status="unavailable", reason="The gateway's answer cannot be read.")

    def predict(self, image: bytes, *, name: str, detect: Detect, mask: bool) -> PredictAnswer:
        """Return what the models read on the faces of one picture.

        Raises:
            GatewayError: see the module's docstring; all calls below raise the same.
        """
        form = {"detect": detect.value, "mask": str(mask).lower(), "crops": "true", "explain": "true"}
        return self._ask("POST", "/v1/predictions", PredictAnswer, files={"images": (name, image)}, data=form)

    def models(self, *, archived: bool = False) -> ModelList:
        """Return the models that exist, and which of them serve; archived ones only if asked for."""
        return self._ask("GET", "/v1/models", ModelList, params={"archived": "true"} if archived else None)

    def model(self, model_id: str) -> Card:
        """Return a version's card."""
        return self._ask("GET", _model_path(model_id), Card)

    def model_history(self) -> list[ModelChange]:
        """Return the newest 2000 changes of what serves, newest first."""
        return self._ask("GET", "/v1/models/history", ModelHistory, params={"limit": 2000}).changes

    def promote(self, model_id: str, slots: Sequence[Slot]) -> ModelInfo:
        """Let a version serve these slots."""
        return self._send(f"{_model_path(model_id)}/promote", PromoteRequest(slots=list(slots)), ModelInfo)

    def roll_back(self, slot: Slot) -> ModelInfo:
        """Let the slot's previous version serve again, and return it."""
        return self._send("/v1/models/rollback", RollBackRequest(slot=slot), ModelInfo)

    def archive(self, model_id: str) -> ModelInfo:
        """Put a version away."""
        return self._ask("POST", f"{_model_path(model_id)}/archive", ModelInfo)

    def restore(self, model_id: str) -> ModelInfo:
        """Take a version out of the archive."""
        return self._ask("POST", f"{_model_path(model_id)}/restore", ModelInfo)

    def study(self) -> StudyResult | None:
        """Return the study's figures, read again only where they changed; None if there is no study yet."""
        kept = self._studies.get(self.url)
        headers = {"If-None-Match": kept[0]} if kept else None
        response = self._call("GET", "/v1/study", timeout_s=self.timeout_s, headers=headers)
        if kept and response.status_code == 304:
            return kept[1]
        if response.status_code == 404:
            return None
        study = _content(response, StudyResult)
        self._studies[self.url] = (response.headers.get("ETag", ""), study)
        return study

    def mistakes(self, query: MistakesQuery) -> MistakeList:
        """Return a part of the list of test images that a model of the study misread."""
        return self._ask("GET", "/v1/study/mistakes", MistakeList, params=query.model_dump(exclude_none=True))

    def study_image(self, image_id: str) -> bytes:
        """Return a test image as PNG."""
        response = self._call("GET", f"/v1/study/images/{_quote(image_id)}", timeout_s=self.timeout_s)
        if response.status_code >= 400:
            raise _refusal(response)
        return response.content

    def datasets(self) -> DatasetList:
        """Return what lies in the data folder."""
        return self._ask("GET", "/v1/datasets", DatasetList)

    def start(self, request: JobRequest) -> Job:
        """Queue a job and return it; what the request leaves open is left to the gateway."""
        return self._send("/v1/jobs", request, Job)

    def jobs(self, *, state: JobState | None = None, limit: int = 50) -> list[Job]:
        """Return at most `limit` jobs (1 to 1000), newest first; of one state if given."""
        asked = {"limit": limit, **({"state": state.value} if state else {})}
        return self._ask("GET", "/v1/jobs", JobList, params=asked).jobs

    def job(self, job_id: str) -> JobDetail:
        """Return one job with its past and its parts."""
        return self._ask("GET", f"/v1/jobs/{_quote(job_id)}", JobDetail)

    def metrics(self, job_id: str) -> MetricList:
        """Return the epochs of a job so far."""
        return self._ask("GET", f"/v1/jobs/{_quote(job_id)}/metrics", MetricList)

    def log(self, job_id: str) -> list[str]:
        """Return the last lines of a job's log."""
        return self._ask("GET", f"/v1/jobs/{_quote(job_id)}/log", JobLog).lines

    def cancel(self, job_id: str) -> Job:
        """Ask a job to stop; it keeps its checkpoint."""
        return self._ask("POST", f"/v1/jobs/{_quote(job_id)}/cancel", Job)

    def resume(self, job_id: str) -> Job:
        """Queue a stopped job again; it goes on from its checkpoint."""
        return self._ask("POST", f"/v1/jobs/{_quote(job_id)}/resume", Job)

    def retry(self, job_id: str) -> Job:
        """Start a job that has ended anew; return the new one."""
        return self._ask("POST", f"/v1/jobs/{_quote(job_id)}/retry", Job)

    def delete(self, job_id: str) -> Deleted:
        """Remove a job that has ended; return what that freed."""
        return self._ask("DELETE", f"/v1/jobs/{_quote(job_id)}", Deleted)

    def report(self, job_id: str) -> str:
        """Return a job's report, a page of HTML."""
        path = f"/v1/jobs/{_quote(job_id)}/report"
        response = self._call("GET", path, timeout_s=self.timeout_s, headers={"Accept": "text/html"})
        if response.status_code >= 400:
            raise _refusal(response)
        return response.content.decode()

    def _send(self, path: str, request: BaseModel, kind: type[Content]) -> Content:
        body = request.model_dump_json(exclude_unset=True).encode()
        return self._ask("POST", path, kind, data=body, headers={"Content-Type": "application/json"})

    def _ask(self, method: str, path: str, kind: type[Content], **kwargs: Any) -> Content:
        return _content(self._call(method, path, timeout_s=self.timeout_s, **kwargs), kind)

    def _call(
        self, method: str, path: str, *, timeout_s: float, headers: dict[str, str] | None = None, **kwargs: Any
    ) -> requests.Response:
        timeouts = (CONNECT_TIMEOUT_S, timeout_s)
        sent = {**(headers or {}), **({"Authorization": f"Bearer {self._key}"} if self._key else {})}
        try:
            return self._session.request(method, self.url + path, headers=sent, timeout=timeouts, **kwargs)
        except requests.ReadTimeout as error:
            raise GatewayAwayError(
                f"The gateway did not answer within {timeout_s:.0f} seconds. It may be busy: wait, then try again."
            ) from error
        except requests.RequestException as error:
            raise GatewayAwayError(
                f"The gateway at `{self.url}` does not answer. Start it with `make up` or `docker compose up`, "
                "or wait until it is ready, then try again."
            ) from error


def _content(response: requests.Response, kind: type[Content]) -> Content:
    if response.status_code >= 400:
        raise _refusal(response)
    try:
        return kind.model_validate_json(response.content)
    except ValidationError as error:
        raise GatewayError(
            "The gateway's answer cannot be read. This page and the gateway may be of different versions: "
            "update both, then try again."
        ) from error


def _refusal(response: requests.Response) -> GatewayError:
    """Return the error that an answer of 400 or more stands for, with the gateway's own sentence if it has one."""
    is_away = response.status_code >= 500 or response.status_code == 429  # to ask again may help
    kind = GatewayAwayError if is_away else GatewayRefusedError
    try:
        error = ErrorAnswer.model_validate_json(response.content).error
        if response.status_code in (401, 403):
            return KeyNeededError(error.message, error.code)
        return kind(error.message)
    except ValidationError:
        return kind(f"The gateway could not answer (status {response.status_code}). Wait a little and try again.")


def _model_path(model_id: str) -> str:
    """Return the path of a version; its id may come from the address bar."""
    name, _, version = model_id.partition("/")
    return f"/v1/models/{_quote(name)}/{_quote(version)}"


def _quote(text: str) -> str:
    """Return `text` as one part of a path; ids may come from the address bar."""
    return quote(text, safe="") or "-"
