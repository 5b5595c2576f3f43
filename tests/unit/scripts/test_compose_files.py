"""The compose files set what somebody reads, build what there is, and publish nothing beyond this machine."""

import re
from typing import Any

import pytest
import yaml

from scripts.stack_settings import ROOT
from tests.unit.scripts.test_env_example import MODULES, variables

FILES = sorted(ROOT.glob("docker-compose*.yml"))
OURS = re.compile(r"(?:GATEWAY|INFERENCE|FRONTEND|TRAINER)_\w+")
KEYS_SETTINGS = {"GATEWAY_ADMIN_KEY", "GATEWAY_KEYS_FILE"}


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / name).read_text())["services"]
    return found


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_every_variable_that_is_set_is_a_setting(name: str) -> None:
    known = {variable for module in MODULES for variable in variables(module)} | KEYS_SETTINGS
    given = {name for service in services(name).values() for name in service.get("environment", {})}
    assert {name for name in given if OURS.fullmatch(name)} <= known


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_every_image_that_is_built_has_its_target(name: str) -> None:
    targets = set(re.findall(r"^FROM \S+ AS (\w+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    built = [service["build"]["target"] for service in services(name).values() if "build" in service]
    assert set(built) <= targets


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_ports_are_published_on_the_loopback_alone(name: str) -> None:
    ports = [port for service in services(name).values() for port in service.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_of_the_services_the_gateway_alone_gets_the_admin_key() -> None:
    given = {name: service.get("environment", {}) for name, service in services("docker-compose.yml").items()}
    with_env_file = {name for name, service in services("docker-compose.yml").items() if service.get("env_file")}
    blanked = {name for name, environment in given.items() if environment.get("GATEWAY_ADMIN_KEY") == ""}
    assert with_env_file - blanked == {"gateway"}


@pytest.mark.parametrize("name", [file.name for file in FILES if "gpu" not in file.name])
def test_no_service_has_a_capability_or_a_log_without_an_end(name: str) -> None:
    whole = {service: about for service, about in services(name).items() if "image" in about}
    assert whole
    for service, about in whole.items():
        assert (about["cap_drop"], about.get("cap_add", [])) == (["ALL"], []), service
        assert set(about["logging"]["options"]) == {"max-size", "max-file"}, service


def test_the_queue_is_the_images_own_user_who_may_read_what_it_wrote_before() -> None:
    """As root without capabilities its entry point fails on the second start, at the folder that the first one made."""
    assert services("docker-compose.yml")["queue"]["user"] == "redis"


def test_of_the_services_those_alone_get_the_storages_secrets_that_use_it() -> None:
    """obstore's, of each kind of storage; the others' values in .env are blanked."""
    base = services("docker-compose.yml")
    secrets = {name for name, value in base["gateway"]["environment"].items() if re.match("AWS|AZURE|GOOGLE", name)}
    assert {"AWS_SECRET_ACCESS_KEY", "AZURE_STORAGE_ACCESS_KEY", "GOOGLE_SERVICE_ACCOUNT_KEY"} <= secrets
    for name in ("models", "inference", "gateway", "frontend"):
        assert {base[name]["environment"].get(secret) for secret in secrets} == {""}, name
    assert base["trainer"]["environment"]["TRAINER_STORAGE_URL"] == ""  # without `sync` nobody would queue what is lost
    assert services("docker-compose.remote.yml")["trainer"]["environment"]["TRAINER_STORAGE_URL"].startswith("${")


def test_no_two_services_that_are_built_at_once_have_one_image() -> None:
    both = services("docker-compose.yml") | {
        name: service for name, service in services("docker-compose.remote.yml").items() if "build" in service
    }
    images = [service["image"] for service in both.values() if "build" in service]
    assert len(images) == len(set(images)) > 4


def test_two_stacks_on_one_machine_have_images_of_their_own() -> None:
    built = [service["image"] for file in FILES for service in services(file.name).values() if "build" in service]
    assert built
    assert all(image.startswith("${COMPOSE_PROJECT_NAME}-") for image in built)
