"""A small real worker: `python small_worker.py <queue url> <runs folder>`.

What it guarantees: it is RQ's own worker, with the JSON serializer, on the trainer's queues. Its `trainer.jobs.run`
does with the run's folder what the trainer does (its lock, running, then cancelled once somebody asks), and trains
nothing.
"""

import sys
import time
import types
from pathlib import Path

from redis import Redis
from rq import Worker
from rq.serializers import JSONSerializer

from shared.run_folder import QUEUE_NAMES, RunFolder, RunState, utc_now
from shared.schemas.jobs import JobState
from trainer.run_lock import only_one


def run(run_id: str) -> None:
    """Run until somebody asks to cancel."""
    folder = RunFolder.open(Path(sys.argv[2]), run_id)
    started = utc_now()
    with only_one(folder):
        folder.set_state(RunState(state=JobState.RUNNING, started=started))
        while not folder.cancel_asked():
            time.sleep(0.05)
        folder.set_state(RunState(state=JobState.CANCELLED, started=started, ended=utc_now()))


if __name__ == "__main__":
    jobs = types.ModuleType("trainer.jobs")
    jobs.run = run  # type: ignore[attr-defined]
    sys.modules["trainer.jobs"] = jobs
    connection = Redis.from_url(sys.argv[1])
    Worker(QUEUE_NAMES, connection=connection, serializer=JSONSerializer).work(logging_level="WARNING")
