"""The locks: every requirement has a version and hashes, no host is named, the two agree, and a server is given what it imports."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-server.lock")


def locked(name: str) -> dict[str, str]:
    """Package name to its version and hashes."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / name).read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return {line.split("==")[0]: " ".join(line.split()) for line in text.splitlines() if line.strip()}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_by_hash_and_names_no_host(name: str) -> None:
    assert [line for line in locked(name).values() if "==" not in line or "--hash=sha256:" not in line] == []
    assert not re.search(r"https?://|--index|--find-links|--extra|file:", (ROOT / name).read_text())


def test_what_a_server_needs_is_locked_alike_in_both() -> None:
    everything, server = (locked(name) for name in LOCKS)
    assert {name: everything.get(name) for name in server} == server


def test_every_requirement_of_the_project_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    assert {distribution(requirement) for requirement in wanted} <= set(locked("requirements.lock"))


def test_a_server_is_given_what_it_imports_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    trees = [ast.parse(path.read_text()) for path in (ROOT / "fhirserver").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    # A module may also be named as text: uvicorn is told of its loop so, and the pages look for their files.
    modules |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    installed = packages_distributions()
    imported = {name for module in modules for name in installed.get(module.partition(".")[0], ())}
    unread = {distribution(each) for each in project["dependencies"]} - {distribution(name) for name in imported}
    assert unread == set()


def distribution(requirement: str) -> str:
    """The name of what is required, as the locks write it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;\s]", requirement, maxsplit=1)[0].lower())


def test_the_lock_of_the_javascript_clients_pins_by_hash_and_names_no_host() -> None:
    folder = ROOT / "tests" / "e2e" / "clients" / "js"
    text = (folder / "package-lock.json").read_text()
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    packages = json.loads(text)["packages"]
    assert packages.pop("")["dependencies"] == wanted
    assert [name for name, each in packages.items() if not each["integrity"].startswith("sha512-")] == []
    assert not re.search(r"https?://|\"resolved\"", text)
