"""The two calls of the gateway that a night needs: queue a job, look at the jobs."""

from collections.abc import Collection
from typing import Any

import requests
from pydantic import ValidationError

from scripts.stack import StackError
from shared.schemas.jobs import Job, JobDetail, JobList, JobRequest
from shared.schemas.wire import ErrorAnswer

TIMEOUT_S = 30.0
MOST_JOBS = 1000


class Gateway:
    """A gateway and the key to change something there."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {key}"

    def start(self, asked: JobRequest, idempotency_key: str) -> Job:
        """Queue a job, or get the one that was queued with this key.

        Raises:
            StackError: the gateway refuses it, or does not answer.
        """
        headers = {"Idempotency-Key": idempotency_key}
        answer = self._call("POST", "/v1/jobs", headers=headers, json=asked.model_dump(mode="json", exclude_unset=True))
        if not answer.ok:
            raise StackError(f"The gateway refuses the job for the view {asked.view}: {_reason(answer)}")
        return JobDetail.model_validate_json(answer.content)

    def jobs(self, ids: Collection[str]) -> list[Job] | None:
        """Return the jobs with these ids, oldest first; None if the gateway does not answer now."""
        try:
            answer = self._call("GET", "/v1/jobs", params={"limit": MOST_JOBS})
            found = JobList.model_validate_json(answer.content).jobs
        except (StackError, ValidationError):
            return None
        return sorted((job for job in found if job.id in ids), key=lambda job: (job.created, job.id))

    def _call(self, method: str, path: str, **request: Any) -> requests.Response:
        try:
            return self._session.request(method, f"{self.url}{path}", timeout=TIMEOUT_S, **request)
        except requests.RequestException as error:
            raise StackError(f"The gateway at {self.url} does not answer.") from error


def _reason(answer: requests.Response) -> str:
    try:
        return ErrorAnswer.model_validate_json(answer.content).error.message
    except ValidationError:
        return f"status {answer.status_code}."
