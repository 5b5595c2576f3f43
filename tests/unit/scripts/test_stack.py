"""Services are started in order, looked after, named when they end, and stopped."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts import stack as stack_module
from scripts.processes import Service
from scripts.stack import RESTARTS, Stack, StackError, stop_signals

SLEEPER = "import time; time.sleep(600)"
MakeService = Callable[[str, str], Service]


@pytest.fixture
def make_service(tmp_path: Path) -> Iterator[MakeService]:
    """Give a maker of services that run a Python text; ends them all after the test."""
    made: list[Service] = []

    def make(name: str, code: str) -> Service:
        log = tmp_path / f"{name}.log"
        made.append(Service(name, [sys.executable, "-c", code], log=log, environment=dict(os.environ)))
        return made[-1]

    yield make
    for service in made:
        service.kill()


def test_a_phase_begins_once_the_one_before_is_ready(make_service: MakeService, tmp_path: Path) -> None:
    flag = tmp_path / "queue is up"
    queue = make_service("queue", f"from pathlib import Path; import time; Path({str(flag)!r}).touch(); {SLEEPER}")
    queue.is_ready = lambda _: flag.exists()
    needy = make_service("needy", f"from pathlib import Path; assert Path({str(flag)!r}).exists(); {SLEEPER}")
    stack = Stack([[queue], [needy]], start_timeout_s=60)
    stack.start()
    assert queue.members()
    assert needy.members()
    stack.stop()
    assert queue.members() + needy.members() == []


def test_a_service_that_ends_at_the_start_is_named_with_the_end_of_its_log(make_service: MakeService) -> None:
    broken = make_service("gateway", "raise SystemExit('Set GATEWAY_REDIS_URL.')")
    broken.is_ready = lambda _: False
    with pytest.raises(StackError, match=r"(?s)The gateway ended \(exit code 1\).*Set GATEWAY_REDIS_URL"):
        Stack([[broken]], start_timeout_s=60).start()


def test_a_service_that_is_never_ready_is_named(make_service: MakeService) -> None:
    slow = make_service("inference", SLEEPER)
    slow.is_ready = lambda _: False
    with pytest.raises(StackError, match="The inference is not ready after 0 s"):
        Stack([[slow]], start_timeout_s=0.1).start()


def test_a_service_that_keeps_ending_is_started_again_three_times(
    make_service: MakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    flaky = make_service("worker", "print('oh no')")
    stack = Stack([[flaky]], start_timeout_s=60, backoff_s=0.01)
    flaky.start()
    with pytest.raises(StackError, match="The worker was started again 3 times in vain"):
        stack.watch()
    assert flaky.restarts == RESTARTS
    assert flaky.tail().count("oh no") == RESTARTS + 1
    assert "oh no" in capsys.readouterr().out


def test_a_signal_ends_the_watch(make_service: MakeService) -> None:
    service = make_service("frontend", SLEEPER)
    service.start()
    stack = Stack([[service]], start_timeout_s=60)
    stack.on_signal(15, None)
    stack.watch()
    stack.stop()
    assert service.members() == []


def test_a_signal_at_the_start_leaves_the_later_phases_alone(make_service: MakeService) -> None:
    queue, needy = make_service("queue", SLEEPER), make_service("needy", SLEEPER)
    stack = Stack([[queue], [needy]], start_timeout_s=60)
    queue.is_ready = lambda _: stack.on_signal(2, None) or True  # type: ignore[func-returns-value]
    stack.start()
    stack.stop()
    assert (queue.pid > 0, needy.pid) == (True, 0)


def test_a_signal_keeps_what_has_ended_from_being_started_again(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = make_service("worker", "pass")
    stack = Stack([[ended]], start_timeout_s=60, backoff_s=600)
    monkeypatch.setattr(stack_module, "say", lambda text="": stack.on_signal(2, None))  # it says that it has ended
    ended.start()
    stack.watch()
    assert ended.restarts == 0
    assert ended.members() == []


def test_hanging_up_ends_nothing_where_it_is_ignored() -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        assert signal.SIGHUP in stop_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        assert stop_signals() == [signal.SIGINT, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)


def test_signals_that_come_together_are_one_wish() -> None:
    stack = Stack([], start_timeout_s=60)
    for _ in range(3):
        stack.on_signal(15, None)
    assert stack.signals == 1


def test_a_second_signal_ends_the_patience_also_if_it_came_before_the_stop(
    make_service: MakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_module, "ONE_WISH_S", -1)
    monkeypatch.setattr(stack_module, "PATIENCE_S", 100_000)  # the signal, and not the patience, ends it
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)"
    service = make_service("frontend", f"{stubborn}; {SLEEPER}")
    service.is_ready = lambda service: "up" in service.tail()
    stack = Stack([[service]], start_timeout_s=60)
    stack.start()
    for _ in range(2):
        stack.on_signal(2, None)
    stack.stop()
    assert service.members() == []


def test_verbose_shows_each_line_under_its_services_name(
    make_service: MakeService, capsys: pytest.CaptureFixture[str]
) -> None:
    talker = make_service("gateway", f"print('hello', flush=True); {SLEEPER}")
    talker.is_ready = lambda service: "hello" in service.tail()
    stack = Stack([[talker]], start_timeout_s=60, verbose=True)
    stack.start()
    stack.stop()
    assert "gateway   | hello" in capsys.readouterr().out
