"""The terminology tables: code systems, value sets and concept maps given, questions about them, and what the answers are.

Each file of `terminology/` names its clause, what is `given` to all of its rows, and rows as those of the exchange tables.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.test_exchange_tables import check, run
from tests.integration.serving import Server, serving_alone

Row = dict[str, Any]

TABLES = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted(Path(__file__).parent.glob("terminology/*.json"))
}
ROWS = [pytest.param(row, id=f"{name}: {row['name']}") for name, table in TABLES.items() for row in table["rows"]]


@pytest.fixture(scope="module")
async def server(mongo_url: str) -> AsyncIterator[Server]:
    """An open server that holds what is given to all rows."""
    async with serving_alone(mongo_url) as running:
        given = {
            (each["resourceType"], each["id"]): each for table in TABLES.values() for each in table.get("given", ())
        }
        await running.put_all(given.values())
        yield running


@pytest.mark.parametrize("row", ROWS)
async def test_terminology_answers_as_the_clause_says(server: Server, row: Row) -> None:
    await run(server, row)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_one_that_the_runner_reads(name: str) -> None:
    check(TABLES[name])
