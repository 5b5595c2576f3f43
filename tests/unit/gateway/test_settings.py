"""What the gateway can be told, and what it says where it is told wrong."""

import pytest
from pydantic import ValidationError

from services.gateway.settings import Settings, SettingsError, load_settings

NOT_ALLOWED = "has a value that is not allowed; .env.example says what it may be"


@pytest.fixture(autouse=True)
def _address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_REDIS_URL", "redis://127.0.0.1:6379/0")


def test_the_ports_are_the_original_ones() -> None:
    settings = load_settings()

    assert (settings.host, settings.port, settings.inference_url) == ("127.0.0.1", 5001, "http://127.0.0.1:5000")


def test_a_missing_queue_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GATEWAY_REDIS_URL")

    with pytest.raises(SettingsError, match=r"^Set GATEWAY_REDIS_URL to the queue's address"):
        load_settings()


def test_inference_may_have_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_INFERENCE_URL", "http://first:5000, https://second/below")

    assert load_settings().inference_url == "http://first:5000, https://second/below"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "70000", "must be at most 65535"),
        ("THREADS", "many", "must be a whole number"),
        ("INFERENCE_URL", "localhost", NOT_ALLOWED),
        ("INFERENCE_URL", "http://first:5000,second:5000", NOT_ALLOWED),
        ("INFERENCE_URL", "http://first:5000,", NOT_ALLOWED),
        ("INFERENCE_URL", "http://first:70000", NOT_ALLOWED),
        ("INFERENCE_URL", "http://[::1", NOT_ALLOWED),
        ("LOG_LEVEL", "loud", NOT_ALLOWED),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(f"GATEWAY_{name}", value)

    with pytest.raises(SettingsError, match=rf"^GATEWAY_{name} {words}\.$"):
        load_settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1
