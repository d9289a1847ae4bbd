"""docker-compose.yml: every setting gets through, nothing is open that need not be."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.generate.configuration import SERVICES, settings_of, variable_name

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
# Inside a container the ports stay at their defaults; the key comes as a file.
NOT_PASSED = {f"META_LEARNING_{service.upper()}_PORT" for service in SERVICES} | {"META_LEARNING_OPERATOR_KEY"}


def service(name: str) -> dict[str, Any]:
    found: dict[str, Any] = COMPOSE["services"][name]
    return found


@pytest.mark.parametrize("name", SERVICES)
def test_every_setting_of_a_service_can_be_given_and_no_other(name: str) -> None:
    settings = settings_of(name)
    assert settings is not None
    known = {variable_name(field, info) for field, info in settings.model_fields.items()}
    given = set(service(name)["environment"]) - {"META_LEARNING_OPERATOR_KEY_FILE"}
    assert not known - NOT_PASSED - given, f"docker-compose.yml does not pass these to {name}"
    assert not given - known, f"{name} knows no such settings"


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_container_has_no_more_rights_than_it_needs(name: str) -> None:
    found = service(name)
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["mem_limit"]
    assert all(door.startswith("127.0.0.1:") for door in found.get("ports", ())), "published to this machine only"


def test_only_the_four_services_reach_the_broker() -> None:
    assert COMPOSE["networks"]["log"] == {"internal": True}
    assert {name for name, found in COMPOSE["services"].items() if "log" in found["networks"]} == {"broker", *SERVICES}


def test_keys_of_language_models_reach_the_evolver_alone() -> None:
    for name, found in COMPOSE["services"].items():
        holds = {key for key in found.get("environment", {}) if key.endswith("_API_KEY")}
        assert bool(holds) == (name == "evolver")


def test_who_reads_is_started_before_who_writes() -> None:
    waits = service("ingest")["depends_on"]
    assert {name: rule["condition"] for name, rule in waits.items()} == dict.fromkeys(
        ("broker", "trainer", "monitor"), "service_healthy"
    )


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_listens_where_the_compose_file_says(name: str) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stage = dockerfile.partition(f" AS {name}\n")[2].partition("\nFROM ")[0]
    port = service(name)["ports"][0].rpartition(":")[2]
    assert service(name)["build"]["target"] == name
    assert f"EXPOSE {port}\n" in stage
    assert f"http://127.0.0.1:{port}/healthz" in stage
    assert f'CMD ["python", "-m", "services.{name}"]' in stage


def test_docker_compose_accepts_the_file() -> None:
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode
    ):
        pytest.skip("docker compose is not installed")
    answer = subprocess.run(
        ["docker", "compose", "--project-directory", ROOT, "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
