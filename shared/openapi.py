"""Rewrites an OpenAPI 3.1 document as 3.0, which the packaged Swagger UI shows. Pure.

Pydantic writes JSON Schema of 2020-12: a null among `anyOf`, `const`, a list of `examples`, numbers as exclusive
bounds, `prefixItems`. OpenAPI 3.0 knows none of these (https://spec.openapis.org/oas/v3.0.3#schema-object).
"""

from typing import Any, Final

OPENAPI_VERSION: Final = "3.0.3"

_BOUNDS: Final = {"exclusiveMinimum": "minimum", "exclusiveMaximum": "maximum"}


def to_openapi_30(node: Any) -> Any:
    """Return a copy of an OpenAPI document, or of a part of it, in the words of OpenAPI 3.0."""
    if isinstance(node, list):
        return [to_openapi_30(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: to_openapi_30(value) for key, value in node.items()}
    _rewrite_null(schema)
    _rewrite_bounds(schema)
    if "const" in schema and "type" in schema:
        schema["enum"] = [schema.pop("const")]
    if isinstance(schema.get("examples"), list):
        examples = schema.pop("examples")
        schema["example"] = examples[0] if examples else None
    if isinstance(schema.get("prefixItems"), list):
        schema["items"] = {"anyOf": schema.pop("prefixItems")}
    return schema


def _rewrite_null(schema: dict[str, Any]) -> None:
    options = schema.get("anyOf")
    if not isinstance(options, list) or {"type": "null"} not in options:
        return
    others = [option for option in options if option != {"type": "null"}]
    del schema["anyOf"]
    schema["nullable"] = True
    if schema.get("default", 0) is None:
        del schema["default"]
    if len(others) == 1 and "$ref" not in others[0]:
        schema.update({key: value for key, value in others[0].items() if key not in schema})
    else:
        schema["anyOf"] = others


def _rewrite_bounds(schema: dict[str, Any]) -> None:
    for exclusive, plain in _BOUNDS.items():
        bound = schema.get(exclusive)
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            schema[plain], schema[exclusive] = bound, True
