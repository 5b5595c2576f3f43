"""The gateways of the pages' tests: a small one that answers (see `small_gateway`), and one that is away."""

import threading
from collections.abc import Iterator

import pytest
import streamlit as st
from werkzeug.serving import make_server

from scripts.processes import free_port

from .small_gateway import Quiet, SmallGateway, make_app


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallGateway]:
    """A small gateway that answers, and to which the frontend's settings point."""
    small = SmallGateway()
    server = make_server("127.0.0.1", 0, make_app(small), threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    small.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("FRONTEND_GATEWAY_URL", small.url)
    yield small
    st.cache_resource.clear()  # closes the client's connections
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def gateway_away(monkeypatch: pytest.MonkeyPatch, unused_port: int) -> Iterator[str]:
    """The address of a gateway that is not there, to which the frontend's settings point."""
    url = f"http://127.0.0.1:{unused_port}"
    monkeypatch.setenv("FRONTEND_GATEWAY_URL", url)
    yield url
    st.cache_resource.clear()


@pytest.fixture
def unused_port() -> int:
    """A port on which nothing listens."""
    return free_port()
