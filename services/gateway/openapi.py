"""Pieces of the OpenAPI document that the decorators cannot say."""

from typing import Any, Final

from pydantic import BaseModel

JSON: Final = "application/json"

BAD_JSON: Final = {400: "The body is not valid JSON."}
TOO_LARGE: Final = {413: "The request is larger than the service takes."}
NO_QUEUE: Final = {503: "The job queue does not answer; try again after Retry-After seconds."}
INFERENCE_ERRORS: Final = {
    415: "A content type or an image format that is not taken.",
    422: "An image or a field that cannot be used; the message says why.",
    502: "Inference failed on this request.",
    503: "Inference is away or not ready; try again after Retry-After seconds.",
    **BAD_JSON,
    **TOO_LARGE,
}


def answer(description: str, schema: str) -> dict[str, str | dict[str, Any]]:
    """Return an OpenAPI response object with a body of this schema, a name among the document's components."""
    content = {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def request_body(content: dict[str, Any]) -> dict[str, Any]:
    """Return, for `doc(extensions=...)`, a required body of one or several content types.

    Args:
        content: content type to OpenAPI media type object.
    """
    return {"requestBody": {"required": True, "content": content}}


def inline_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return a model's JSON schema with nothing left to look up elsewhere."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    resolved: dict[str, Any] = _resolve(schema, definitions)
    return resolved


def _resolve(node: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_resolve(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    rest = {key: _resolve(value, definitions) for key, value in node.items() if key != "$ref"}
    if "$ref" not in node:
        return rest
    return {**_resolve(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions), **rest}
