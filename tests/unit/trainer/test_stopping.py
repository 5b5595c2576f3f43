"""Work without steps of its own is left soon after somebody wishes to stop, and what follows it is not."""

import contextlib
import signal
import sys
import threading
import time

import pytest

from trainer.errors import Stopped
from trainer.stopping import SIGNAL, stoppable, unbroken


def work() -> None:
    """Work for ever, as a library does that catches every exception of its own."""
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.01)


def test_work_that_would_never_end_is_left_with_a_sentence() -> None:
    with (
        pytest.raises(Stopped, match="Stopped while reading; what was done before is kept"),
        stoppable(always, "reading"),
    ):
        work()


def test_nothing_is_left_behind_once_the_block_is_over() -> None:
    before = signal.getsignal(SIGNAL)
    with pytest.raises(Stopped), stoppable(always, "reading"):
        work()
    with stoppable(lambda: False, "reading"):
        assert signal.getsignal(SIGNAL) != before
    assert signal.getsignal(SIGNAL) == before
    assert "stop" not in [thread.name for thread in threading.enumerate()]


def test_a_wish_that_comes_later_is_heeded_too() -> None:
    wished = threading.Event()
    timer = threading.Timer(0.2, wished.set)
    timer.start()
    with pytest.raises(Stopped), stoppable(wished.is_set, "reading"):
        work()
    timer.join()


def test_a_wish_that_strikes_a_destructor_comes_again_and_nobody_is_told_of_the_first() -> None:
    before, struck = sys.unraisablehook, []

    class Long:
        def __del__(self) -> None:
            try:
                work()
            except BaseException:
                struck.append(True)
                raise

    def read() -> None:
        thing = Long()
        del thing
        work()

    with pytest.raises(Stopped), stoppable(always, "reading"):
        read()
    assert struck == [True]
    assert sys.unraisablehook == before


def test_an_error_of_a_destructor_is_told_of_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda told_of: told.append(told_of.exc_type))

    class Broken:
        def __del__(self) -> None:
            raise ValueError

    with stoppable(lambda: False, "reading"):
        thing = Broken()
        del thing
    assert told == [ValueError]


def test_what_must_not_be_broken_off_is_done_to_its_end_and_the_wish_is_heeded_after_it() -> None:
    asked, done = threading.Event(), []

    def stop_asked() -> bool:
        asked.set()
        return True

    def export() -> None:
        with unbroken():
            assert asked.wait(10)
            time.sleep(0.1)  # the signal is here by now
            done.append("export")
        work()

    with pytest.raises(Stopped), stoppable(stop_asked, "exporting"):
        export()
    assert done == ["export"]


def test_an_error_of_the_work_itself_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), stoppable(lambda: False, "reading"):
        1 / 0  # noqa: B018


def test_in_another_thread_the_work_is_done_to_its_end() -> None:
    done = []

    def in_thread() -> None:
        with stoppable(always, "reading"):
            done.append(True)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert done == [True]


def always() -> bool:
    return True
