"""What the gateway's OpenAPI document says of its refusals, and of keys."""

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
