"""How gunicorn serves inference: threads, no preload, JSON logs. Used by `python -m services.inference`.

No preload: ONNX Runtime's sessions are made after the fork, in the worker that runs them; made before it, their threads
would be missing there and a request could hang.
"""

from typing import Any

from services.inference.settings import load_settings
from shared.addresses import in_address
from shared.json_logs import json_log_config
from shared.sockets import limit_silence

_settings = load_settings()

wsgi_app = "services.inference.app:create_app()"
bind = f"{in_address(_settings.host)}:{_settings.port}"
worker_class = "gthread"
workers = _settings.workers
threads = _settings.threads
timeout = 120  # without a sign of life of the process, not of a request
graceful_timeout = 20
keepalive = 15
accesslog = None  # shared.web writes one JSON line per request
logconfig_dict = json_log_config("inference", _settings.log_level)
sendfile = False  # Python waits without a limit for a client that takes no more of such a file
control_socket_disable = True  # two services of one user would share its default path


def when_ready(server: Any) -> None:
    """Set what the connections take over; gunicorn calls this before it forks the workers."""
    limit_silence(server.LISTENERS, _settings.client_timeout_s)
