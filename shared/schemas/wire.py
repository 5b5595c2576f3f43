"""What all of the wire is made of: requests and answers, the shape of an error, whether a service is ready."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from shared.masking import STUDY_VIEWS

SLOTS = (*(view.value for view in STUDY_VIEWS), "any")
"""The names under which models serve: the five views, and `any`, one network for whatever is hidden."""

Slot = Literal["full", "upper", "lower", "left", "right", "any"]

RunId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class Wire(BaseModel):
    """Base of everything on the wire; unknown keys in a request are an error that names them."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """Base of answers: clients ignore keys that a newer server adds."""

    model_config = ConfigDict(extra="ignore")


class ErrorDetail(Answer):
    """One error, for people and for programs."""

    code: str = Field(description="Stable, for programs.", examples=["image_truncated"])
    message: str = Field(description="A sentence that says what to do.")
    field: str | None = Field(None, description="The field at fault, where there is one.", examples=["images[0]"])


class ErrorAnswer(Answer):
    """The one shape of every error under /v1."""

    error: ErrorDetail
    request_id: str = Field(description="Also in the X-Request-ID header and in every service's log.")


class Health(Answer):
    """Whether a service is alive or ready."""

    status: Literal["ok", "unavailable"]
    reason: str | None = Field(None, description="Why it is not ready, or which part of it keeps an older state.")


def without_default(schema: dict[str, Any]) -> None:
    """Take the default out of a field's schema: left out, the field means something else than when it is sent."""
    schema.pop("default", None)


def field_error(field: str, what: str) -> PydanticCustomError:
    """Return the error of one field that only the whole request shows to be wrong."""
    return PydanticCustomError("job_field", "{what}", {"field": field, "what": what})
