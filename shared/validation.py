"""Says in a sentence what is wrong with data that a Pydantic model refused. Pure; no library text goes through."""

from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

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
_WRONG_VARIABLE: Final = "has a value that is not allowed; .env.example says what it may be"
_SAYS_NOTHING: Final = frozenset({"string_pattern_mismatch", "value_error"})
"""Faults that are told to who set a variable by no pattern and no text of a validator."""


def field_name(location: tuple[int | str, ...]) -> str | None:
    """Return ("images", 0, "x") as `images[0].x`; None for the whole body."""
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return name.removeprefix(".") or None


def _fault(error: ErrorDetails, unnamed: str) -> str:
    """Return what is wrong with a field, as the end of a sentence."""
    context = {key: str(value) for key, value in error.get("ctx", {}).items()}
    if error["type"] == "string_too_short" and context["min_length"] == "1":
        return "is empty; fill it"
    return _FAULTS.get(error["type"], unnamed).format_map(context)


def explain(error: ValidationError) -> tuple[str, str | None]:
    """Return a sentence on the first fault of `error`, and the field's name (None for the whole body)."""
    first = error.errors(include_url=False)[0]
    location = (*first["loc"], str(first["ctx"]["field"])) if first["type"] == "job_field" else first["loc"]
    field = field_name(location)
    subject = f"The field {field}" if field else "The request"
    return f"{subject} {_fault(first, _UNNAMED_FAULT)}.", field


def explain_environment(error: ValidationError, prefix: str = "") -> str:
    """Return a sentence for each variable, all of which begin with `prefix`, that a settings class refused.

    Their values, which may be secret, are not in it.
    """
    return " ".join(environment_fault(fault, prefix) for fault in error.errors(include_url=False))


def environment_fault(fault: ErrorDetails, prefix: str) -> str:
    """Return the sentence for one of them."""
    name = f"{prefix}{'_'.join(str(part) for part in fault['loc'])}".upper()
    if fault["type"] == "missing":
        return f"{name} is missing; set it."
    words = _WRONG_VARIABLE if fault["type"] in _SAYS_NOTHING else _fault(fault, _WRONG_VARIABLE)
    return f"{name} {words}."
