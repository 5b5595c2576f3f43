"""Cross-origin calls: lets web pages of the origins that are allowed read the gateway's answers."""

from typing import Final

from apiflask import APIFlask
from flask import Response, request

METHODS: Final = "GET, POST, OPTIONS"
HEADERS: Final = "Content-Type, X-Request-ID"
EXPOSED: Final = "Location, Retry-After, X-Request-ID"
PREFLIGHT_KEPT_S: Final = 600


def allow_origins(app: APIFlask, origins: str) -> None:
    """Add the headers of the Fetch standard's CORS protocol to every answer.

    Args:
        app: the application.
        origins: origins such as https://example.org separated by commas, or *; none if empty.
    """
    allowed = frozenset(origin.strip().rstrip("/") for origin in origins.split(",") if origin.strip())

    @app.after_request
    def add_headers(response: Response) -> Response:
        origin = request.headers.get("Origin", "")
        if "*" not in allowed:
            response.vary.add("Origin")
            if origin not in allowed:
                return response
        response.headers["Access-Control-Allow-Origin"] = "*" if "*" in allowed else origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response.headers["Access-Control-Allow-Methods"] = METHODS
            response.headers["Access-Control-Allow-Headers"] = HEADERS
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_KEPT_S)
        return response
