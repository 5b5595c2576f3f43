"""Lost runs where workers are on several machines: judged on the gateway's machine, once its leases have been seen."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rq import Queue
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from shared.run_folder import RunFolder
from trainer.lost_runs import LostRuns

TAKING_S: Final = 10.0
"""A worker elsewhere needs some seconds from the queue to the lease."""


class LostEverywhere(LostRuns):
    """Finds runs that neither a process of this machine nor a worker elsewhere does."""

    def __init__(self, runs_dir: Path, queues: Sequence[Queue]) -> None:
        super().__init__(runs_dir, queues)
        self._connection = queues[0].connection
        self._started_since: dict[str, float] = {}
        self.free: set[str] = set()
        """The runs whose lease nobody has, as of the last look; all others are left alone."""
        self.dead: set[str] = set()
        """Those of them whose worker is known to be dead, or not to come back."""

    def _requeue(self, run: RunFolder) -> bool:
        if run.id not in self.free:
            self._started_since.pop(run.id, None)
            return False
        if run.id not in self.dead and self._is_started(run.id):
            since = self._started_since.setdefault(run.id, time.monotonic())
            if time.monotonic() - since < TAKING_S:
                return False
        self._started_since.pop(run.id, None)
        self.dead.discard(run.id)
        return super()._requeue(run)

    def _is_started(self, run_id: str) -> bool:
        try:
            return Job.fetch(run_id, self._connection, JSONSerializer).get_status() == JobStatus.STARTED
        except (NoSuchJobError, InvalidJobOperation):
            return False
