"""Start the frontend: `python -m services.frontend` becomes `streamlit run app.py`, headless."""

import os
import sys
from pathlib import Path

from pydantic import ValidationError

from services.frontend.settings import MAX_UPLOAD_MB, Settings
from shared.validation import explain_environment


def command(settings: Settings) -> list[str]:
    """Return the command line that serves the pages; the theme lies in `.streamlit/config.toml` beside `app.py`."""
    options = {
        "server.address": settings.host,
        "server.port": settings.port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": MAX_UPLOAD_MB,
        "browser.gatherUsageStats": "false",
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
    }
    app = Path(__file__).with_name("app.py")
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", str(app), *flags]


def main() -> None:
    """Replace this process by Streamlit."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.exit(f"The frontend cannot start: {explain_environment(error, 'FRONTEND_')}")
    line = command(settings)
    os.execv(line[0], line)  # noqa: S606 (our own interpreter)


if __name__ == "__main__":
    main()
