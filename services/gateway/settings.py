"""What the gateway can be told by the environment; every variable begins with GATEWAY_."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import HalffaceError

PREFIX = "GATEWAY_"


class SettingsError(HalffaceError):
    """A setting that is missing or wrong; the message names the variable."""


class Settings(BaseSettings):
    """The gateway's settings, read once at start."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(5001, ge=1, le=65535)
    inference_url: Annotated[str, StringConstraints(pattern=r"^https?://")] = "http://127.0.0.1:5000"
    redis_url: Annotated[str, StringConstraints(pattern=r"^(redis|rediss|unix)://")]
    data_dir: Path = Field(Path("data"), description="Where the data sets lie.")
    runs_dir: Path = Field(Path("runs"), description="Where jobs write, a folder each.")
    models_dir: Path = Field(Path("models"), description="Where the models lie.")
    cors_origins: str = Field("*", description="Web origins that may call, separated by commas; * for all.")
    workers: int = Field(1, ge=1, description="Processes.")
    threads: int = Field(8, ge=1, description="Requests at a time in each process.")
    timeout_s: float = Field(30, gt=0, description="Longest wait for an answer of inference.")
    max_request_bytes: int = Field(33_554_432, ge=1)
    log_level: str = Field("INFO", pattern=r"^(?i:debug|info|warning|error|critical)$")


def load_settings() -> Settings:
    """Return the settings that the environment gives.

    Raises:
        SettingsError: a variable is missing or wrong; names each of them.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(" ".join(_sentence(fault["type"], fault["loc"]) for fault in error.errors())) from error


def _sentence(kind: str, place: tuple[int | str, ...]) -> str:
    variable = f"{PREFIX}{'_'.join(str(part) for part in place)}".upper()
    if variable == f"{PREFIX}REDIS_URL":
        return f"Set {variable} to the queue's address, such as redis://127.0.0.1:6379/0."
    return f"{variable} is missing." if kind == "missing" else f"{variable} has a value that is not allowed."
