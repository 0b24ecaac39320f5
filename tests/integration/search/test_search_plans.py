"""No shape of search scans a collection: each is led by an index, or says what to add.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from fhirserver.bench.population import population
from fhirserver.bench.shapes import Shape, shapes
from tests.integration.serving import Server, serving_alone

PATIENTS = 40
UNSERVED = {"status, rare, alone"}
"""What no index leads: found by looking at documents in the order of their ids, in a part of the time."""
EXAMINED = 150
"""Documents that a selective search may look at, however many there are; the trials of several plans are among them."""


@pytest.fixture(scope="module")
async def populated(mongo_url: str) -> AsyncIterator[tuple[Server, Any]]:
    """A server with a population, and its database."""
    async with serving_alone(mongo_url) as server, AsyncMongoClient[dict[str, Any]](mongo_url) as client:
        resources = list(population(PATIENTS))
        for start in range(0, len(resources), 500):
            await server.put_all(resources[start : start + 500])
        yield server, client[server.application.settings.database]


@pytest.mark.parametrize("shape", shapes(PATIENTS), ids=lambda shape: shape.name)
async def test_a_shape_is_led_by_an_index(populated: tuple[Server, Any], shape: Shape) -> None:
    server, database = populated
    await database["system.profile"].drop()
    await database.command({"profile": 2})
    try:
        answer = await server("GET", f"/{shape.address(5)}")
    finally:
        await database.command({"profile": 0})
    assert answer.status_code == 200, answer.text
    rows = await database["system.profile"].find({"op": {"$in": ["query", "command"]}}).to_list()
    plans = [row for row in rows if row["ns"].rpartition(".")[2][:1].isupper() and "planSummary" in row]
    assert plans, [row["ns"] for row in rows]
    for row in plans:
        assert "COLLSCAN" not in row["planSummary"], row["command"]
        if shape.is_selective and shape.name not in UNSERVED:
            assert row["docsExamined"] <= EXAMINED, (row["planSummary"], row["command"])


LABELLED = [
    ("/Condition?_tag=urn:t|rare", ["c0"]),
    ("/Condition?_tag=rare,absent", ["c0"]),
    ("/Condition?_tag=urn:t|", ["c0"]),
    ("/Condition?_profile=http://p.example.org/a", ["c1"]),
    ("/Condition?_profile:below=http://p.example.org", ["c1"]),
    ("/Condition?_security=urn:s|x&_sort=-_lastUpdated", ["c2"]),
    ("/Condition?_source=urn:source", ["c3"]),
    ("/Condition?_content=metastasis", ["c4"]),
    ("/Condition?_text=(bone or liver) and metastases", ["c5"]),
    ("/Condition?_content=bone,absent&_sort=_id", ["c4", "c5"]),
    ("/Condition?_tag:not=rare&_id=c0,c1", ["c1"]),
    ("/Patient?identifier:of-type=urn:kind|MR|rare", ["typed"]),
]


@pytest.fixture(scope="module")
async def labelled(populated: tuple[Server, Any]) -> tuple[Server, Any]:
    """Conditions of which six have something that the other three hundred have not."""
    server, database = populated
    rare: list[dict[str, Any]] = [
        {"meta": {"tag": [{"system": "urn:t", "code": "rare"}]}},
        {"meta": {"profile": ["http://p.example.org/a"]}},
        {"meta": {"security": [{"system": "urn:s", "code": "x"}]}},
        {"meta": {"source": "urn:source"}},
        {"code": {"text": "Metastasis in the bone"}},
        {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">bone metastases</div>'}},
    ]
    for number in range(300):
        more = rare[number] if number < len(rare) else {}
        subject = {"reference": "Patient/p000001"}
        await server.put({"resourceType": "Condition", "id": f"c{number}", "subject": subject, **more})
    kind = {"coding": [{"system": "urn:kind", "code": "MR"}]}
    await server.put({"resourceType": "Patient", "id": "typed", "identifier": [{"type": kind, "value": "rare"}]})
    return server, database


@pytest.mark.parametrize(("address", "found"), LABELLED)
async def test_labels_and_words_are_led_by_an_index(
    labelled: tuple[Server, Any], address: str, found: list[str]
) -> None:
    server, database = labelled
    await database["system.profile"].drop()
    await database.command({"profile": 2})
    try:
        answer = await server("GET", address)
    finally:
        await database.command({"profile": 0})
    assert sorted(each["resource"]["id"] for each in answer.json()["entry"]) == found
    rows = await database["system.profile"].find({"op": {"$in": ["query", "command"]}}).to_list()
    examined = [
        row["docsExamined"] for row in rows if row["ns"].endswith((".Condition", ".Patient")) and "planSummary" in row
    ]
    assert examined
    assert max(examined) <= len(found) + 5, [row.get("planSummary") for row in rows]
