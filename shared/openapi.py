"""Pieces of the OpenAPI documents, and a rewriting from 3.1 to 3.0, which the packaged Swagger UI shows. Pure.

Pydantic writes JSON Schema of 2020-12: a null among `anyOf`, `const`, a list of `examples`, numbers as exclusive
bounds, `prefixItems`. OpenAPI 3.0 knows none of these (https://spec.openapis.org/oas/v3.0.3#schema-object).
"""

from typing import Any, Final

from pydantic import BaseModel

from shared.schemas.predictions import PredictRequest
from shared.schemas.wire import SLOTS

OPENAPI_VERSION: Final = "3.0.3"
JSON: Final = "application/json"
FORM: Final = "multipart/form-data"

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
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    else:
        schema["allOf" if len(others) == 1 else "anyOf"] = others


def _rewrite_bounds(schema: dict[str, Any]) -> None:
    for exclusive, plain in _BOUNDS.items():
        bound = schema.get(exclusive)
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            schema[plain], schema[exclusive] = bound, True


def answer(description: str, schema: str) -> dict[str, str | dict[str, Any]]:
    """Return a response object with a body of this schema, a name among the document's components."""
    content = {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def request_body(content: dict[str, Any]) -> dict[str, Any]:
    """Return, for `doc(extensions=...)`, a required body of one or several content types.

    Args:
        content: content type to OpenAPI media type object.
    """
    return {"requestBody": {"required": True, "content": content}}


def predict_body() -> dict[str, Any]:
    """Return, for `doc(extensions=...)`, the body of a prediction: a form with files, or a PredictRequest."""
    fields = inline_schema(PredictRequest)["properties"]
    images = {"type": "array", "items": {"type": "string", "format": "binary"}, "minItems": 1}
    models = {"type": "array", "items": {"type": "string", "enum": list(SLOTS)}}
    properties = {
        "images": {**images, "description": "JPEG, PNG, WebP or BMP files."},
        "models": {**models, "description": fields["models"]["description"]},
        **{name: fields[name] for name in ("mask", "detect", "crops", "explain")},
    }
    form = {"type": "object", "required": ["images"], "properties": properties}
    example = {"images": ["data:image/png;base64,…"], "models": ["full", "upper"], "detect": "auto"}
    return request_body(
        {
            FORM: {"schema": form, "encoding": {"models": {"style": "form", "explode": True}}},
            JSON: {"schema": inline_schema(PredictRequest), "example": example},
        }
    )


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
