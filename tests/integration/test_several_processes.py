"""Two processes that torchrun starts train one job (gloo, CPU): as well as one process, and it survives their death."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from scripts.draw_faces import add_grain, draw_face
from shared.labels import LABELS
from shared.model_folder import Card, list_models
from shared.run_folder import RunFolder
from shared.schemas.jobs import JobRequest, JobState
from shared.schemas.training import TrainSettings
from tests.integration.rooms import saved_step, weights_digest
from trainer.runs import TORN, execute
from trainer.settings import Settings

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # torchrun is slow to start, and it starts four times
TOGETHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
SETTINGS = TrainSettings(
    epochs=10,
    batch_size=16,
    size=16,
    learning_rate=1e-3,
    warmup_steps=4,
    ema_decay=0.5,
    precision="fp32",
    duplicate_similarity=1.01,
    checkpoint_seconds=0.5,
    flip=False,
    shift=0.0,
    rotate_degrees=0.0,
    zoom=0.0,
    contrast=0.0,
    erase=0.0,
)
"""Faces as they are: each process draws its own changes to its faces, which would be another training."""

NOISE = 0.1
"""Of 28 test faces two more or fewer. With other seeds, one process and two end between 0.9 and 1."""


class Together:
    """Starts `python -m trainer` in two processes, with folders of its own."""

    def __init__(self, folder: Path, data: Path) -> None:
        self.runs, self.models, self._data = folder / "runs", folder / "models", data
        self._log = folder / "log.txt"
        self._environment = {
            **os.environ,
            "TRAINER_RUNS_DIR": str(self.runs),
            "TRAINER_MODELS_DIR": str(self.models),
            "TRAINER_DEVICE": "cpu",
            "TRAINER_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        if sys.platform == "linux":
            self._environment["GLOO_SOCKET_IFNAME"] = "lo"  # a machine's own name may lead nowhere

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start two processes with the words of a command."""
        with self._log.open("wb") as log:
            elastic = ("--log-dir", str(self._log.parent / "elastic"))
            command = [sys.executable, *TOGETHER, *elastic, "-m", "trainer", *words, "--data", str(self._data)]
            return subprocess.Popen(command, env=self._environment, stdout=log, stderr=subprocess.STDOUT)

    def train(self) -> subprocess.Popen[bytes]:
        """Start two processes with a new run."""
        return self.start("train", *options(SETTINGS))

    def said(self) -> str:
        """Return what the last command said."""
        return self._log.read_text()

    def resumed_at(self) -> set[int]:
        """Return the steps at which the processes of the last command went on."""
        return {int(step) for step in re.findall(r"resumed at epoch \d+, step (\d+)", self.said())}

    def run(self) -> RunFolder:
        """Return the one run."""
        (run,) = RunFolder.all(self.runs)
        return run


def options(settings: TrainSettings) -> Iterator[str]:
    """Yield the words of a command that give these settings."""
    for name, value in settings.model_dump(exclude_defaults=True).items():
        option = name.replace("_", "-")
        yield from [f"--no-{option}"] if value is False else [f"--{option}", str(value)]


def the_card(models_dir: Path) -> Card:
    """Return the card of the one version."""
    ((_, card),) = list_models(models_dir)
    assert isinstance(card, Card)
    return card


@pytest.fixture(scope="module")
def grainy_faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn faces of each emotion, with other grain in each picture: little to learn, and it can be learnt."""
    folder = tmp_path_factory.mktemp("grainy") / "grainy"
    for label in LABELS:
        faces = [draw_face(label, seed) for seed in (1, 2)]
        for split, count, first in (("train", 16, 0), ("test", 4, 100)):
            (folder / split / label).mkdir(parents=True)
            for index in range(count):
                picture = add_grain(faces[index % 2], 6, first + index)
                picture.save(folder / split / label / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory, grainy_faces: Path) -> Together:
    """A run that two processes have trained, and nobody disturbed."""
    together = Together(tmp_path_factory.mktemp("together"), grainy_faces)
    assert together.train().wait() == 0, together.said()
    return together


def test_two_processes_read_faces_as_well_as_one_does_and_register_one_version(
    together: Together, grainy_faces: Path, tmp_path: Path
) -> None:
    alone = Settings(
        data_dir=grainy_faces.parent, runs_dir=tmp_path / "runs", models_dir=tmp_path / "models", device="cpu"
    )
    run = RunFolder.create(alone.runs_dir, JobRequest(dataset=grainy_faces.name, view="full", settings=SETTINGS))
    assert execute(run, alone).state == JobState.FINISHED
    one, two = the_card(alone.models_dir), the_card(together.models)
    assert two.id == f"full/{together.run().id}"
    assert two.data["fingerprint"] == one.data["fingerprint"]
    first, second = (card.metrics["test"]["full"]["accuracy"] for card in (one, two))
    assert first > 1 - NOISE
    assert second == pytest.approx(first, abs=NOISE)
    assert [row.epoch for row in together.run().metrics()] == [row.epoch for row in run.metrics()]
    assert [row.step for row in together.run().metrics()] == [row.step for row in run.metrics()]


def saving(together: Together, launcher: subprocess.Popen[bytes], after: int) -> RunFolder:
    """Return the run once it has a checkpoint of a later step than `after`."""
    while not RunFolder.all(together.runs) or saved_step(together.run()) <= after:
        assert launcher.poll() is None, together.said()
        time.sleep(0.05)
    return together.run()


def test_a_run_of_two_processes_goes_on_after_the_death_of_one_and_after_sigterm_and_ends_with_the_same_weights(
    together: Together, grainy_faces: Path, tmp_path: Path
) -> None:
    disturbed = Together(tmp_path, grainy_faces)
    launcher = disturbed.train()
    run = saving(disturbed, launcher, 6)
    (follower,) = (child for child in psutil.Process(launcher.pid).children() if child.environ().get("RANK") == "1")
    follower.kill()
    assert launcher.wait() != 0
    assert (run.state().state, run.state().message) == (JobState.INTERRUPTED, TORN)

    step = saved_step(run)
    launcher = disturbed.start("resume", run.id)
    saving(disturbed, launcher, step)
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait() != 0
    assert disturbed.resumed_at() == {step}
    step = saved_step(run)
    assert run.state().state == JobState.INTERRUPTED
    assert f"step {step};" in (run.state().message or "")

    assert disturbed.start("resume", run.id).wait() == 0, disturbed.said()
    assert disturbed.resumed_at() == {step}
    assert weights_digest(disturbed.models, run) == weights_digest(together.models, together.run())
    assert [row.epoch for row in run.metrics()] == list(range(1, SETTINGS.epochs + 1))
