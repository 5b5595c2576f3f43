"""What the gateway and inference have in common as web services: one error shape, request ids, logs, the docs page.

The only shared module that imports Flask; the frontend and the trainer never import it. A service calls `make_app`,
adds its views, and raises `ApiError` for every refusal.
"""

import logging
import math
import re
import time
import uuid
from typing import Any, Final, TypeVar

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Request, Response, g, json, jsonify, request, send_from_directory
from gunicorn.http.errors import ParseException
from pydantic import BaseModel, ValidationError
from swagger_ui_bundle import swagger_ui_path
from werkzeug.datastructures import Headers
from werkzeug.exceptions import BadRequest, ClientDisconnected, HTTPException, NotFound, RequestEntityTooLarge
from werkzeug.http import HTTP_STATUS_CODES

from shared.errors import HalffaceError
from shared.json_logs import NO_REQUEST, REQUEST_ID, configure_json_logs, json_log_config
from shared.openapi import OPENAPI_VERSION, to_openapi_30
from shared.schemas.wire import ErrorAnswer, ErrorDetail, Health
from shared.validation import explain

__all__ = [
    "ApiError",
    "add_msg",
    "configure_json_logs",
    "current_request_id",
    "error_body",
    "json_log_config",
    "make_app",
    "parse",
    "seconds_left",
]

REQUEST_ID_HEADER: Final = "X-Request-ID"
SECONDS_LEFT_HEADER: Final = "X-Seconds-Left"
"""In which the gateway tells inference how long it waits, so that no answer is worked on that nobody will read. It is
counted from when a thread takes the request: one that waited for a thread may be worked on longer."""
DEFAULT_MAX_REQUEST_BYTES: Final = 32 << 20
MAX_FORM_PARTS: Final = 200
MOST_ENTRIES: Final = 1000
"""Of a list or object in JSON, or of a list in a form."""
DRAIN_FACTOR: Final = 4  # of a body over the limit, this many times the limit is read, so that the client sees the 413
MIB: Final = 1 << 20

Model = TypeVar("Model", bound=BaseModel)

_log = logging.getLogger("halfface.web")
_SANE_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET_PATHS: Final = frozenset({"/healthz", "/readyz"})  # asked every few seconds: logged at DEBUG while all is well
_DOCS_FILES: Final = frozenset({"swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png"})

_CODES: Final = {413: "request_too_large", 415: "media_type", 422: "invalid", 500: "internal_error"}
_SENTENCES: Final = {
    400: "The request could not be understood; send valid JSON or a form, as /docs describes.",
    404: "There is nothing at this address; /docs lists what there is.",
    405: "This address does not take this method; /docs lists the methods that it takes.",
    408: "The request was not sent to its end in time; send it again.",
    415: "This content type is not taken here; send JSON or a multipart form, as /docs describes.",
    429: "Too many requests; wait a moment and try again.",
    500: "Something went wrong on our side; try again, and report the request id if it happens again.",
    503: "The service cannot answer just now; try again in a moment.",
}
_OTHER_SENTENCE: Final = "The request was refused; /docs describes what this address takes."

_DOCS_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><title>__TITLE__</title>
<link rel="icon" href="docs/favicon-32x32.png"><link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body><div id="swagger-ui"></div><script src="docs/swagger-ui-bundle.js"></script>
<script>window.ui = SwaggerUIBundle({url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true,
validatorUrl: null, tryItOutEnabled: true});</script>
</body></html>
"""


class ApiError(HalffaceError):
    """A refusal of a request: becomes an `ErrorAnswer` with this HTTP status.

    Args:
        status: HTTP status, 400 to 599.
        code: stable, for programs, such as `image_truncated`.
        message: a sentence for a person that says what to do.
        field: the field at fault, such as `images[0]`.
        headers: further headers of the answer, such as Retry-After.
    """

    def __init__(
        self, *, status: int, code: str, message: str, field: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = headers or {}


class JsonRequest(Request):
    """A request whose body may be nested as deep, or be as long, as anybody likes: it is refused with a reason."""

    def get_data(self, *args: Any, **kwargs: Any) -> Any:
        """Return the body; see Werkzeug, which cuts one that comes in chunks at the limit and says nothing.

        Raises RequestEntityTooLarge if there is more of it.
        """
        data = super().get_data(*args, **kwargs)
        is_cut = self.content_length is None and len(data) == self.max_content_length
        if is_cut and self._has_more():
            raise RequestEntityTooLarge
        return data

    def _has_more(self) -> bool:
        try:
            return bool(self.environ["wsgi.input"].read(1))
        except OSError as error:  # the client went away
            raise ClientDisconnected from error

    def get_json(self, *args: Any, **kwargs: Any) -> Any:
        """Return the parsed body; see Flask. Raises ApiError: 422 `invalid`, see `_require_few_entries`."""
        try:
            data = super().get_json(*args, **kwargs)
        except RecursionError as error:
            raise BadRequest from error
        _require_few_entries(data)
        return data


def current_request_id() -> str:
    """Return the id of the request that is being answered; `-` outside of one."""
    return REQUEST_ID.get()


def seconds_left() -> float:
    """Return how long the caller waits for an answer to this request; for ever if it does not say."""
    try:
        return float(request.headers.get(SECONDS_LEFT_HEADER, "inf"))
    except ValueError:
        return math.inf


def error_body(code: str, message: str, field: str | None = None) -> dict[str, Any]:
    """Return an `ErrorAnswer` as JSON-ready data, with the current request id."""
    detail = ErrorDetail(code=code, message=message, field=field)
    return ErrorAnswer(error=detail, request_id=current_request_id()).model_dump(mode="json")


def parse(model: type[Model], data: Any) -> Model:
    """Return `data` as `model`.

    Raises:
        ApiError: 422 `invalid`, naming the first field at fault.
    """
    _require_few_entries(data)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _invalid(error) from error


def _require_few_entries(data: Any) -> None:
    """Refuse a list or object of many entries: Pydantic makes an error of a kilobyte and more for each wrong one."""
    fields = data.items() if isinstance(data, dict) and len(data) <= MOST_ENTRIES else ()
    for name, value in ((None, data), *fields):
        if isinstance(value, list | dict) and len(value) > MOST_ENTRIES:
            subject = f"The field {name}" if name else "The request"
            message = f"{subject} has more entries than anything here takes; send far fewer."
            raise ApiError(status=422, code="invalid", message=message, field=name)


def _invalid(error: ValidationError) -> ApiError:
    message, field = explain(error)
    return ApiError(status=422, code="invalid", message=message, field=field)


def _answer(error: ApiError) -> Response:
    response = jsonify(error_body(error.code, error.message, error.field))
    response.status_code = error.status
    response.headers.update(error.headers)
    return response


def _from_status(status: int, headers: dict[str, str] | None = None) -> ApiError:
    phrase = HTTP_STATUS_CODES.get(status, "error")
    code = _CODES.get(status, phrase.lower().replace(" ", "_").replace("'", ""))
    sentence = _SENTENCES.get(status, _OTHER_SENTENCE)
    if status == 413:
        limit_mb = (request.max_content_length or 0) / MIB
        sentence = f"The request is larger than {limit_mb:.3g} MB or has too many fields; send smaller or fewer images."
        _drain()
    return ApiError(status=status, code=code, message=sentence, headers=headers)


def _drain() -> None:
    """Read the rest of a body that is too large: closing a socket on unread bytes would hide the answer."""
    stream, left = request.environ["wsgi.input"], DRAIN_FACTOR * (request.max_content_length or 0)
    try:
        while left > 0 and (chunk := stream.read(min(left, 1 << 16))):
            left -= len(chunk)
    except (OSError, ValueError, ParseException):
        _log.info("the client went away while its request was refused")


def _handle_http_exception(error: HTTPException) -> Response:
    if isinstance(error, ClientDisconnected):
        return _answer(_from_status(408))
    headers = {key: value for key, value in error.get_headers() if key not in {"Content-Type", "Content-Length"}}
    return _answer(_from_status(error.code or 500, headers))


def _handle_apiflask_error(error: HTTPError) -> Response:
    if isinstance(error.__cause__, ValidationError):
        return _answer(_invalid(error.__cause__))
    return _answer(_from_status(error.status_code, dict(Headers(error.headers))))


def _handle_bad_chunks(_error: ParseException) -> Response:
    """Answer to a body in chunks that are not as HTTP has them, or that ends before the last one."""
    return _answer(_from_status(400))


def _handle_unexpected(error: Exception) -> Response:
    _log.error("unexpected error", exc_info=error)
    return _answer(_from_status(500))


def _begin_request() -> None:
    incoming = request.headers.get(REQUEST_ID_HEADER, "")
    REQUEST_ID.set(incoming if _SANE_REQUEST_ID.fullmatch(incoming) else uuid.uuid4().hex)
    g.started = time.perf_counter()


def _end_request(response: Response) -> Response:
    response.headers[REQUEST_ID_HEADER] = current_request_id()
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    quiet = request.path in _QUIET_PATHS and response.status_code < 400
    fields = {
        "method": request.method,
        "path": request.path,
        "status": response.status_code,
        "duration_ms": round((time.perf_counter() - g.get("started", time.perf_counter())) * 1000, 1),
        "request_bytes": request.content_length,
        "client": request.remote_addr,
        **g.get("log_fields", {}),  # a service's own, such as the name of the caller's key
    }
    _log.log(logging.DEBUG if quiet else logging.INFO, "request", extra=fields)
    return response


def _forget_request(_error: BaseException | None) -> None:
    REQUEST_ID.set(NO_REQUEST)


def add_msg(response: Response) -> Response:
    """Put the original system's `msg` beside the error; for its two addresses."""
    if response.status_code >= 400 and response.is_json:
        answer = response.get_json()
        response.set_data(json.dumps({"msg": answer["error"]["message"], **answer}))
    return response


def _error_schema() -> dict[str, Any]:
    """Return the JSON schema of `ErrorAnswer` in one piece: APIFlask takes its error schemas as dictionaries."""
    schema = ErrorAnswer.model_json_schema()
    schema["properties"]["error"] = schema.pop("$defs")["ErrorDetail"]
    return schema


def _add_pages(app: APIFlask, title: str) -> None:
    @app.get("/healthz")
    @app.output(Health)
    @app.doc(tags=["health"])
    def healthz() -> Health:
        """Alive: the process answers."""
        return Health(status="ok", reason=None)

    @app.get("/docs")
    @app.doc(hide=True)
    def docs() -> Response:
        return Response(_DOCS_PAGE.replace("__TITLE__", title), mimetype="text/html")

    @app.get("/docs/<file>")
    @app.doc(hide=True)
    def docs_file(file: str) -> Response:
        if file not in _DOCS_FILES:
            raise NotFound
        return send_from_directory(str(swagger_ui_path), file, max_age=86400)


def make_app(
    name: str, *, title: str, description: str, max_request_bytes: int = DEFAULT_MAX_REQUEST_BYTES
) -> APIFlask:
    """Return a web application without views of its own but /healthz, /openapi.json and /docs.

    Args:
        name: the import name of the service's package.
        title: the API's name, for people.
        description: what it does, in Markdown.
        max_request_bytes: larger requests get 413.
    """
    app = APIFlask(name, title=title, version="1", docs_path=None)
    app.description = description
    app.request_class = JsonRequest
    app.url_map.merge_slashes = False  # nothing is redirected, least of all to an address made from the Host header
    app.config.update(
        OPENAPI_VERSION=OPENAPI_VERSION,
        AUTO_SERVERS=False,
        AUTO_OPERATION_ID=True,
        VALIDATION_ERROR_SCHEMA=_error_schema(),
        HTTP_ERROR_SCHEMA=_error_schema(),
        MAX_CONTENT_LENGTH=max_request_bytes,
        MAX_FORM_MEMORY_SIZE=max_request_bytes,  # a picture sent as text is refused for that, not for its size
        MAX_FORM_PARTS=MAX_FORM_PARTS,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.spec_processor(to_openapi_30)
    app.before_request(_begin_request)
    app.after_request(_end_request)
    app.teardown_request(_forget_request)
    app.register_error_handler(ApiError, _answer)
    app.register_error_handler(HTTPException, _handle_http_exception)
    app.register_error_handler(HTTPError, _handle_apiflask_error)
    app.register_error_handler(ParseException, _handle_bad_chunks)
    app.register_error_handler(Exception, _handle_unexpected)
    _add_pages(app, title)
    return app
