"""What inference can be told by the environment; every variable begins with INFERENCE_."""

from pathlib import Path
from typing import Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import HalffaceError
from shared.sockets import CLIENT_TIMEOUT_S
from shared.validation import explain_environment

PREFIX: Final = "INFERENCE_"


class SettingsError(HalffaceError):
    """A setting that is wrong; the message names the variable."""


class Settings(BaseSettings):
    """The settings of inference, read once at start."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", protected_namespaces=())

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(5000, ge=1, le=65535)
    models_dir: Path = Field(Path("models"), description="Where the models and active.json lie.")
    workers: int = Field(1, ge=1, description="Processes; each loads the models.")
    threads: int = Field(4, ge=1, description="Requests at a time in each process.")
    network_threads: int = Field(1, ge=1, description="Threads of ONNX Runtime and of the detector for one request.")
    max_request_bytes: int = Field(33_554_432, ge=1)
    max_image_bytes: int = Field(10_485_760, ge=1, description="Largest file of one picture.")
    max_pixels: int = Field(40_000_000, ge=1, description="Most pixels of one picture.")
    max_images: int = Field(16, ge=1, le=1000, description="Most pictures of one request.")
    max_faces: int = Field(50, ge=1, description="Most faces read in one picture, the largest first.")
    client_timeout_s: float = Field(CLIENT_TIMEOUT_S, gt=0, le=3600, description="Longest silence within a request.")
    log_level: str = Field("INFO", pattern=r"^(?i:debug|info|warning|error|critical)$")


def load_settings() -> Settings:
    """Return the settings that the environment gives.

    Raises:
        SettingsError: a variable has a value that is not allowed; names each of them.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(explain_environment(error, PREFIX)) from error
