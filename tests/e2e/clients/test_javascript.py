"""fhir-kit-client and @medplum/core, run by Node.js: everything that they offer and the server has.

Each client's script does it all in one process; every interaction is a test of its own here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.e2e.clients.place import Place

FOLDER = Path(__file__).parent / "js"
CLIENTS = {"fhir-kit-client": "fhir-kit-client", "medplum": "@medplum/core"}
SECONDS = 240


def node(*words: str) -> str:
    found = shutil.which("node")
    if found is None or not (FOLDER / "node_modules").is_dir():
        pytest.skip("needs Node.js 20 or newer, and `npm ci` in tests/e2e/clients/js")
    done = subprocess.run(
        [found, "run.mjs", *words], cwd=FOLDER, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def names(client: str) -> tuple[str, ...]:
    """What the client's script does: the keys of its table, in quotes at the start of a line."""
    lines = (FOLDER / f"{client}.mjs").read_text(encoding="utf-8").splitlines()
    return tuple(line.split('"')[1] for line in lines if line.startswith('  "') and ": async" in line)


@cache
def results(client: str, place: Place) -> dict[str, str | None]:
    told: dict[str, str | None] = json.loads(node(client, place.base, *([place.token] if place.token else [])))
    return told


@pytest.mark.parametrize("client", CLIENTS)
def test_every_entry_of_the_scripts_table_is_a_test(client: str) -> None:
    assert json.loads(node(client)) == list(names(client))


@pytest.mark.parametrize(("client", "name"), [(client, name) for client in CLIENTS for name in names(client)])
def test_the_client_does(client: str, name: str, place: Place) -> None:
    assert results(client, place)[name] is None
