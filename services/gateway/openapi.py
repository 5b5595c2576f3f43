"""What the gateway's OpenAPI document says of its refusals, its headers, and of keys."""

from typing import Any, Final

from services.gateway.access import SCHEME, role_needed
from shared.openapi import answer

KEY_SCHEME: Final = {
    "key": {
        "type": "http",
        "scheme": SCHEME.lower(),
        "description": "A key, hf_…: `python -m services.gateway keys create --name lab --role train` makes one.",
    }
}

HEADERS: Final = {
    "X-Request-ID": "The request's id, also in the body of an error and in every service's log.",
    "Location": "The job's address.",
    "Retry-After": "Seconds to wait before the next try.",
    "WWW-Authenticate": "How to send a key.",
    "ETag": "Of what was answered; a later If-None-Match with it gets 304 if that is still so.",
}
HEADERS_OF: Final = {"201": ["Location"], "401": ["WWW-Authenticate"], "503": ["Retry-After"], "304": ["ETag"]}
BODY_REFUSALS: Final = {
    "408": "The request was not sent to its end in time.",
    "413": "The request is larger than the service takes.",
}

BAD_JSON: Final = {400: "The body is not valid JSON."}
NO_QUEUE: Final = {503: "The job queue does not answer; try again after Retry-After seconds."}
INFERENCE_ERRORS: Final = {
    400: "The body is not valid JSON, an image is missing, or its text is no base64.",
    408: "The request was not sent to its end in time.",
    413: "The request, an image's file or its pixels, or the number of images is larger than the service takes.",
    415: "A content type or an image format that is not taken.",
    422: "An image or a field that cannot be used; the message says why.",
    502: "Inference failed on this request.",
    503: "Inference is away or not ready, or the request took too long; try again after Retry-After seconds.",
}


def tell_headers(document: dict[str, Any]) -> dict[str, Any]:
    """Return an OpenAPI document with the answers' headers, and what a body may be refused for; changes it in place."""
    schema = {"type": "string"}
    headers = {name: {"description": described, "schema": schema} for name, described in HEADERS.items()}
    document.setdefault("components", {})["headers"] = headers
    for operation in (operation for operations in document["paths"].values() for operation in operations.values()):
        responses: dict[str, Any] = operation["responses"]
        if "requestBody" in operation:
            for status, why in BODY_REFUSALS.items():
                responses.setdefault(status, answer(why, "HTTPError"))
        for status, response in responses.items():
            names = ["X-Request-ID", *HEADERS_OF.get(status, [])]
            if status == "200":
                names += ["Location"] if "201" in responses else ["ETag"] if "304" in responses else []
            response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}
            if status == "304":
                response.pop("content", None)
    return document


def mark_keys(document: dict[str, Any], *, prediction_key: bool) -> dict[str, Any]:
    """Return an OpenAPI document in which each operation that needs a key says so; changes it in place."""
    document.setdefault("components", {})["securitySchemes"] = KEY_SCHEME
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            role = role_needed(method.upper(), path, prediction_key=prediction_key)
            if role is None:
                continue
            needs = f"Needs a key with the role **{role}**."
            operation["description"] = "\n\n".join(filter(None, (operation.get("description"), needs)))
            operation["security"] = [{"key": []}]
            operation["responses"] |= {
                "401": answer("There is no key in the Authorization header, or one that is not known.", "HTTPError"),
                "403": answer(f"The key's role is below {role}.", "HTTPError"),
            }
    return document
