"""Clients that fall silent in the middle of a request: gunicorn's threads would wait for them for ever."""

import socket
import struct
from collections.abc import Iterable
from typing import Final

CLIENT_TIMEOUT_S: Final = 30.0
"""As long as a proxy's usual limit, and longer than a phone needs to change from one network to another."""


def limit_silence(listeners: Iterable[socket.socket], seconds: float) -> None:
    """Have each wait for a byte of a client, or for room to send it one, fail after so many seconds.

    It is set on the sockets that listen, before the service forks; on Linux those that they accept take it over. A
    client that is slow, and not silent, is waited for: a proxy that reads requests whole is what keeps those off.
    """
    period = struct.pack("ll", int(seconds), int(seconds % 1 * 1e6))
    for listener in listeners:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, period)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, period)
