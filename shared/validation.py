"""Says in a sentence what is wrong with data that a Pydantic model refused. Pure; no library text goes through."""

from typing import Final

from pydantic import ValidationError

_FAULTS: Final = {
    "missing": "is missing; send it",
    "extra_forbidden": "is not known; remove it or check its spelling",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "needs at least {min_length} and has {actual_length}",
    "too_long": "takes at most {max_length} and has {actual_length}",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "takes at most {max_length} characters",
    "string_pattern_mismatch": "is not of the form {pattern}",
    "job_field": "{what}",
    "value_error": "is wrong: {error}",  # the text of a validator of ours
}
_UNNAMED_FAULT: Final = "has a wrong value; /docs says what is allowed"


def field_name(location: tuple[int | str, ...]) -> str | None:
    """Return ("images", 0, "x") as `images[0].x`; None for the whole body."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return name.removeprefix(".") or None


def explain(error: ValidationError) -> tuple[str, str | None]:
    """Return a sentence on the first fault of `error`, and the field's name (None for the whole body)."""
    first = error.errors(include_url=False)[0]
    context = {key: str(value) for key, value in first.get("ctx", {}).items()}
    location = (*first["loc"], context["field"]) if first["type"] == "job_field" else first["loc"]
    field = field_name(location)
    fault = _FAULTS.get(first["type"], _UNNAMED_FAULT)
    subject = f"The field {field}" if field else "The request"
    return f"{subject} {fault.format_map(context)}.", field
