"""The README says what the study says, or the cards where there is no study."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from shared.schemas.jobs import JobRequest
from trainer import __main__ as command_line
from trainer.tables import BEGIN, END, readme_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_table_is_the_one_that_the_command_prints() -> None:
    match = re.search(f"{BEGIN}\n(.*?)\n{END}", README, re.DOTALL)
    assert match
    assert match[1] == readme_table(ROOT / "models"), "run python -m trainer table --write README.md"


def test_every_file_that_it_names_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_command_of_the_trainer_is_one_that_it_takes() -> None:
    text = README.replace("\\\n", " ")
    commands = re.findall(r"^(?:\.venv/bin/)?(?:python|torchrun .*?) -m trainer (.*)$", text, re.MULTILINE)
    assert len(commands) > 12
    for command in commands:
        words = shlex.split(command.replace("<version>", "1").replace("<run>", "a-run"), comments=True)
        assert command_line._parser().parse_args(words).command == words[0]


def test_the_settings_of_make_study_are_settings() -> None:
    (words,) = re.findall(r"^STUDY \?= (.*)$", (ROOT / "Makefile").read_text().replace("\\\n", " "), re.MULTILINE)
    parsed = command_line._parser().parse_args(["study", "--data", "fer2013.zip", *shlex.split(words)])
    given = command_line._given_settings(parsed)
    assert JobRequest.model_validate({"kind": "study", "dataset": "fer2013.zip", "settings": given}).settings.small_stem


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_can_be_started(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    told = subprocess.run(
        [sys.executable, path, "--help"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert told.returncode == 0, told.stderr
    assert "usage:" in told.stdout


def test_architecture_stays_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= 80
