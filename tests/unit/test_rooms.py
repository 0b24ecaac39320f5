"""The rooms: small enough to be looked through, named for what they are, and each saying what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "fhirserver"
ROOMS = sorted(path.parent for path in ROOT.rglob("__init__.py") if path.parent != ROOT)
FILES = sorted(ROOT.rglob("*.py"))
MOST_ENTRIES = 14
MOST_LINES = 600
NO_NAMES = {"utils", "helpers", "common", "base", "manager"}


def entries(room: Path) -> list[str]:
    return [path.name for path in room.iterdir() if path.name != "__pycache__"]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_can_be_looked_through(room: Path) -> None:
    assert len(entries(room)) <= MOST_ENTRIES


def test_no_file_is_too_long_to_be_read() -> None:
    assert [str(path) for path in FILES if path.read_text("utf-8").count("\n") > MOST_LINES] == []


def test_nothing_is_named_for_holding_anything() -> None:
    assert [str(path) for path in (*FILES, *ROOMS) if path.stem in NO_NAMES] == []


def test_every_file_opens_with_what_it_is() -> None:
    assert [str(path) for path in FILES if not ast.get_docstring(ast.parse(path.read_text("utf-8")))] == []
