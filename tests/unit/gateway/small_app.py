"""The gateway's real application for tests of its door; neither inference nor a queue listens behind it."""

import logging
from pathlib import Path
from typing import Any

from flask import Flask

from scripts.processes import free_port
from services.gateway.app import create_app
from services.gateway.settings import Settings


def make_gateway(folder: Path, **settings: Any) -> Flask:
    """Return the application over the folders data, runs and models of `folder`; logs stay as pytest set them up."""
    places = {f"{name}_dir": folder / name for name in ("data", "runs", "models")}
    url = f"redis://127.0.0.1:{free_port()}/0"
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    app = create_app(Settings(redis_url=url, inference_url=f"http://127.0.0.1:{free_port()}", **places, **settings))
    root.handlers[:] = handlers
    root.setLevel(level)
    return app
