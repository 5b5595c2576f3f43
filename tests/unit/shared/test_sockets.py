"""A client that falls silent is given up, by both services' own settings for gunicorn."""

import runpy
import socket
import sys
from types import SimpleNamespace

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux do connections take it over from who listens")
@pytest.mark.parametrize("service", ["gateway", "inference"])
def test_a_client_that_falls_silent_is_given_up(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv(f"{service.upper()}_CLIENT_TIMEOUT_S", "0.2")
    settings = runpy.run_module(f"services.{service}.gunicorn_conf")
    assert settings["sendfile"] is False  # Python's own waits without a limit
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings["when_ready"](SimpleNamespace(LISTENERS=[listener]))
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as taken:
            with pytest.raises(BlockingIOError):
                taken.recv(1)
            with pytest.raises(BlockingIOError):
                taken.sendall(bytes(1 << 25))
