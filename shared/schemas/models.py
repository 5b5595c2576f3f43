"""`/v1/models`: the versions, what serves, and what changes it."""

from typing import Any, Literal

from pydantic import Field

from shared.schemas.wire import Answer, Slot, Wire


class ModelInfo(Answer):
    """A version that lies in the models folder."""

    id: str = Field(examples=["full/1"])
    name: str
    version: str
    view: str
    architecture: str
    width: float = Field(1.0, description="Share of the architecture's channels that it has.")
    small_stem: bool = Field(False, description="Whether it begins with a 3 x 3 convolution of stride 1.")
    max_pool: bool = Field(False, description="Whether it keeps the stem's max-pool.")
    size: int = Field(48, description="Height and width of the faces that it reads, in pixels.")
    created: str
    serves: list[str] = Field(description="The slots that this version serves now.")
    since: dict[str, str] = Field(
        default_factory=dict, description="Slot that it serves to since when, UTC; a slot is absent if nobody noted it."
    )
    metrics: dict[str, Any]
    fingerprint: str | None = Field(None, description="Of the data; figures of different data do not compare.")
    size_bytes: int
    trainable: bool = Field(False, description="Whether one can fine-tune from it: it ships its weights.")
    archived: bool = Field(False, description="Put away: kept, but neither listed unasked nor promoted.")
    problem: str | None = Field(None, description="Why it cannot be used, where that is so.")


class ModelList(Answer):
    models: list[ModelInfo]
    active: dict[str, str] = Field(description="Slot to the version that serves it.")
    previous: dict[str, str] = Field(
        default_factory=dict, description="Slot to the version that a roll back would bring back, where there is one."
    )
    problem: str | None = Field(None, description="Why nobody can tell what serves, where that is so.")


class ModelChange(Answer):
    """One change of what serves or of what is put away; a line of the history in `models/active.json`."""

    time: str = Field(description="UTC, ISO 8601.")
    by: str = Field(description="Who: a key's or a login's name.", examples=["ada"])
    action: Literal["promote", "roll_back", "archive", "restore", "release"] = Field(
        description="`release`: a slot that nobody had changed by hand followed a new release."
    )
    slot: Slot | None = Field(None, description="The slot that changed; none for archive and restore.")
    model: str = Field(description="The version that was promoted, rolled back to, archived or restored.")
    before: str | None = Field(None, description="The version that served the slot before.")


class ModelHistory(Answer):
    changes: list[ModelChange] = Field(description="Newest first.")


class PromoteRequest(Wire):
    """`POST /v1/models/<name>/<version>/promote`: let a version serve."""

    slots: list[Slot] = Field(min_length=1, description="The slots that it shall serve.", examples=[["full", "upper"]])


class RollBackRequest(Wire):
    """`POST /v1/models/rollback`: let the slot's previous version serve again."""

    slot: Slot


class SelfTestRequest(Wire):
    """`POST /v1/self-test` of inference: load a version beside those that serve and try it."""

    model: str = Field(description="`<name>/<version>`.", examples=["full/1"])


class SelfTestAnswer(Answer):
    """The version passed; one that fails is refused with 409."""

    model: str
