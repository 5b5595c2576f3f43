"""The trainer's settings, from variables that begin with TRAINER_."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.validation import explain_environment
from trainer.errors import TrainerError

PREFIX = "TRAINER_"


class Settings(BaseSettings):
    """Where things lie and what to train on."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    redis_url: str | None = Field(None, description="The queue; required by the worker, unused by the commands.")
    data_dir: Path = Field(Path("data"), description="Data sets: zips, folders, CSV files.")
    runs_dir: Path = Field(Path("runs"), description="A folder for each run.")
    models_dir: Path = Field(Path("models"), description="Models, a folder for each version.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="auto: a GPU where there is one.")
    threads: int = Field(0, ge=0, description="CPU threads; 0 for as many as there are cores.")
    storage_url: str | None = Field(None, description="A storage that machines share, such as s3://bucket/folder.")
    storage_endpoint: str | None = Field(None, description="Address of an S3 server that is not Amazon's.")
    storage_seconds: float = Field(3, gt=0, description="How often changes are put into the storage and looked for.")
    storage_lease_seconds: float = Field(60, gt=0, description="A worker silent for so long has lost its run.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


def load_settings() -> Settings:
    """Return the settings that the environment gives. Raises TrainerError, which names each variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        raise TrainerError(explain_environment(error, PREFIX)) from error
