"""`python -m services.inference`: checks the settings, then becomes gunicorn."""

import os
import sys

from services.inference.settings import SettingsError, load_settings


def main() -> None:
    """Replace this process by gunicorn; exit with a sentence if a setting is wrong."""
    try:
        load_settings()
    except SettingsError as error:
        sys.exit(f"Inference cannot start. {error}")
    os.execv(  # noqa: S606
        sys.executable, [sys.executable, "-m", "gunicorn", "--config", "python:services.inference.gunicorn_conf"]
    )


if __name__ == "__main__":
    main()
