"""What the gateway can be told by the environment; every variable begins with GATEWAY_."""

from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, StringConstraints, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.gateway.keys import KEY_FORM, is_strong
from shared.errors import HalffaceError
from shared.sockets import CLIENT_TIMEOUT_S
from shared.validation import environment_fault

PREFIX = "GATEWAY_"

Kind = TypeVar("Kind", bound="KeySettings")


class SettingsError(HalffaceError):
    """A setting that is missing or wrong; the message names the variable."""


def _http_urls(text: str) -> str:
    """Return the text, or raise ValueError where it is not http and https addresses separated by commas."""
    for url in text.split(","):
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError
    return text


def _absent_if_empty(value: object) -> object:
    """Return None for an empty text, which is how compose and .env give nothing."""
    return None if value == "" else value


def _strong_key(key: SecretStr | None) -> SecretStr | None:
    """Return the key, or raise ValueError where it is none or could be guessed."""
    if key is not None and not is_strong(key.get_secret_value()):
        raise ValueError
    return key


class KeySettings(BaseSettings):
    """Where the keys lie, and the first of them: all that the `keys` command has to know."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    runs_dir: Path = Field(Path("runs"), description="Where jobs write, a folder each.")
    keys_file: Annotated[Path | None, BeforeValidator(_absent_if_empty)] = Field(
        None, description="The file of the keys; keys.json in the folder of the runs if absent."
    )
    admin_key: Annotated[SecretStr | None, BeforeValidator(_absent_if_empty), AfterValidator(_strong_key)] = Field(
        None, description="The first admin key; a random one if absent. Without effect once there is an admin key."
    )

    @property
    def keys_path(self) -> Path:
        """The file of the keys."""
        return self.keys_file or self.runs_dir / "keys.json"


class Settings(KeySettings):
    """The gateway's settings, read once at start."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(5001, ge=1, le=65535)
    inference_url: Annotated[str, AfterValidator(_http_urls)] = Field(
        "http://127.0.0.1:5000", description="Where inference is; several addresses are separated by commas."
    )
    redis_url: Annotated[str, StringConstraints(pattern=r"^(redis|rediss|unix)://")]
    data_dir: Path = Field(Path("data"), description="Where the data sets lie.")
    models_dir: Path = Field(Path("models"), description="Where the models lie.")
    prediction_key: bool = Field(False, description="Whether predicting needs a key, of any role.")
    cors_origins: str = Field("*", description="Web origins that may call, separated by commas; * for all.")
    workers: int = Field(1, ge=1, description="Processes.")
    threads: int = Field(8, ge=1, description="Requests at a time in each process.")
    timeout_s: float = Field(30, gt=0, description="Longest wait for an answer of inference.")
    max_request_bytes: int = Field(33_554_432, ge=1)
    client_timeout_s: float = Field(CLIENT_TIMEOUT_S, gt=0, le=3600, description="Longest silence within a request.")
    log_level: str = Field("INFO", pattern=r"^(?i:debug|info|warning|error|critical)$")


def load_settings() -> Settings:
    """Return the settings that the environment gives.

    Raises:
        SettingsError: a variable is missing or wrong; names each of them.
    """
    return _load(Settings)


def load_key_settings() -> KeySettings:
    """Return the settings of the keys alone. Raises SettingsError as `load_settings`."""
    return _load(KeySettings)


def _load(kind: type[Kind]) -> Kind:
    try:
        return kind()
    except ValidationError as error:
        raise SettingsError(" ".join(_sentence(fault) for fault in error.errors(include_url=False))) from error


def _sentence(fault: ErrorDetails) -> str:
    if fault["loc"] == ("redis_url",):
        return f"Set {PREFIX}REDIS_URL to the queue's address, such as redis://127.0.0.1:6379/0."
    if fault["loc"] == ("admin_key",):
        return f"{PREFIX}ADMIN_KEY is no strong key. A key is {KEY_FORM}."
    return environment_fault(fault, PREFIX)
