"""What goes wrong before anything starts is said in a sentence; services get the same addresses and folders."""

import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from redis import Redis

from scripts import up as up_module
from scripts.first_key import make_first_key
from scripts.processes import Service, free_port
from scripts.stack import Stack, StackError
from scripts.stack_settings import ROOT, Settings
from scripts.up import (
    alone_in,
    bring_release,
    describe,
    make_stack,
    prepare_folders,
    python_services,
    queue_answers,
    require_free_ports,
    run,
    start,
)
from shared.model_folder import read_active
from shared.validation import explain_environment


def settings(**given: Any) -> Settings:
    ports = {f"{name}_port": free_port() for name in ("gateway", "inference", "frontend")}
    return Settings(_env_file=None, **{**ports, **given})


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Give a port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_named_with_the_variable_that_changes_it(taken_port: int) -> None:
    with pytest.raises(StackError, match=f"Port {taken_port} is taken; set GATEWAY_PORT"):
        require_free_ports(settings(gateway_port=taken_port))


def test_every_taken_port_is_named_at_once(taken_port: int) -> None:
    with pytest.raises(StackError, match=r"(?s)set INFERENCE_PORT.*set FRONTEND_PORT"):
        require_free_ports(settings(inference_port=taken_port, frontend_port=taken_port))


def test_a_port_that_is_given_twice_is_named() -> None:
    port = free_port()
    with pytest.raises(StackError, match=r"(?s)set GATEWAY_PORT.*set INFERENCE_PORT"):
        require_free_ports(settings(gateway_port=port, inference_port=port))


def test_nothing_is_started_where_a_port_is_taken(taken_port: int, tmp_path: Path) -> None:
    folders = {f"{name}_DIR": str(tmp_path / name.lower()) for name in ("RUNS", "DATA", "MODELS")}
    environment = {"FRONTEND_PORT": str(taken_port), "ENV_FILE": os.devnull, **folders}
    up = subprocess.run(
        [sys.executable, "-m", "scripts.up"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert up.returncode == 1
    assert f"Port {taken_port} is taken; set FRONTEND_PORT" in up.stderr
    assert "Traceback" not in up.stderr
    assert not list((tmp_path / "runs" / "logs").iterdir())


def test_a_second_stack_is_told_of_the_first_and_not_of_its_ports(taken_port: int, tmp_path: Path) -> None:
    folders = {f"{name}_dir": tmp_path / name for name in ("runs", "data", "models")}
    prepared = settings(gateway_port=taken_port, **folders)
    prepare_folders(prepared)
    with alone_in(tmp_path / "runs"), pytest.raises(StackError, match="Another stack uses"):
        run(prepared)


def test_an_address_that_is_not_this_machines_is_named_with_its_variable() -> None:
    with pytest.raises(StackError, match=r"GATEWAY_HOST cannot be 192\.0\.2\.1: "):
        require_free_ports(settings(gateway_host="192.0.2.1"))


@pytest.mark.parametrize(
    ("number", "port", "sentence"),
    [
        (errno.EADDRINUSE, 65_500, "such as GATEWAY_PORT=65400 make up"),
        (errno.EADDRINUSE, 5001, "such as GATEWAY_PORT=5101 make up"),
        (errno.EACCES, 80, "set GATEWAY_PORT to one from 1024 on"),
    ],
)
def test_the_port_that_is_advised_is_one_that_can_be_had(
    number: int, port: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trouble = OSError(number, os.strerror(number))
    monkeypatch.setattr(up_module, "why_not_free", lambda host, asked: trouble if asked == port else None)
    with pytest.raises(StackError, match=sentence):
        require_free_ports(settings(gateway_port=port))


def test_a_file_of_settings_that_is_not_there_is_named(tmp_path: Path) -> None:
    environment = {"ENV_FILE": str(tmp_path / "absent.env"), "RUNS_DIR": str(tmp_path / "runs")}
    up = subprocess.run(
        [sys.executable, "-m", "scripts.up"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (up.returncode, up.stderr) == (1, f"There is no {tmp_path / 'absent.env'}, which ENV_FILE names.\n")


def test_a_runs_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / ".up.lock").mkdir()
    with pytest.raises(StackError, match=r"The folder .* cannot be used: "), alone_in(tmp_path):
        pass


def test_a_second_stack_in_the_same_runs_folder_is_refused(tmp_path: Path) -> None:
    prepared = settings(runs_dir=tmp_path / "runs", data_dir=tmp_path / "data", models_dir=tmp_path / "models")
    prepare_folders(prepared)
    with (
        alone_in(tmp_path / "runs"),
        pytest.raises(StackError, match="Another stack uses"),
        alone_in(tmp_path / "runs"),
    ):
        pass


def test_a_new_models_folder_gets_the_release_and_one_that_somebody_filled_is_left_alone(tmp_path: Path) -> None:
    new, filled = settings(models_dir=tmp_path / "new"), settings(models_dir=tmp_path / "filled")
    for each in (new, filled):
        each.models_dir.mkdir()
    (filled.models_dir / "mine").mkdir()
    for each in (new, filled, new):
        bring_release(each)
    assert read_active(new.models_dir) == read_active(ROOT / "models")
    assert [path.name for path in filled.models_dir.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match=r"file/runs.* cannot be made"):
        prepare_folders(settings(runs_dir=tmp_path / "file" / "runs"))


def test_a_variable_that_cannot_be_used_is_named_without_library_text() -> None:
    with pytest.raises(ValidationError) as caught:
        settings(gateway_port="five")
    assert explain_environment(caught.value) == "GATEWAY_PORT must be a whole number."


def test_a_queue_server_that_does_not_answer_is_refused_before_the_start() -> None:
    given = settings(redis_url=f"redis://:secret@127.0.0.1:{free_port()}/0")
    with pytest.raises(StackError, match="REDIS_URL names does not answer") as caught:
        make_stack(given)
    assert "secret" not in str(caught.value)


def test_the_embedded_queue_answers_and_keeps_what_it_was_given(tmp_path: Path) -> None:
    found = []
    for value in (b"given", None):
        stack = make_stack(settings(runs_dir=tmp_path))
        stack.phases = stack.phases[:1]
        stack.start()
        (queue,) = stack.services
        url = f"redis://127.0.0.1:{queue.command[queue.command.index('--port') + 1]}/0"
        assert queue_answers(url)
        with Redis.from_url(url) as connection:
            if value:
                connection.set("kept", value)
            found.append(connection.get("kept"))
        stack.stop()
        assert queue.members() == []
    assert found == [b"given", b"given"]


def test_the_first_key_is_shown_once_and_lies_beside_the_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_ADMIN_KEY", raising=False)
    given = settings(runs_dir=tmp_path / "runs")
    assert re.search(r"^ +hf_\w{8}_[\w-]{43}$", make_first_key(given), re.MULTILINE)
    assert (tmp_path / "runs" / "keys.json").is_file()
    assert make_first_key(given) == ""


def test_a_key_that_cannot_be_used_is_refused_before_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ADMIN_KEY", "my-password")
    with pytest.raises(StackError, match="GATEWAY_ADMIN_KEY is no strong key") as caught:
        make_first_key(settings(runs_dir=tmp_path))
    assert "my-password" not in str(caught.value)


def test_the_first_key_is_said_also_where_the_start_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    failing = Service("failing", [sys.executable, "-c", "raise SystemExit(3)"], log=tmp_path / "log", environment={})
    failing.is_ready = lambda _: False
    stack = Stack([[failing]], start_timeout_s=60)
    with pytest.raises(StackError, match="exit code 3"):
        start(stack, "the key")
    stack.stop()
    assert "the key" in capsys.readouterr().out


def test_an_admin_key_of_the_environment_reaches_the_gateway_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_ADMIN_KEY", "hf_...")
    services = python_services(settings(), "redis://127.0.0.1:7000/0")
    assert [service.name for service in services if "GATEWAY_ADMIN_KEY" in service.environment] == ["gateway"]


def test_what_keeps_a_storage_in_step_is_started_where_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def names() -> list[str]:
        return [service.name for service in python_services(settings(), "redis://127.0.0.1:7000/0")]

    monkeypatch.delenv("TRAINER_STORAGE_URL", raising=False)
    assert "sync" not in names()
    monkeypatch.setenv("TRAINER_STORAGE_URL", "s3://bucket/halfface")
    assert names()[-1] == "sync"


def test_services_that_belong_together_get_the_same_addresses_and_folders(tmp_path: Path) -> None:
    given = settings(gateway_port=6001, gateway_host="::", models_dir=tmp_path, runs_dir=Path("elsewhere"))
    environment = given.environment("redis://127.0.0.1:7000/0")
    assert environment["FRONTEND_GATEWAY_URL"] == "http://127.0.0.1:6001"
    assert environment["GATEWAY_HOST"] == "::"
    assert settings(gateway_host="::1", gateway_port=6001).url("gateway") == "http://[::1]:6001"
    assert {environment[f"{service}_MODELS_DIR"] for service in ("INFERENCE", "GATEWAY", "TRAINER")} == {str(tmp_path)}
    assert environment["TRAINER_RUNS_DIR"] == environment["GATEWAY_RUNS_DIR"] == str(ROOT / "elsewhere")
    assert environment["TRAINER_REDIS_URL"] == environment["GATEWAY_REDIS_URL"] == "redis://127.0.0.1:7000/0"


def test_the_announcement_says_where_to_put_data_while_there_is_none(tmp_path: Path) -> None:
    given = settings(data_dir=tmp_path, frontend_port=9001)
    assert f"into {tmp_path} to train" in describe(given)
    assert "http://127.0.0.1:9001" in describe(given)
    (tmp_path / "fer2013.zip").touch()
    assert "none yet" not in describe(given)
