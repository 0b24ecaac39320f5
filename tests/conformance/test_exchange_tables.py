"""The exchange tables: given resources, requests, and what the answers are, over HTTP on a real database.

Each file of `exchange/` names its clause and holds rows: a `name`, the resources `given`, and either one step or several
(`steps`). A step has a `request` (`PATCH /Patient/{x}`), its `headers` and its body (`json`, or `text` as it is), and what is
expected: the `status`, `answer` headers, facts of the body (`body`) and texts that it `holds` or `lacks`. A fact is a dotted path
with its value; `*` gathers the items of an array, and in place of a value may stand `{"matches": pattern}`, `{"length": n}` or
`{"absent": true}`. `keep` names values for later steps: `{"seen": "meta.lastUpdated"}`, or `{"tag": "header etag"}`.
`{x}` is an id that no other row has.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.serving import FHIR, Server, serving_alone

Row = dict[str, Any]

TABLES = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted(Path(__file__).parent.glob("exchange/*.json"))
}
ROWS = [pytest.param(row, id=f"{name}: {row['name']}") for name, table in TABLES.items() for row in table["rows"]]
STEP_KEYS = {"request", "headers", "json", "text", "status", "answer", "body", "holds", "lacks", "keep"}
_ABSENT = object()


@pytest.fixture(scope="module")
async def server(mongo_url: str) -> AsyncIterator[Server]:
    """An open server on a database of its own; rows keep apart by the ids they use."""
    async with serving_alone(mongo_url) as running:
        yield running


@pytest.mark.parametrize("row", ROWS)
async def test_an_exchange_is_as_the_clause_says(server: Server, row: Row) -> None:
    await run(server, row)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_one_that_the_runner_reads(name: str) -> None:
    check(TABLES[name])


async def run(server: Server, row: Row) -> None:
    """Every step of a row, after what it is given."""
    kept = {"x": f"x-{uuid.uuid4().hex[:12]}"}
    for resource in filled(row.get("given", []), kept):
        await server.put(resource)
    for step in row.get("steps", [row]):
        answer = await asked(server, filled({key: step[key] for key in STEP_KEYS & step.keys()}, kept))
        for name, place in step.get("keep", {}).items():
            kept[name] = str(value_kept(answer, place))


def check(table: Row) -> None:
    """No key is misspelt, no name given twice, and every row says which status it expects."""
    assert table["clause"].startswith("https://")
    assert [each for each, count in Counter(row["name"] for row in table["rows"]).items() if count > 1] == []
    for row in table["rows"]:
        assert row.keys() <= STEP_KEYS | {"name", "clause", "given", "steps"}, row["name"]
        for step in row.get("steps", [row]):
            assert {"request", "status"} <= step.keys(), row["name"]
            assert "steps" not in row or step.keys() <= STEP_KEYS, row["name"]


async def asked(server: Server, step: Row) -> httpx.Response:
    """The answer of one step, after everything that it promises was looked at."""
    method, path = step["request"].split(" ", 1)
    headers = dict(step.get("headers", {}))
    content = json.dumps(step["json"]) if "json" in step else step.get("text")
    if content is not None and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json-patch+json" if method == "PATCH" else "application/fhir+json"
    answer = await server(method, path.removeprefix(FHIR), headers=headers, content=content)
    assert answer.status_code == step["status"], answer.text
    for name, expected in step.get("answer", {}).items():
        assert fits(answer.headers.get(name, _ABSENT), expected), (name, answer.headers)
    for place, expected in step.get("body", {}).items():
        assert fits(found(answer.json(), place.split(".")), expected), (place, answer.text)
    for text in step.get("holds", ()):
        assert text in answer.text, answer.text
    for text in step.get("lacks", ()):
        assert text not in answer.text, answer.text
    return answer


def fits(value: Any, expected: Any) -> bool:
    """Whether a value is as the fact says."""
    match expected:
        case {"matches": pattern}:
            return isinstance(value, str) and re.fullmatch(pattern, value) is not None
        case {"length": length}:
            return isinstance(value, list | dict) and len(value) == length
        case {"absent": True}:
            return value is _ABSENT
    return type(value) is type(expected) and bool(value == expected)


def found(value: Any, path: list[str]) -> Any:
    """What stands at a place of a body."""
    for position, name in enumerate(path):
        if name == "*":
            items = value if isinstance(value, list) else []
            return [each for item in items if (each := found(item, path[position + 1 :])) is not _ABSENT]
        if isinstance(value, list) and name.isdigit() and int(name) < len(value):
            value = value[int(name)]
        elif isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return [] if "*" in path[position:] else _ABSENT
    return value


def value_kept(answer: httpx.Response, place: str) -> Any:
    """A value for later steps: a header, or a place of the body."""
    if place.startswith("header "):
        return answer.headers[place.removeprefix("header ")]
    value = found(answer.json(), place.split("."))
    assert value is not _ABSENT, (place, answer.text)
    return value


def filled(value: Any, kept: dict[str, str]) -> Any:
    """The same with the kept values in their places."""
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: kept.get(found[1], found[0]), value)
    if isinstance(value, list):
        return [filled(each, kept) for each in value]
    if isinstance(value, dict):
        return {filled(name, kept): filled(each, kept) for name, each in value.items()}
    return value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def test_what_a_row_keeps_is_used() -> None:
    """A kept value that nobody asks for is a slip of the pen."""
    for param in ROWS:
        row = param.values[0]
        names = {name for step in row.get("steps", [row]) for name in step.get("keep", {})}
        texts = " ".join(_strings(row))
        assert [name for name in names if f"{{{name}}}" not in texts] == [], row["name"]
