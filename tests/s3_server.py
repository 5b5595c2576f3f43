"""An S3 server for tests: moto's, over HTTP on the loopback, in a thread of the test's process."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

BUCKET = "halfface"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests", "AWS_REGION": "us-east-1"}


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing of each request."""


class S3Server:
    """A server with one bucket. It may be away for a while: what it holds stays, and so does its address."""

    def __init__(self) -> None:
        self._app = DomainDispatcherApplication(create_backend_app)
        self._port = 0
        self._server: BaseWSGIServer | None = None
        self.start()
        requests.put(f"{self.endpoint}/{BUCKET}", timeout=30).raise_for_status()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def environment(self, folder: str) -> dict[str, str]:
        """Return the variables of a process whose storage is a folder of the bucket."""
        return {
            **CREDENTIALS,
            "TRAINER_STORAGE_URL": f"s3://{BUCKET}/{folder}",
            "TRAINER_STORAGE_ENDPOINT": self.endpoint,
        }

    def keys(self, prefix: str) -> list[str]:
        """Return the keys in the bucket that begin so."""
        answer = requests.get(f"{self.endpoint}/{BUCKET}", {"list-type": "2", "prefix": prefix}, timeout=30)
        answer.raise_for_status()
        return re.findall(r"<Key>(.*?)</Key>", answer.text)

    def start(self) -> None:
        """Answer, at the same address as before."""
        self._server = make_server("127.0.0.1", self._port, self._app, threaded=True, request_handler=_Quiet)
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def stop(self) -> None:
        """Do not answer any more."""
        assert self._server is not None
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Do not answer within the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()
