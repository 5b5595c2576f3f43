"""The trainer's commands as a person types them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.model_folder import list_models, read_active, write_active
from shared.schemas.wire import SLOTS


class Commands:
    """Runs `python -m trainer` with folders of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.models, self.runs = folder / "models", folder / "runs"

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        output, errors = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    def start(self, *words: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "TRAINER_MODELS_DIR": str(self.models),
            "TRAINER_RUNS_DIR": str(self.runs),
            "TRAINER_DEVICE": "cpu",
        }
        command = [sys.executable, "-m", "trainer", *words]
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # whatever a shell starts with `&` ignores Ctrl-C, and so would what the tests start
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )


@pytest.fixture
def trainer(tmp_path: Path) -> Commands:
    return Commands(tmp_path)


def test_a_network_is_trained_promoted_measured_and_shown(trainer: Commands, drawn_dataset: Path) -> None:
    data = ("--data", str(drawn_dataset))
    small = ("--epochs", "1", "--size", "16", "--batch-size", "32", "--no-flip")
    done = trainer("train", *data, "--view", "upper", "--name", "mine", *small)
    assert done.returncode == 0, done.stderr
    ((version, card),) = list_models(trainer.models)
    assert f"finished: {version}" in done.stdout
    assert card.training["request"]["settings"]["flip"] is False  # type: ignore[union-attr]

    assert trainer("promote", version, "--slots", "upper", "left").returncode == 0
    assert read_active(trainer.models) == {"upper": version, "left": version}

    measured = trainer("evaluate", version, *data, "--views", "upper", "diagonal", "--json")
    figures = json.loads(measured.stdout)
    assert figures["upper"] == card.metrics["test"]["upper"]  # type: ignore[union-attr]
    assert figures["diagonal"]["count"] == 21

    table = trainer("table").stdout.splitlines()
    assert [line.split(" | ")[:2] for line in table[2:]] == [["| upper", version], ["| left", version]]


def test_a_version_from_which_one_fine_tunes_gives_the_start(
    trainer: Commands, models_dir: Path, drawn_dataset: Path
) -> None:
    shutil.copytree(models_dir, trainer.models)
    ((version, _),) = list_models(models_dir)
    words = ("--data", str(drawn_dataset), "--view", "left", "--base-model", version, "--epochs", "1", "--size", "16")
    done = trainer("train", *words)
    assert done.returncode == 0, done.stderr
    assert {card.view for _, card in list_models(trainer.models)} == {"five", "left"}  # type: ignore[union-attr]


def test_a_fine_tuning_has_the_shape_and_the_size_of_what_it_starts_from(
    trainer: Commands, drawn_dataset: Path
) -> None:
    words = ("train", "--data", str(drawn_dataset), "--epochs", "1", "--batch-size", "32")
    shape = {"architecture": "resnet18", "max_pool": True, "width": 0.25, "small_stem": True}
    made = trainer(*words, "--name", "narrow", "--width", "0.25", "--small-stem", "--max-pool", "--size", "16")
    assert made.returncode == 0, made.stderr
    ((version, _),) = list_models(trainer.models)
    done = trainer(*words, "--name", "second", "--base-model", version)
    assert done.returncode == 0, done.stderr
    cards = dict(list_models(trainer.models)).values()
    assert [card.fixed_by_weights for card in cards] == [shape, shape]  # type: ignore[union-attr]
    assert {card.input.size for card in cards} == {16}  # type: ignore[union-attr]
    refused = trainer(*words, "--base-model", version, "--no-max-pool")
    assert f"{version} was trained with the stem's max-pool; choose that" in refused.stdout
    done = trainer(*words, "--name", "third", "--base-model", version, "--width", "0.5")
    assert done.returncode == 0, done.stderr
    (wider,) = [card for _, card in list_models(trainer.models) if card and card.name == "third"]
    assert wider.fixed_by_weights == shape | {"width": 0.5}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("train", "--data", "absent.zip"), "There is no data set at"),
        (("train", "--data", "absent.zip", "--epochs", "none"), "The setting epochs must be a whole number"),
        (("promote", "first/9", "--slots", "full"), "There is no model 'first/9'"),
        (("rollback", "full"), "No earlier version of full can serve"),
        (("archive", "first/9"), "There is no model 'first/9'"),
        (("resume", "nothing"), "There is no job 'nothing'"),
        (("evaluate", "nonsense", "--data", "absent.zip"), "is not a model"),
        (("study-report", "--data", "absent.zip"), "The study needs a model in every slot; none serves full, upper"),
        (("study-report", "--data", "absent.zip", "--robustness-images", "-1"), "give a whole number from 0 on"),
        (("study-verify", "--data", "absent.zip"), "There is no study at study.json; make it with"),
        (("table", "--write", "absent.md"), "absent.md cannot be read"),
        (("evaluate", "full/7", "--data", "absent.zip", "--report", __file__), f"{__file__}: File exists."),
        (("worker",), "Set TRAINER_REDIS_URL"),
    ],
    ids=[
        "no data",
        "bad setting",
        "no model",
        "nothing before",
        "nothing to archive",
        "no run",
        "bad name",
        "no models to study",
        "bad number of images",
        "no study to verify",
        "no file to write to",
        "a file where the report should be",
        "no queue",
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(trainer: Commands, words: tuple[str, ...], sentence: str) -> None:
    done = trainer(*words)
    assert done.returncode != 0
    assert sentence in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_study_that_is_stopped_keeps_its_answers_and_a_verification_asks_the_files_anew(
    trainer: Commands, models_dir: Path, drawn_dataset: Path
) -> None:
    shutil.copytree(models_dir, trainer.models)
    ((version, _),) = list_models(models_dir)
    write_active(trainer.models, dict.fromkeys(SLOTS, version))
    data = ("--data", str(drawn_dataset))

    stopped = trainer.start("study-report", *data, "--robustness-images", "1")
    answers = trainer.runs / ".study-answers"
    while len(kept := set(answers.glob("*.npy"))) < 3:
        assert stopped.poll() is None, stopped.communicate()
        time.sleep(0.05)
    stopped.send_signal(signal.SIGINT)
    words, complaints = stopped.communicate()
    assert stopped.returncode == 130, complaints
    assert "the same command goes on from there" in words
    assert "Traceback" not in complaints

    before = {path: path.stat().st_mtime_ns for path in kept}
    done = trainer("study-report", *data, "--robustness-images", "1")
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert (trainer.models / "study_answers.npz").is_file()

    for path in answers.glob("*.npy"):
        path.write_bytes(b"not asked for")
    verified = trainer("study-verify", *data)
    assert verified.returncode == 0, verified.stderr
    assert (
        "60 cells are those of the study" in verified.stdout
    )  # two parts: drawn faces are not named Public or Private
    assert not (trainer.runs / ".study-verify").exists()
