"""Cross-origin calls: lets web pages of the origins that are allowed read the gateway's answers.

All origins may be allowed, since no browser sends a key by itself: a key travels in the Authorization header, which a
page can only fill with a key that somebody gave it, never in a cookie. A foreign page starts no job in its reader's
name.
"""

from typing import Final

from apiflask import APIFlask
from flask import Response, request

METHODS: Final = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, If-None-Match, X-Request-ID"
EXPOSED: Final = "Content-Disposition, ETag, Location, Retry-After, X-Request-ID"
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
