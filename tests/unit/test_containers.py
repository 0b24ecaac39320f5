"""The container files say what the README promises, and name only what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest) for name, rest in (line.split(maxsplit=1) for line in lines)]


def test_mongodb_is_a_replica_set_that_is_formed_before_the_server_starts(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services["mongo"]["image"].startswith("mongo:8")
    name = services["mongo"]["command"][services["mongo"]["command"].index("--replSet") + 1]
    assert services["mongo-init"]["image"] == services["mongo"]["image"]
    assert services["mongo-init"]["depends_on"]["mongo"]["condition"] == "service_healthy"
    assert f'rs.initiate({{_id: "{name}"' in services["mongo-init"]["command"][-1]
    assert services["server"]["depends_on"]["mongo-init"]["condition"] == "service_completed_successfully"
    assert services["server"]["environment"]["FHIRSERVER_MONGO_URL"].endswith(f"replicaSet={name}")


def test_mongodb_logs_no_query(compose: dict[str, Any]) -> None:
    command = compose["services"]["mongo"]["command"]
    assert command[command.index("--slowOpSampleRate") + 1] == "0"


def test_mongodb_is_reached_by_the_server_alone(compose: dict[str, Any]) -> None:
    mongo = compose["services"]["mongo"]
    assert "ports" not in mongo
    assert [compose["networks"][name] for name in mongo["networks"]] == [{"internal": True}]


def test_every_volume_and_network_is_declared(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert set(service["networks"]) <= set(compose["networks"])
        named = {volume.split(":")[0] for volume in service.get("volumes", ())}
        assert named <= set(compose["volumes"])


def test_both_have_a_health_check(compose: dict[str, Any], instructions: list[tuple[str, str]]) -> None:
    assert compose["services"]["mongo"]["healthcheck"]["test"][0] == "CMD"
    (check,) = [rest for name, rest in instructions if name == "HEALTHCHECK"]
    command = json.loads(check[check.index("[") :])
    assert "/health/ready" in command[-1]
    compile(command[-1], "HEALTHCHECK", "exec")


def test_the_server_does_not_run_as_root(instructions: list[tuple[str, str]]) -> None:
    last_stage = max(i for i, (name, _) in enumerate(instructions) if name == "FROM")
    names = [name for name, _ in instructions]
    (user,) = [rest for name, rest in instructions[last_stage:] if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert names.index("USER", last_stage) < names.index("ENTRYPOINT", last_stage)


def test_the_image_is_built_from_the_lock_and_from_files_that_are_there(instructions: list[tuple[str, str]]) -> None:
    copied = [rest.split()[:-1] for name, rest in instructions if name == "COPY" and not rest.startswith("--from")]
    sources = [source for sources in copied for source in sources]
    assert "requirements-server.lock" in sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {Path(source).name for source in sources} <= sent
    assert any("--require-hashes -r requirements-server.lock" in rest for name, rest in instructions if name == "RUN")
