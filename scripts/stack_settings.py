"""The settings of `make up`: ports and folders, from the environment or the file .env, and what each service gets.

ENV_FILE in the environment names another file than the project's .env.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import Final

from dotenv import dotenv_values
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.addresses import in_address

ROOT: Final = Path(__file__).resolve().parent.parent
DOTENV: Final = Path(os.environ.get("ENV_FILE") or ROOT / ".env")
ANYWHERE: Final = ("0.0.0.0", "::")  # noqa: S104 (compared with, not bound to)


def loopback(host: str) -> str:
    """Return the host of a URL under which this machine reaches a server that is bound to `host`."""
    return "127.0.0.1" if host in ANYWHERE else in_address(host)


class Settings(BaseSettings):
    """Where the stack of `make up` listens and where its folders lie."""

    model_config = SettingsConfigDict(env_file=DOTENV, extra="ignore", env_ignore_empty=True, frozen=True)

    gateway_host: str = Field("127.0.0.1", description="Address that the gateway listens on.")
    gateway_port: int = Field(5001, ge=1, le=65535, description="Port of the gateway.")
    inference_host: str = Field("127.0.0.1", description="Address that the inference service listens on.")
    inference_port: int = Field(5000, ge=1, le=65535, description="Port of the inference service.")
    frontend_host: str = Field("127.0.0.1", description="Address that the page listens on.")
    frontend_port: int = Field(8501, ge=1, le=65535, description="Port of the page.")
    queue_port: int = Field(0, ge=0, le=65535, description="Port of the embedded queue server; 0 for a free one.")
    redis_url: str | None = Field(None, description="A queue server to use instead of the embedded one.")
    data_dir: Path = Field(Path("data"), description="Folder with the data sets.")
    models_dir: Path = Field(Path("models"), description="Folder with the models.")
    runs_dir: Path = Field(Path("runs"), description="Folder for training runs, logs and the queue.")
    verbose: bool = Field(False, description="Print every service's log as it grows.")
    start_timeout_s: float = Field(300, gt=0, description="Seconds that a service may take until it is ready.")

    def folder(self, path: Path) -> Path:
        """Return the absolute path of a folder; relative ones are below the project."""
        return path.expanduser() if path.expanduser().is_absolute() else ROOT / path

    @cached_property
    def ports(self) -> dict[str, tuple[str, int]]:
        """Variable to the (host, port) that it sets, of what this stack opens."""
        ports = {
            "GATEWAY_PORT": (self.gateway_host, self.gateway_port),
            "INFERENCE_PORT": (self.inference_host, self.inference_port),
            "FRONTEND_PORT": (self.frontend_host, self.frontend_port),
        }
        if self.queue_port and not self.redis_url:
            ports["QUEUE_PORT"] = ("127.0.0.1", self.queue_port)
        return ports

    def url(self, service: str) -> str:
        """Return the address of `gateway`, `inference` or `frontend` as this machine reaches it."""
        host, port = self.ports[f"{service.upper()}_PORT"]
        return f"http://{loopback(host)}:{port}"

    def environment(self, redis_url: str) -> dict[str, str]:
        """Return the environment of the services: this process's, then .env's, with what belongs together set here."""
        data, models, runs = (str(self.folder(path)) for path in (self.data_dir, self.models_dir, self.runs_dir))
        given = {name: value for name, value in dotenv_values(DOTENV).items() if value}
        return {
            **given,
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "INFERENCE_HOST": self.inference_host,
            "INFERENCE_PORT": str(self.inference_port),
            "INFERENCE_MODELS_DIR": models,
            "GATEWAY_HOST": self.gateway_host,
            "GATEWAY_PORT": str(self.gateway_port),
            "GATEWAY_INFERENCE_URL": self.url("inference"),
            "GATEWAY_REDIS_URL": redis_url,
            "GATEWAY_DATA_DIR": data,
            "GATEWAY_RUNS_DIR": runs,
            "GATEWAY_MODELS_DIR": models,
            "FRONTEND_HOST": self.frontend_host,
            "FRONTEND_PORT": str(self.frontend_port),
            "FRONTEND_GATEWAY_URL": self.url("gateway"),
            "TRAINER_REDIS_URL": redis_url,
            "TRAINER_DATA_DIR": data,
            "TRAINER_RUNS_DIR": runs,
            "TRAINER_MODELS_DIR": models,
        }
