"""The commands that change and show what serves, over real small networks."""

import argparse
import getpass
from pathlib import Path

import numpy as np
import pytest

from shared.errors import ModelChangeError, SelfTestError
from shared.model_folder import read_active, read_active_models, write_model
from tests.unit.inference.small_models import projection, write_projection
from trainer import model_commands


def measured(accuracy: float) -> dict[str, object]:
    """Return a card's metrics: this accuracy on whole faces."""
    return {"test": {"full": {"accuracy": accuracy}}}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Give a models folder with small/1 and small/2, measured on the same data."""
    folder, data = tmp_path / "models", {"fingerprint": "abc"}
    write_projection(folder, "small/1", projection(1), data=data, metrics=measured(0.5))
    write_projection(folder, "small/2", projection(2), data=data, metrics=measured(0.523))
    return folder


def run(models: Path, *words: str) -> None:
    """Do a command as it is typed after `python -m trainer`."""
    parser = argparse.ArgumentParser()
    model_commands.add_commands(parser.add_subparsers(dest="command"))
    assert model_commands.run(parser.parse_args(words), models) == 0


def test_a_version_is_promoted_and_rolled_back_by_the_login(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(models, "promote", "small/1", "--slots", "full", "left")
    run(models, "promote", "small/2", "--slots", "full")
    run(models, "rollback", "full")

    assert read_active(models) == {"full": "small/1", "left": "small/1"}
    assert {change.by for change in read_active_models(models).history} == {getpass.getuser()}
    assert capsys.readouterr().out.splitlines()[-1] == "small/1 serves full"


def test_a_version_is_archived_and_restored(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(models, "archive", "small/2")
    with pytest.raises(ModelChangeError, match="is archived; restore it"):
        run(models, "promote", "small/2", "--slots", "full")
    capsys.readouterr()
    run(models, "models")
    assert "small/2" not in capsys.readouterr().out
    run(models, "models", "--archived")
    assert "small/2; archived" in capsys.readouterr().out

    run(models, "restore", "small/2")
    assert read_active_models(models).archived == ()


@pytest.mark.parametrize("kind", ["other logits", "no network", "not finite"])
def test_a_version_that_fails_its_self_test_is_refused_and_the_old_one_stays(
    models: Path, tmp_path: Path, kind: str
) -> None:
    run(models, "promote", "small/1", "--slots", "full")
    if kind == "no network":
        text = tmp_path / "text"
        text.write_text("no network")
        card = write_projection(models, "small/3", projection(3))
        write_model(models, {"model.onnx": text}, {**card.model_dump(), "name": "bad"})
    else:
        network = projection(3)
        weights = network.graph.initializer[0]
        if kind == "not finite":
            weights.raw_data = np.full(len(weights.raw_data) // 4, np.inf, np.float32).tobytes()
        write_projection(models, "bad/3", network, self_test={"full": (9.0,) * 7})

    with pytest.raises(SelfTestError, match=r"^bad/3 "):
        run(models, "promote", "bad/3", "--slots", "full")
    assert read_active(models) == {"full": "small/1"}


def test_versions_are_listed_with_their_difference_from_what_serves(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(models, "promote", "small/1", "--slots", "full", "left")
    write_projection(models, "small/3", projection(3))
    (models / "small/3/card.json").write_text("{")
    capsys.readouterr()

    run(models, "models")

    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "small/1; serves full, left; full 50.0 %"
    assert second == "small/2; full 52.3 % (+2.3)"
    assert third.startswith("small/3; cannot be used: ")


def test_the_history_tells_who_did_what_newest_first(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(models, "history")
    assert capsys.readouterr().out == "Nobody has changed what serves yet.\n"
    for version in ("small/1", "small/2"):
        run(models, "promote", version, "--slots", "full")
    run(models, "rollback", "full")
    run(models, "archive", "small/2")
    capsys.readouterr()

    run(models, "history", "--limit", "3")

    who = getpass.getuser()
    assert [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()] == [
        f"{who}: archived small/2",
        f"{who}: full rolled back to small/1 (before: small/2)",
        f"{who}: full promoted small/2 (before: small/1)",
    ]


def test_an_empty_folder_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "models")

    assert capsys.readouterr().out == f"There is no model in {tmp_path}.\n"
