"""The frontend's settings; the only place that reads its environment variables (`FRONTEND_...`)."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

MAX_UPLOAD_MB = 10
"""Largest picture in megabytes; the gateway refuses larger ones too."""


class Settings(BaseSettings):
    """Where the page is served, and where it finds the gateway."""

    model_config = SettingsConfigDict(env_prefix="FRONTEND_", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8501, ge=1, le=65535, description="Port to listen on.")
    gateway_url: str = Field("http://127.0.0.1:5001", description="Where this service reaches the gateway.")
    public_gateway_url: str | None = Field(None, description="The gateway's address as people reach it.")
    timeout_s: float = Field(60.0, gt=0, description="Longest wait for an answer of the gateway, in seconds.")

    @property
    def shown_gateway_url(self) -> str:
        """The gateway's address to show to people, without a slash at its end."""
        return (self.public_gateway_url or self.gateway_url).rstrip("/")
