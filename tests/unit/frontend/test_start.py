"""How the frontend starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.frontend.__main__ import command
from services.frontend.settings import Settings


def test_host_and_port_come_from_the_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FRONTEND_HOST", "0.0.0.0")  # noqa: S104 (only read back)
    monkeypatch.setenv("FRONTEND_PORT", "9001")
    line = command(Settings())
    assert {"--server.address=0.0.0.0", "--server.port=9001", "--server.headless=true"} <= set(line)
    assert "--browser.gatherUsageStats=false" in line
    assert Path(line[4]).is_file()


def test_no_folder_is_named_so_that_streamlit_runs_its_files_by_themselves():
    """A folder `pages` beside app.py would take over when a fresh server is asked for /train first."""
    assert not (Path(command(Settings())[4]).parent / "pages").exists()


def test_pandas_is_whole_before_a_page_draws_since_altair_looks_at_it_while_another_session_may_be_loading_it():
    code = "import sys, services.frontend.charts; print(hasattr(sys.modules.get('pandas'), 'Timestamp'))"
    root = Path(__file__).parents[3]
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=root)
    assert result.stdout.strip() == "True", result.stderr


def test_a_wrong_setting_is_named_without_a_traceback():
    result = subprocess.run(
        [sys.executable, "-m", "services.frontend"],
        env={**os.environ, "FRONTEND_PORT": "many"},
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[3],
    )
    assert result.returncode == 1
    assert result.stderr.strip() == "The frontend cannot start: FRONTEND_PORT must be a whole number."
