"""What inference can be told, and what it says where it is told wrong."""

import pytest
from pydantic import ValidationError

from services.inference.settings import Settings, SettingsError, load_settings


def test_the_port_is_the_original_one() -> None:
    assert (load_settings().host, load_settings().port) == ("127.0.0.1", 5000)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("PORT", "70000", "must be at most 65535"),
        ("THREADS", "0", "must be at least 1"),
        ("LOG_LEVEL", "loud", "has a value that is not allowed; .env.example says what it may be"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(f"INFERENCE_{name}", value)

    with pytest.raises(SettingsError, match=rf"^INFERENCE_{name} {words}\.$"):
        load_settings()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().port = 1
