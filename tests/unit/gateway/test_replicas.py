"""Which replicas there are, whose turn it is, and when one that failed is asked again. Nothing is sent."""

import socket
from dataclasses import dataclass, field
from itertools import islice

import pytest

from services.gateway.replicas import FIRST_ASIDE_S, LONGEST_ASIDE_S, LOOK_UP_S, Replica, Replicas, addresses

URL = "http://inference:5000"


@dataclass
class Names:
    """A name server that answers what it is told: addresses of any name, or none."""

    known: list[str] = field(default_factory=lambda: ["10.0.0.1", "10.0.0.2", "10.0.0.3"])
    asked: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, host: str, port: int) -> list[str]:
        """Return the addresses; raise OSError, as the real one, if there are none."""
        self.asked.append((host, port))
        if not self.known:
            raise socket.gaierror("Name or service not known")
        return self.known


@dataclass
class Clock:
    """A clock that is turned by hand."""

    now_s: float = 100.0

    def __call__(self) -> float:
        """Return its time."""
        return self.now_s


def urls(replicas: Replicas) -> list[str]:
    """Return what one request asks before names are looked up again."""
    return [replica.url for replica in islice(replicas.in_turn(), len(replicas.all()))]


@pytest.fixture
def names() -> Names:
    """Give a name server with three addresses."""
    return Names()


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


@pytest.fixture
def replicas(names: Names, clock: Clock) -> Replicas:
    """Give the replicas behind one name, looked up."""
    three = Replicas([URL], names, clock)
    next(three.in_turn())
    return three


# --- which there are -------------------------------------------------------------------------------------------------


def test_each_address_of_a_name_is_a_replica_that_is_asked_under_the_name(names: Names, clock: Clock) -> None:
    names.known = ["10.0.0.1", "fd00::1"]
    replicas = Replicas(["http://user:word@inference:5000/below"], names, clock)

    list(replicas.in_turn())

    assert replicas.all() == [
        Replica("http://user:word@10.0.0.1:5000/below", "inference:5000"),
        Replica("http://user:word@[fd00::1]:5000/below", "inference:5000"),
    ]
    assert [replica.place for replica in replicas.all()] == ["10.0.0.1:5000", "[fd00::1]:5000"]
    assert names.asked[0] == ("inference", 5000)


def test_an_https_url_is_asked_by_its_name_since_the_certificate_is_for_the_name(names: Names) -> None:
    replicas = Replicas(["https://inference:5000"], names)

    assert set(replicas.in_turn()) == {Replica("https://inference:5000", "inference:5000")}
    assert names.asked == []


def test_several_urls_are_all_asked_and_one_place_counts_once(names: Names) -> None:
    names.known = ["10.0.0.1"]
    replicas = Replicas([URL, URL, "https://other"], names)

    assert sorted(set(urls(replicas))) == ["http://10.0.0.1:5000", "https://other"]
    assert len(replicas.all()) == 2


def test_numbers_are_their_own_address() -> None:
    assert addresses("127.0.0.1", 5000) == ["127.0.0.1"]


def test_a_name_without_an_address_is_asked_as_it_is(names: Names) -> None:
    names.known = []

    assert {replica.url for replica in Replicas([URL], names).in_turn()} == {URL}


def test_what_is_no_name_at_all_is_asked_as_it_is() -> None:
    url = f"http://{'x' * 70}:5000"

    assert {replica.url for replica in Replicas([url]).in_turn()} == {url}


def test_names_are_looked_up_again_after_a_while(replicas: Replicas, names: Names, clock: Clock) -> None:
    names.known = ["10.0.0.2", "10.0.0.4"]
    clock.now_s += LOOK_UP_S - 0.1
    assert next(replicas.in_turn()).url != "http://10.0.0.4:5000"
    assert len(names.asked) == 1

    clock.now_s += 0.2

    assert [replica.url for replica in replicas.all()] == ["http://10.0.0.2:5000", "http://10.0.0.4:5000"]


def test_names_are_looked_up_at_once_when_no_replica_answers(replicas: Replicas, names: Names) -> None:
    asking = replicas.in_turn()
    first_round = {next(asking).url for _ in range(3)}
    names.known = ["10.0.0.9"]

    assert len(first_round) == 3
    assert [replica.url for replica in asking] == ["http://10.0.0.9:5000"]


def test_a_name_server_that_fails_takes_nothing_away(replicas: Replicas, names: Names, clock: Clock) -> None:
    before = replicas.all()
    names.known = []
    clock.now_s += LOOK_UP_S

    assert replicas.all() == before
    assert len(names.asked) == 2


# --- whose turn it is ------------------------------------------------------------------------------------------------


def test_each_request_begins_with_the_next_replica(replicas: Replicas) -> None:
    begun = [next(replicas.in_turn()).url for _ in range(6)]

    assert len(set(begun[:3])) == 3
    assert begun[3:] == begun[:3]


def test_a_request_may_ask_all_of_them_twice(replicas: Replicas) -> None:
    asked = list(replicas.in_turn())

    assert set(asked[:3]) == set(asked[3:]) == set(replicas.all())
    assert len(asked) == 6


def test_one_that_is_set_aside_comes_last_until_it_is_well(replicas: Replicas) -> None:
    failed = replicas.all()[0]

    replicas.set_aside(failed, "test")
    assert [urls(replicas)[-1] for _ in range(6)] == [failed.url] * 6
    assert replicas.all()[-1] == failed

    replicas.mark_well(failed)
    assert failed.url in [urls(replicas)[0] for _ in range(3)]


def test_all_set_aside_are_asked_all_the_same_each_time_beginning_with_another(replicas: Replicas) -> None:
    for replica in replicas.all():
        replicas.set_aside(replica, "test")

    assert len(urls(replicas)) == 3
    assert len({urls(replicas)[0] for _ in range(3)}) == 3


def test_one_that_works_on_fewer_requests_comes_first(replicas: Replicas) -> None:
    busy, idle, other = replicas.all()

    with replicas.at_work(busy), replicas.at_work(busy), replicas.at_work(other):
        assert [urls(replicas) for _ in range(3)] == [[idle.url, other.url, busy.url]] * 3
    assert len({urls(replicas)[0] for _ in range(3)}) == 3


def test_whether_another_one_is_well(replicas: Replicas) -> None:
    first, second, third = replicas.all()
    assert replicas.another_is_well(first)

    replicas.set_aside(second, "test")
    replicas.set_aside(third, "test")

    assert not replicas.another_is_well(first)
    assert replicas.another_is_well(second)


# --- when one is asked again -----------------------------------------------------------------------------------------


def test_one_set_aside_is_checked_by_one_caller_each_time_later_while_it_fails(
    replicas: Replicas, clock: Clock
) -> None:
    failed = replicas.all()[0]
    replicas.set_aside(failed, "test")
    period_s, periods = FIRST_ASIDE_S, []
    for _ in range(7):
        clock.now_s += period_s - 0.1
        assert replicas.to_check() == []
        clock.now_s += 0.1
        assert replicas.to_check() == [failed]
        assert replicas.to_check() == []
        replicas.set_aside(failed, "still away")
        periods.append(period_s)
        period_s = min(2 * period_s, LONGEST_ASIDE_S)

    assert periods[:2] == [FIRST_ASIDE_S, 2 * FIRST_ASIDE_S]
    assert periods[-1] == LONGEST_ASIDE_S


def test_more_failures_at_the_same_time_do_not_make_it_longer(replicas: Replicas, clock: Clock) -> None:
    failed = replicas.all()[0]
    for _ in range(8):
        replicas.set_aside(failed, "test")

    clock.now_s += FIRST_ASIDE_S

    assert replicas.to_check() == [failed]


def test_all_are_checked_where_none_is_well(replicas: Replicas, clock: Clock) -> None:
    for replica in replicas.all():
        replicas.set_aside(replica, "test")

    clock.now_s += FIRST_ASIDE_S

    assert replicas.to_check() == replicas.all()


def test_an_address_that_comes_back_after_it_was_gone_has_a_clean_record(
    replicas: Replicas, names: Names, clock: Clock
) -> None:
    replicas.set_aside(replicas.all()[0], "test")
    for known in (["10.0.0.2"], ["10.0.0.1", "10.0.0.2"]):
        names.known = known
        clock.now_s += LOOK_UP_S
        next(replicas.in_turn())

    assert replicas.to_check() == []
    assert {urls(replicas)[0] for _ in range(2)} == {"http://10.0.0.1:5000", "http://10.0.0.2:5000"}
