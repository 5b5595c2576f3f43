"""The one class that speaks to the gateway. Answers are parsed with the classes of `shared.schemas`.

GatewayError (HalffaceError)
├── GatewayAwayError       nobody answers, or it cannot serve now: trying again may help
└── GatewayRefusedError    the gateway refused the request and said why

Every message is a sentence for a person.
"""

from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import requests
from pydantic import BaseModel, ValidationError

from shared.errors import HalffaceError
from shared.schemas import (
    DatasetList,
    Detect,
    ErrorAnswer,
    Health,
    Job,
    JobList,
    JobLog,
    JobRequest,
    MetricList,
    ModelList,
    PredictAnswer,
)

CONNECT_TIMEOUT_S = 3.05
HEALTH_TIMEOUT_S = 3.0

Content = TypeVar("Content", bound=BaseModel)


class GatewayError(HalffaceError):
    """A call of the gateway that gave no answer to work with."""


class GatewayAwayError(GatewayError):
    """The gateway cannot be reached or cannot serve now."""


class GatewayRefusedError(GatewayError):
    """The gateway refused the request; the text is its own sentence."""


class GatewayClient:
    """Calls the gateway; keeps its connections; every call has a timeout."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self._session = requests.Session()

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
        form = {"detect": detect.value, "mask": str(mask).lower(), "crops": "true"}
        return self._ask("POST", "/v1/predictions", PredictAnswer, files={"images": (name, image)}, data=form)

    def models(self) -> ModelList:
        """Return the models that exist, and which of them serve."""
        return self._ask("GET", "/v1/models", ModelList)

    def datasets(self) -> DatasetList:
        """Return what lies in the data folder."""
        return self._ask("GET", "/v1/datasets", DatasetList)

    def start(self, request: JobRequest) -> Job:
        """Queue a training job and return it."""
        body = request.model_dump_json().encode()
        return self._ask("POST", "/v1/jobs", Job, data=body, headers={"Content-Type": "application/json"})

    def jobs(self) -> list[Job]:
        """Return all jobs, newest first."""
        return self._ask("GET", "/v1/jobs", JobList).jobs

    def job(self, job_id: str) -> Job:
        """Return one job."""
        return self._ask("GET", f"/v1/jobs/{_quote(job_id)}", Job)

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

    def _ask(self, method: str, path: str, kind: type[Content], **kwargs: Any) -> Content:
        response = self._call(method, path, timeout_s=self.timeout_s, **kwargs)
        if response.status_code >= 400:
            raise _refusal(response)
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise GatewayError(
                "The gateway's answer cannot be read. This page and the gateway may be of different versions: "
                "update both, then try again."
            ) from error

    def _call(self, method: str, path: str, *, timeout_s: float, **kwargs: Any) -> requests.Response:
        try:
            return self._session.request(method, self.url + path, timeout=(CONNECT_TIMEOUT_S, timeout_s), **kwargs)
        except requests.ReadTimeout as error:
            raise GatewayAwayError(
                f"The gateway did not answer within {timeout_s:.0f} seconds. It may be busy: wait, then try again."
            ) from error
        except requests.RequestException as error:
            raise GatewayAwayError(
                f"The gateway at `{self.url}` does not answer. Start it with `make up` or `docker compose up`, "
                "or wait until it is ready, then try again."
            ) from error


def _refusal(response: requests.Response) -> GatewayError:
    """Return the error that an answer of 400 or more stands for, with the gateway's own sentence if it has one."""
    kind = GatewayAwayError if response.status_code in (502, 503, 504) else GatewayRefusedError
    try:
        return kind(ErrorAnswer.model_validate_json(response.content).error.message)
    except ValidationError:
        return kind(f"The gateway could not answer (status {response.status_code}). Wait a little and try again.")


def _quote(text: str) -> str:
    """Return `text` as one part of a path; ids may come from the address bar."""
    return quote(text, safe="") or "-"
