"""The search tables of what reaches further than one type: asked of a whole server, over small worlds.

Tables that name a `world` have rows of a query with the ids of the matches (`finds`) and of what comes along (`includes`), or with
the issue code that it is refused with (`refused`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.integration.serving import Server, serving_alone

FOLDER = Path(__file__).parent / "search"
TABLES = {
    path.stem: table
    for path in sorted(FOLDER.glob("*.json"))
    if "world" in (table := json.loads(path.read_text("utf-8")))
}
ROWS = [
    pytest.param(table["world"], row, id=f"{name}: {row['search']}"[:120])
    for name, table in TABLES.items()
    for row in table["rows"]
]


@pytest.fixture(scope="module")
async def servers(mongo_url: str) -> AsyncIterator[dict[str, Server]]:
    """A server for each world."""
    async with AsyncExitStack() as running:
        servers = {}
        for name in {table["world"] for table in TABLES.values()}:
            world = json.loads((FOLDER / "worlds" / f"{name}.json").read_text("utf-8"))
            servers[name] = server = await running.enter_async_context(serving_alone(mongo_url))
            for resource in world["resources"]:
                await server.put(resource)
            for address in world["deleted"]:
                assert (await server("DELETE", f"/{address}")).status_code == 204
        yield servers


@pytest.mark.parametrize(("world", "row"), ROWS)
async def test_a_search_finds_what_the_clause_says(servers: dict[str, Server], world: str, row: dict[str, Any]) -> None:
    resource_type, _, query = row["search"].partition("?")
    pairs = [*parse_qsl(query, keep_blank_values=True), *([] if "_count=" in query else [("_count", "50")])]
    answer = await servers[world](
        "POST", f"/{resource_type}/_search" if resource_type else "/_search", data=_form(pairs)
    )
    if "refused" in row:
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, row["refused"]), answer.text
        return
    assert answer.status_code == 200, answer.text
    entries = answer.json().get("entry", [])
    found = {
        mode: sorted(each["resource"]["id"] for each in entries if each["search"]["mode"] == mode)
        for mode in ("match", "include")
    }
    assert found["match"] == sorted(row["finds"])
    assert found["include"] == sorted(row.get("includes", []))


def _form(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def test_the_tables_are_large_and_say_why() -> None:
    """Every row has its reason, every table its clause."""
    assert len(ROWS) >= 110
    assert all(row["because"] for table in TABLES.values() for row in table["rows"])
    assert all(table["clause"].startswith("https://hl7.org/fhir/R4/") for table in TABLES.values())
