"""Logs as JSON, one object per line on stdout: the service's name, the process, the id of the request under way."""

import logging
import logging.config
from contextvars import ContextVar
from typing import Any, Final

NO_REQUEST: Final = "-"

REQUEST_ID: Final[ContextVar[str]] = ContextVar("halfface_request_id", default=NO_REQUEST)
"""The id of the request that this thread answers; `-` outside of one."""


class RequestIdFilter(logging.Filter):
    """Puts the request id on every log record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add `request_id` where the record has none; let every record pass."""
        if not hasattr(record, "request_id"):
            record.request_id = REQUEST_ID.get()
        return True


def json_log_config(service: str, level: str) -> dict[str, Any]:
    """Return the `logging.config` dictionary of a service; gunicorn takes it as its `logconfig_dict` too."""
    formatter = {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": "%(levelname)s %(name)s %(message)s %(request_id)s %(process)d",
        "rename_fields": {"levelname": "level", "name": "logger", "process": "process_id"},
        "static_fields": {"service": service},
        "timestamp": True,
    }
    handler = {
        "class": "logging.StreamHandler",
        "stream": "ext://sys.stdout",
        "formatter": "json",
        "filters": ["request_id"],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "shared.json_logs.RequestIdFilter"}},
        "formatters": {"json": formatter},
        "handlers": {"stdout": handler},
        "root": {"level": level.upper(), "handlers": ["stdout"]},
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
            "PIL": {"level": "INFO"},  # at DEBUG it writes what a photo says of its maker and its place
            "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},  # shared.web logs requests
        },
    }


def configure_json_logs(service: str, level: str) -> None:
    """Log one JSON object per line on stdout from now on, `level` (such as INFO) and above."""
    logging.config.dictConfig(json_log_config(service, level))
