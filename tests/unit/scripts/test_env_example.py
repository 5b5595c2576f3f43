"""The file .env.example lists every variable of every settings class, with its true default and a line of help."""

import importlib
import re
from enum import Enum
from typing import Any

import pytest
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from scripts.stack_settings import ROOT

MODULES = (
    "scripts.stack_settings",
    "services.inference.settings",
    "services.gateway.settings",
    "services.frontend.settings",
    "trainer.settings",
)
READ_BY_COMPOSE_ALONE = {"TORCH_INDEX"}
LINES = (ROOT / ".env.example").read_text().splitlines()
ASSIGNMENT = re.compile(r"#([A-Z][A-Z0-9_]*)=(.*)")


def listed() -> dict[str, str]:
    return dict(match.groups() for line in LINES if (match := ASSIGNMENT.fullmatch(line)))


def written(default: Any) -> str:
    """Return a default as it is written in an environment."""
    if default is None or default is PydanticUndefined:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Enum):
        return str(default.value)
    return f"{default:g}" if isinstance(default, float) else str(default)


def variables(module: str) -> dict[str, str]:
    """Return variable to written default of a module's settings class."""
    settings: type[BaseSettings] = importlib.import_module(module).Settings
    prefix = settings.model_config.get("env_prefix", "")
    return {f"{prefix}{name}".upper(): written(field.default) for name, field in settings.model_fields.items()}


@pytest.mark.parametrize("module", MODULES)
def test_every_variable_is_listed_with_its_default(module: str) -> None:
    shown = listed()
    assert {name: shown.get(name) for name in variables(module)} == variables(module)


def test_nothing_is_listed_that_nobody_reads() -> None:
    known = {name for module in MODULES for name in variables(module)}
    assert set(listed()) - known == READ_BY_COMPOSE_ALONE


def test_no_variable_is_listed_twice() -> None:
    names = [match.group(1) for line in LINES if (match := ASSIGNMENT.fullmatch(line))]
    assert len(names) == len(set(names))


def test_each_variable_has_a_line_of_help_above_it() -> None:
    above = {line: LINES[index - 1] for index, line in enumerate(LINES) if ASSIGNMENT.fullmatch(line)}
    assert [line for line, help_line in above.items() if not help_line.startswith("# ")] == []
