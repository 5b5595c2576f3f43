"""Programs are started, told apart and ended with everything that they started."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from scripts import processes
from scripts.processes import Service, stop_all
from scripts.stack_settings import ROOT

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
FAMILY = """
import os, time
if os.fork() == 0:
    os.setpgrp()  # as RQ's work-horses do
    print('up', flush=True)
time.sleep(600)
"""

MakeService = Callable[[str, str], Service]


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[MakeService]:
    """Give a maker of services that run a Python text; ends them all after the test."""
    made: list[Service] = []

    def make(name: str, code: str) -> Service:
        log = tmp_path / "logs" / f"{name}.log"
        service = Service(name, [sys.executable, "-c", code], log=log, environment=dict(os.environ))
        made.append(service)
        return service

    yield make
    for service in made:
        service.kill()


def wait_until(condition: Callable[[], bool]) -> None:
    while not condition():  # the test's own time limit ends it
        time.sleep(0.05)


def start(service: Service) -> None:
    service.start()
    wait_until(lambda: "up" in service.tail())


def test_stopped_programs_leave_no_process(make_service: MakeService) -> None:
    services = [make_service("one", SLEEPER), make_service("two", SLEEPER)]
    for service in services:
        start(service)
    assert stop_all(services, patience_s=60) == []
    assert [service.members() for service in services] == [[], []]
    assert [service.exit_code() for service in services] == [-signal.SIGTERM] * 2


def test_a_child_in_another_process_group_is_ended_too(make_service: MakeService) -> None:
    service = make_service("family", FAMILY)
    start(service)
    assert len(service.members()) == 2
    assert stop_all([service], patience_s=0.5) == ["family"]
    assert service.members() == []


def test_a_program_that_ignores_sigterm_is_killed_and_named(make_service: MakeService) -> None:
    polite, stubborn = make_service("polite", SLEEPER), make_service("stubborn", STUBBORN)
    for service in (polite, stubborn):
        start(service)
    assert stop_all([polite, stubborn], patience_s=1) == ["stubborn"]
    assert stubborn.exit_code() == -signal.SIGKILL


def test_somebody_in_a_hurry_does_not_wait_for_the_stubborn(make_service: MakeService) -> None:
    stubborn = make_service("stubborn", STUBBORN)
    start(stubborn)
    assert stop_all([stubborn], patience_s=100_000, hurry=lambda: True) == ["stubborn"]


def test_a_program_that_never_started_can_be_stopped(make_service: MakeService) -> None:
    service = make_service("never", SLEEPER)
    assert stop_all([service], patience_s=1) == []
    assert service.pid == 0


def test_new_output_gives_each_whole_line_once(make_service: MakeService) -> None:
    service = make_service("talker", "print('a\\nb'); print('half', end='')")
    service.start()
    wait_until(lambda: service.exit_code() is not None)
    assert service.new_output() == ["a", "b"]
    assert service.new_output() == []
    assert service.tail(1) == "half"


def test_a_log_that_has_grown_large_is_put_aside_and_begun_anew(make_service: MakeService) -> None:
    service = make_service("talker", "for line in range(3): print(line)")
    service.start()
    wait_until(lambda: service.exit_code() is not None)
    service.shorten_log(6)
    assert service.log.read_text() == "0\n1\n2\n"
    service.shorten_log(5)
    assert service.log.read_text() == ""
    assert service.log.with_suffix(".log.1").read_text() == "0\n1\n2\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel ends a child with its parent")
def test_a_killed_parent_takes_its_programs_along(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
from scripts.processes import Service
service = Service("sleeper", [sys.executable, "-c", {SLEEPER!r}], log=Path({str(tmp_path)!r}) / "log", environment={{}})
service.start()
print(service.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        wait_until(lambda: "up" in (tmp_path / "log").read_text())
        parent.kill()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_ports_that_are_handed_out_differ_and_one_in_use_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken, free = listener.getsockname()[1], processes.free_port()
        monkeypatch.setattr(processes, "PORTS", [taken, free])

        assert [processes.free_port() for _ in range(3)] == [free] * 3
    monkeypatch.undo()
    assert len({processes.free_port() for _ in range(20)}) == 20
