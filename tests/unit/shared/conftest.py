"""What the shared package's tests share: a models folder, and Hypothesis.

Hypothesis has no deadlines (speed is for benchmarks) and takes the same examples each run.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.unit.shared.small_registry import add

settings.register_profile(
    "shared",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("shared")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Give a models folder with `first/1` to `first/4`, of which none serves."""
    add(tmp_path / "models", "first/1", "first/2", "first/3", "first/4")
    return tmp_path / "models"
