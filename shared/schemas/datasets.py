"""`/v1/datasets`: what may be trained on."""

from typing import Literal

from pydantic import Field

from shared.schemas.wire import Answer


class DatasetInfo(Answer):
    """A data set in the data folder."""

    name: str = Field(examples=["fer2013.zip"])
    kind: Literal["zip", "folder", "csv"]
    counts: dict[str, dict[str, int]] = Field(description="Split to label to number of images.")
    total: int
    problem: str | None = Field(None, description="Why it cannot be trained on, where that is so.")


class DatasetList(Answer):
    datasets: list[DatasetInfo]
    folder: str = Field(description="The folder's name, for a sentence that says where to put data.")
