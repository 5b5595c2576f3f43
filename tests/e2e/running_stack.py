"""The stack under test, as a user sees it: its addresses, its folders, its logs."""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests


@dataclass(frozen=True)
class RunningStack:
    """The addresses and folders of the stack, and its first process."""

    process: subprocess.Popen[str]
    gateway_url: str
    page_url: str
    folder: Path
    announcement: str

    def get(self, path: str) -> Any:
        """Return the gateway's answer, parsed."""
        answer = requests.get(self.gateway_url + path, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def key(self) -> str:
        """The key that the first start shows."""
        (key,) = re.findall(r"^ +(hf_\S+)$", self.announcement, re.MULTILINE)
        return str(key)

    def post(self, path: str, **kwargs: Any) -> requests.Response:
        """Return the gateway's answer to a request with the key."""
        headers = {"Authorization": f"Bearer {self.key}", **kwargs.pop("headers", {})}
        return requests.post(self.gateway_url + path, timeout=120, headers=headers, **kwargs)

    def wait_for_job(self, job_id: str, condition: Callable[[Any], bool]) -> Any:
        """Return the job once `condition` holds; fails where it ends otherwise. The test's time limit ends the wait."""
        while not condition(job := self.get(f"/v1/jobs/{job_id}")):
            ended = job["state"] in {"finished", "failed", "cancelled"}
            assert not ended, f"{job['state']}: {job['message']}\n{self.log('worker')}"
            time.sleep(0.3)
        return job

    def log(self, service: str) -> str:
        """Return the end of a service's log."""
        return "\n".join((self.folder / "runs/logs" / f"{service}.log").read_text().splitlines()[-40:])
