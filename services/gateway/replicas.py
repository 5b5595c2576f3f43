"""The replicas of the inference service: which there are, which are set aside, and whose turn it is.

`docker compose up --scale inference=2` gives one host name two addresses, so the name behind an http URL is looked up
and each of its addresses is a replica. An https URL is one replica, asked by its name: the certificate is for the name.
Nothing here speaks HTTP: the client asks, and tells what came of it.
"""

import logging
import math
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from shared.addresses import in_address

LOOK_UP_S: Final = 5.0
"""How old an address may be: a new replica gets requests within this time. A look-up in Compose's DNS costs little."""

FIRST_ASIDE_S: Final = 2.0
"""How long a replica that failed is left alone: a service needs about that long to start again."""

LONGEST_ASIDE_S: Final = 30.0
"""The time doubles each time a replica is found still away, up to this: one that is back waits no longer."""

_log = logging.getLogger("halfface.gateway.replicas")


@dataclass(frozen=True)
class Replica:
    """One place to send requests to.

    Attributes:
        url: its address, such as http://172.18.0.3:5000.
        host: what the Host header says: the name that was looked up, such as inference:5000.
    """

    url: str
    host: str

    @property
    def place(self) -> str:
        """Address and port, for logs: without a password."""
        return _without_user(urlsplit(self.url).netloc)


@dataclass(frozen=True)
class _Aside:
    """Until when a replica is left alone, by the clock, and how long that was."""

    until_s: float
    period_s: float


def addresses(host: str, port: int) -> list[str]:
    """Return the IPv4 and IPv6 addresses of a host name.

    Raises:
        OSError: it has none, or nobody could be asked.
        ValueError: it is no host name.
    """
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})


class Replicas:
    """The replicas behind some URLs; safe to use from many threads.

    Args:
        urls: http or https.
        look_up: how the addresses of a host name and port are found; as `addresses`.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        urls: Sequence[str],
        look_up: Callable[[str, int], list[str]] = addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._found = {url: [_by_name(url)] for url in urls}  # asked by name until the name is looked up
        self._looked_up_s = -math.inf
        self._aside: dict[Replica, _Aside] = {}
        self._at_work: Counter[Replica] = Counter()
        self._turn = 0
        self._lock = threading.Lock()

    def all(self) -> list[Replica]:
        """Return all replicas, those that are set aside last."""
        self._refresh(LOOK_UP_S)
        with self._lock:
            well, aside = self._split()
        return well + aside

    def in_turn(self) -> Iterator[Replica]:
        """Yield the replicas to ask for one request, best first; end the loop when one has answered.

        First those that are well, of them those that work on the fewest requests, so that few wait for one that hangs;
        then those set aside, in case they are back. Among equals each time another one comes first. If none of them
        answers the names are looked up again, and all come once more.
        """
        self._refresh(LOOK_UP_S)
        yield from self._rotated()
        self._refresh(0)
        yield from self._rotated()

    @contextmanager
    def at_work(self, replica: Replica) -> Iterator[None]:
        """Count a request as one that the replica works on until the block ends."""
        with self._lock:
            self._at_work[replica] += 1
        try:
            yield
        finally:
            with self._lock:
                self._at_work[replica] -= 1
                self._at_work += Counter()  # forgets those without work

    def another_is_well(self, replica: Replica) -> bool:
        """Return whether another replica than this one is well."""
        with self._lock:
            well, _ = self._split()
        return any(each != replica for each in well)

    def set_aside(self, replica: Replica, why: str) -> None:
        """Ask a replica that failed only after all others, until `mark_well`; `why` is for the log."""
        with self._lock:
            if replica not in self._aside:
                self._aside[replica] = _Aside(self._clock() + FIRST_ASIDE_S, FIRST_ASIDE_S)
                _log.warning("a replica of inference is set aside", extra={"replica": replica.place, "why": why})

    def mark_well(self, replica: Replica) -> None:
        """Let a replica have its turn again."""
        with self._lock:
            if self._aside.pop(replica, None):
                _log.info("a replica of inference is back", extra={"replica": replica.place})

    def to_check(self) -> list[Replica]:
        """Return the replicas whose time aside is over, for the caller to find out how they are.

        Each is returned to one caller, and stays aside, for twice the time, until that one says that it is well.
        """
        now_s = self._clock()
        with self._lock:
            _, aside = self._split()
            over = [replica for replica in aside if self._aside[replica].until_s <= now_s]
            for replica in over:
                period_s = min(2 * self._aside[replica].period_s, LONGEST_ASIDE_S)
                self._aside[replica] = _Aside(now_s + period_s, period_s)
        return over

    def _split(self) -> tuple[list[Replica], list[Replica]]:
        """Return the replicas that are well and those set aside. The lock is held."""
        known = list(dict.fromkeys(replica for found in self._found.values() for replica in found))
        return [each for each in known if each not in self._aside], [each for each in known if each in self._aside]

    def _rotated(self) -> list[Replica]:
        with self._lock:
            turn, self._turn = self._turn, self._turn + 1
            well, aside = (_turned(group, turn) for group in self._split())
            return sorted(well, key=lambda each: self._at_work[each]) + aside

    def _refresh(self, older_than_s: float) -> None:
        """Look the names up if that was longer ago; meanwhile others go on with what was known."""
        with self._lock:
            if self._clock() - self._looked_up_s < older_than_s:
                return
            self._looked_up_s = self._clock()
        found = {url: self._behind(url) for url in self._found}
        with self._lock:
            self._found = {url: new or self._found[url] for url, new in found.items()}
            _, aside = self._split()
            self._aside = {replica: self._aside[replica] for replica in aside}

    def _behind(self, url: str) -> list[Replica]:
        """Return the replicas behind a URL; none if its name cannot be looked up."""
        parts = urlsplit(url)
        if parts.scheme != "http":
            return [_by_name(url)]
        try:
            found = self._look_up(parts.hostname or "", parts.port or 80)
        except (OSError, ValueError) as error:
            _log.warning("no address for inference: %s", error, extra={"host": _without_user(parts.netloc)})
            return []
        return [Replica(_with_address(url, address), _by_name(url).host) for address in found]


def _turned(replicas: list[Replica], turn: int) -> list[Replica]:
    first = turn % max(len(replicas), 1)
    return replicas[first:] + replicas[:first]


def _by_name(url: str) -> Replica:
    return Replica(url, _without_user(urlsplit(url).netloc))


def _without_user(netloc: str) -> str:
    return netloc.rpartition("@")[2]


def _with_address(url: str, address: str) -> str:
    """Return the URL with its host replaced by an IPv4 or IPv6 address; user, port and path stay."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=f"{user}{at}{in_address(address)}{port}").geturl()
