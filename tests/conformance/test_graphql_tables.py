"""The GraphQL tables: queries of given resources, and the data, errors or refusals that they are answered with.

Each file of `graphql/` names its clause, the resources, and rows of a `query` of the system or of the resource `at`, with its
`variables` and `operation`. Expected are the `data`, and of each error the `code` and `path` (`errors`); or the issue code that the
query is `refused` with, and its `status` (400). `{"matches": pattern}` stands for a value; `says` is a text in the answer.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fhirserver.model.json import dump, parse
from tests.integration.serving import Server, serving_alone

TABLES = {path.stem: parse(path.read_bytes()) for path in sorted(Path(__file__).parent.glob("graphql/*.json"))}
ROWS = [pytest.param(row, id=f"{name}: {row['name']}") for name, table in TABLES.items() for row in table["rows"]]
KEYS = {"name", "clause", "at", "query", "variables", "operation", "data", "errors", "refused", "status", "says"}


@pytest.fixture(scope="module")
async def server(mongo_url: str) -> AsyncIterator[Server]:
    """An open server with the resources of all tables."""
    async with serving_alone(mongo_url) as running:
        for table in TABLES.values():
            for resource in table.get("resources", ()):
                path = f"/{resource['resourceType']}/{resource['id']}"
                headers = {"Content-Type": "application/fhir+json"}
                answer = await running("PUT", path, content=dump(resource), headers=headers)
                assert answer.status_code == 201, answer.text
        yield running


@pytest.mark.parametrize("row", ROWS)
async def test_a_query_is_answered_as_the_clause_says(server: Server, row: dict[str, Any]) -> None:
    place = f"/{row['at']}" if "at" in row else ""
    sent = {"query": row["query"], "variables": row.get("variables"), "operationName": row.get("operation")}
    answer = await server("POST", f"{place}/$graphql", json=sent)
    assert row.get("says", "") in answer.text, answer.text
    if "refused" in row:
        assert answer.status_code == row.get("status", 400), answer.text
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert {issue["code"] for issue in answer.json()["issue"]} == {row["refused"]}, answer.text
        return
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    found = parse(answer.content)
    assert fits(found["data"], row["data"]), found
    errors = [{"code": each["extensions"]["code"], "path": each["path"]} for each in found.get("errors", ())]
    assert errors == row.get("errors", []), found


def fits(value: Any, expected: Any) -> bool:
    """Whether data are as expected, the order of names apart."""
    if isinstance(expected, dict):
        if expected.keys() == {"matches"}:
            return isinstance(value, str) and re.fullmatch(expected["matches"], value) is not None
        if not isinstance(value, dict) or value.keys() != expected.keys():
            return False
        return all(fits(value[name], each) for name, each in expected.items())
    if isinstance(expected, list):
        return isinstance(value, list) and len(value) == len(expected) and all(map(fits, value, expected))
    return type(value) is type(expected) and bool(value == expected)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_one_that_the_runner_reads(name: str) -> None:
    table = TABLES[name]
    assert table["clause"].startswith("https://")
    assert [each for each, count in Counter(row["name"] for row in table["rows"]).items() if count > 1] == []
    for row in table["rows"]:
        assert row.keys() <= KEYS, row["name"]
        assert ("data" in row) != ("refused" in row), row["name"]
