"""Each index serves the query it is there for: an index scan, no sort in memory, documents examined close to documents returned."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fhirserver.search.expression import (
    All,
    And,
    Exists,
    Expression,
    In,
    Prefixed,
    Range,
    Within,
    all_of,
    negate,
)
from fhirserver.search.permit import Permit
from fhirserver.search.request import Include, SearchRequest, SortKey
from fhirserver.store import By, Derived, Store, Write
from fhirserver.store.connection.client import Mongo
from fhirserver.store.layout import indexes
from fhirserver.store.layout.indexes import Index
from tests.integration.store.conftest import SYSTEM

ROWS = 240
LEADS = 12
"""Distinct values at each lead; each has ROWS / LEADS documents."""

OF_PERMITS: dict[str, Expression] = {
    "owners": Within("security.owners", frozenset({"v3"})),
    "writer": In("by.principal", frozenset({"v3"})),
}
SORTS_WHAT_IT_FINDS = {"name", "family"}
"""A prefix is a range; behind it no order is kept."""

CASES = [(resource_type, index) for resource_type in ("Basic", *indexes.OF_TYPE) for index in indexes.of(resource_type)]


def _sort(index: Index) -> tuple[SortKey, ...]:
    path, direction = index.order[0]
    return () if path == "_id" else (SortKey("x", path, path, descending=direction < 0),)


def _question(resource_type: str, index: Index) -> tuple[SearchRequest, Permit]:
    permit = SYSTEM
    expression: Expression = All()
    if index.name in OF_PERMITS:
        rule = OF_PERMITS[index.name]
        permit = Permit((), lambda _: rule, lambda _: rule)
    elif index.name in SORTS_WHAT_IT_FINDS:
        expression = Prefixed(index.lead or "", "v3")
    elif index.lead is not None:
        expression = In(index.lead, frozenset({"v3"}))
    return SearchRequest(resource_type, expression, sort=_sort(index), count=10), permit


async def _fill(store: Store, resource_type: str) -> None:
    async def put(number: int) -> None:
        lead = f"v{number % LEADS}"
        fields: dict[str, Any] = {"index": {}, "sort": {}, "security": {"owners": [lead], "owner": lead}}
        for each in indexes.of(resource_type):
            for path, _ in each.keys:
                root = path.partition(".")[0]
                if root == "index":
                    _set(fields, path, [lead, f"only-{number}"])
                elif root == "sort":
                    _set(fields, path, number * 7 % ROWS)
                elif root == "security" and path != "security.owners":
                    _set(fields, path, lead)
        derived = Derived(**fields)
        by = By("r", lead, "c")
        resource = {"resourceType": resource_type, "id": f"n{number:04}"}
        await store.commit(Write("PUT", resource_type, f"n{number:04}", resource, derived, by, SYSTEM, may_create=True))

    await asyncio.gather(*(put(number) for number in range(ROWS)))


def _set(fields: dict[str, Any], path: str, value: Any) -> None:
    *steps, last = path.split(".")
    for step in steps:
        fields = fields.setdefault(step, {})
    fields[last] = value


async def _profiled(mongo: Mongo, resource_type: str) -> list[dict[str, Any]]:
    rows = await mongo.database["system.profile"].find({"ns": f"{mongo.database.name}.{resource_type}"}).to_list()
    return [row for row in rows if row["op"] in ("query", "command")]


@pytest.mark.parametrize("resource_type", ["Basic", *indexes.OF_TYPE])
async def test_every_index_serves_its_query(store: Store, mongo: Mongo, resource_type: str) -> None:
    asked = [index for index in indexes.of(resource_type) if index is not indexes.SHARED]
    await _fill(store, resource_type)
    await mongo.command({"profile": 2})
    try:
        for index in asked:
            search, permit = _question(resource_type, index)
            page = await store.find(search, permit)
            assert len(page.matches) == 10, index.serves
            again = await store.find(search, permit, position=page.next)
            assert len(again.matches) == 10, index.serves
    finally:
        await mongo.command({"profile": 0})
    seen = await _profiled(mongo, resource_type)
    assert len(seen) >= 2 * len(asked)
    for row in seen:
        filter = row["command"]["filter"]
        assert "COLLSCAN" not in row["planSummary"], filter
        assert "IXSCAN" in row["planSummary"], filter
        is_prefix = "$regex" in str(filter)
        assert row.get("hasSortStage", False) <= is_prefix, filter
        assert row["docsExamined"] <= (ROWS / LEADS + 5 if is_prefix else row["nreturned"] * 1.5 + 15), (
            row["planSummary"],
            filter,
        )


async def test_what_a_patient_shares_is_found_without_a_look_at_what_is_hers_alone(
    store: Store, mongo: Mongo, writing: Any
) -> None:
    await asyncio.gather(*(writing.put(f"hers{n}", subject=[{"reference": "Patient/a"}]) for n in range(100)))
    await asyncio.gather(
        *(writing.put(f"both{n}", subject=[{"reference": "Patient/a"}, {"reference": "Patient/b"}]) for n in range(3))
    )
    several = all_of(In("security.owners", frozenset({"a"})), negate(Exists("security.owner")))
    await mongo.command({"profile": 2})
    try:
        assert len(await store.facts("Observation", several, SYSTEM)) == 3
    finally:
        await mongo.command({"profile": 0})
    (row,) = await _profiled(mongo, "Observation")
    assert (row["docsExamined"], row["keysExamined"] < 10) == (3, True)


async def test_a_reverse_include_and_a_reference_without_an_index_of_its_own_use_the_references(
    store: Store, mongo: Mongo, writing: Any
) -> None:
    await asyncio.gather(*(writing.put(f"p{n}", "Patient") for n in range(5)))
    await asyncio.gather(*(writing.put(f"n{n}", performers=[f"Patient/p{n % 50}"]) for n in range(200)))
    await mongo.command({"profile": 2})
    try:
        include = Include("Observation", "performer", None, reverse=True)
        page = await store.find(SearchRequest("Patient", In("_id", frozenset({"p1"})), includes=(include,)), SYSTEM)
        assert len(page.included) == 4
        by_performer = In("index.performer.r", frozenset({"Patient/p2"}))
        assert len((await store.find(SearchRequest("Observation", by_performer), SYSTEM)).matches) == 4
    finally:
        await mongo.command({"profile": 0})
    seen = await _profiled(mongo, "Observation")
    assert [row["planSummary"] for row in seen] == ["IXSCAN { index._refs: 1, _id: 1 }"] * 2
    assert all(row["docsExamined"] == 4 and not row.get("hasSortStage") for row in seen)


async def test_by_time_in_both_directions(store: Store, mongo: Mongo, writing: Any) -> None:
    for n in range(40):
        await writing.put(f"n{n}")
    versions = (await store.find(SearchRequest("Observation", All(), count=40), SYSTEM)).matches
    moments = sorted(version.updated for version in versions)
    await mongo.command({"profile": 2})
    try:
        for descending in (False, True):
            sort = (SortKey("_lastUpdated", "updated", "updated", descending),)
            page = await store.find(SearchRequest("Observation", All(), sort=sort, count=5), SYSTEM)
            assert [version.updated for version in page.matches] == (moments[:-6:-1] if descending else moments[:5])
            page = await store.find(SearchRequest("Observation", All(), sort=sort, count=5), SYSTEM, position=page.next)
            assert len(page.matches) == 5
        late = SearchRequest("Observation", Range("updated", moments[-1], None))
        assert len((await store.find(late, SYSTEM)).matches) >= 1
    finally:
        await mongo.command({"profile": 0})
    seen = await _profiled(mongo, "Observation")
    assert [row["planSummary"] for row in seen[:4]] == ["IXSCAN { updated: 1, _id: 1 }"] * 4
    assert all(row["docsExamined"] <= 12 and not row.get("hasSortStage") for row in seen[:4])


async def test_a_patient_and_a_code_use_the_pair(store: Store, mongo: Mongo, writing: Any) -> None:
    await asyncio.gather(
        *(
            writing.put(f"n{n}", subject=[{"reference": f"Patient/p{n % 2}"}], codes=[f"c{n % 10}"], date=n)
            for n in range(200)
        )
    )
    expression = And(
        (
            In("index.patient.r", frozenset({"Patient/p1"})),
            In("index.code", frozenset({"c1"})),
            In("index._pair", frozenset({"Patient/p1|c1"})),
        )
    )
    sort = (SortKey("date", "sort.date.lo", "sort.date.hi", descending=True),)
    await mongo.command({"profile": 2})
    try:
        page = await store.find(SearchRequest("Observation", expression, sort=sort, count=5), SYSTEM)
    finally:
        await mongo.command({"profile": 0})
    assert [version.id for version in page.matches] == ["n191", "n181", "n171", "n161", "n151"]
    (row,) = await _profiled(mongo, "Observation")
    assert row["planSummary"].startswith("IXSCAN { index._pair: 1")
    assert (row["docsExamined"], row["nreturned"]) == (6, 6)


def test_no_index_has_two_arrays() -> None:
    """`index.*` and `security.owners` are arrays; everything else that is indexed is one value."""
    for resource_type in ("Basic", *indexes.OF_TYPE):
        for index in indexes.of(resource_type):
            arrays = [path for path, _ in index.keys if path.startswith("index.") or path == "security.owners"]
            assert len(arrays) <= 1, index.name


def test_a_document_is_in_at_most_a_dozen_indexes_and_those_of_what_few_have() -> None:
    for resource_type in ("Basic", *indexes.OF_TYPE):
        names = [index.name for index in indexes.of(resource_type)]
        assert len(names) == len(set(names)) <= 16
        assert sum(not index.is_partial for index in indexes.of(resource_type)) <= 12
