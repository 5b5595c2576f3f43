"""Who waits for an answer goes on waiting while there is a sign of life."""

import threading
import time

import pytest

from services.gateway.patience import HangsError, wait_for


def never(since_s: float) -> bool:
    """Say that there is a sign of life."""
    return False


def test_an_answer_is_returned() -> None:
    assert wait_for(lambda: 7, never, 60) == 7


@pytest.mark.parametrize("error", [TimeoutError, ValueError])
def test_an_error_is_raised_where_it_was_waited_for(error: type[Exception]) -> None:
    def ask() -> int:
        raise error("told")

    with pytest.raises(error, match="told"):
        wait_for(ask, never, 60)


def test_a_slow_answer_is_waited_for_while_there_is_a_sign_of_life() -> None:
    go_on, looked = threading.Event(), list[float]()

    def alive(since_s: float) -> bool:
        looked.append(since_s)
        if len(looked) == 3:
            go_on.set()
        return False

    assert wait_for(lambda: go_on.wait(60), alive, 0.01) is True
    assert len(looked) >= 3
    assert looked == sorted(looked)


def test_without_a_sign_of_life_the_wait_ends() -> None:
    go_on = threading.Event()

    with pytest.raises(HangsError):
        wait_for(lambda: go_on.wait(60), lambda since_s: True, 0.01)
    go_on.set()


def test_an_answer_that_comes_while_somebody_looks_counts() -> None:
    asked, looked = threading.Event(), threading.Event()

    def looks_in_vain(since_s: float) -> bool:
        looked.set()
        asked.wait(60)
        return True

    def ask() -> int:
        looked.wait(60)
        return 7

    answers = list[int]()
    waiting = threading.Thread(target=lambda: answers.append(wait_for(ask, looks_in_vain, 0.01)))
    waiting.start()
    looked.wait(60)
    while any(thread.name == "ask" for thread in threading.enumerate()):
        time.sleep(0.01)
    asked.set()
    waiting.join()

    assert answers == [7]
