"""Two machines that share a storage: the gateway's, with `Sync`, and a worker's, with folders of its own."""

from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from shared.run_folder import QUEUE_NAMES, RunFolder, RunState
from shared.schemas.jobs import JobRequest, JobState
from tests.unit.gateway.folders import write_small_model
from trainer.settings import Settings
from trainer.storage.store import open_storage
from trainer.storage.sync import Sync


@dataclass(frozen=True)
class Machine:
    """A machine's folders."""

    settings: Settings

    @property
    def runs(self) -> Path:
        return self.settings.runs_dir

    @property
    def models(self) -> Path:
        return self.settings.models_dir

    def copy(self, run: RunFolder) -> RunFolder:
        """Return the run's folder on this machine."""
        return RunFolder(self.runs / run.id)

    def train(self, run: RunFolder, step: int = 1) -> None:
        """Write what a training writes, up to a checkpoint."""
        mine = self.copy(run)
        mine.set_state(RunState(state=JobState.RUNNING))
        (mine.path / "checkpoints").mkdir(exist_ok=True)
        (mine.path / "checkpoints" / f"step-{step}.safetensors").write_text("x" * step)

    def finish(self, run: RunFolder) -> str:
        """Write what a training writes at its end, a model too; return its id."""
        model = write_small_model(self.models, run.id).id
        self.copy(run).set_state(RunState(state=JobState.FINISHED, model=model))
        return model


class Home(Machine):
    """The gateway's machine."""

    def submit(self, **request: object) -> RunFolder:
        """Make a run as the gateway does, but leave the queue out."""
        return RunFolder.create(self.runs, JobRequest.model_validate({"dataset": "drawn", "view": "full", **request}))

    def sync(self, queue_url: str) -> Sync:
        """Return its side of the storage, as the command starts it."""
        connection = Redis.from_url(queue_url)
        connection.flushdb()
        (self.runs / ".sync").mkdir(parents=True, exist_ok=True)
        queues = [Queue(name, connection=connection, serializer=JSONSerializer) for name in QUEUE_NAMES]
        return Sync(self.settings, open_storage(self.settings), queues)
