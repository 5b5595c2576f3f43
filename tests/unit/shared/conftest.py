"""What the shared package's tests share: a models folder."""

from pathlib import Path

import pytest

from tests.unit.shared.small_registry import add


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Give a models folder with `first/1` to `first/4`, of which none serves."""
    add(tmp_path / "models", "first/1", "first/2", "first/3", "first/4")
    return tmp_path / "models"
