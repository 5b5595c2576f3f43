"""What a test needs and the machine lacks: a person's test is skipped for it; in CI, which has everything, it fails."""

import importlib
import os
from typing import Any, NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """End the test: skipped, or failed in CI; `what` is a sentence that says what is not there."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def needed(name: str) -> Any:
    """Return a module; end the test where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        missing(f"The package {name} is not installed.")
