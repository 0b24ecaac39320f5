"""Histories of types over the feed, beside the definition: what a permit shows of every version, counted out one by one."""

from __future__ import annotations

import random
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from fhirserver.model.outcome import TooCostly
from fhirserver.search.expression import (
    All,
    Exists,
    Expression,
    In,
    Nothing,
    Prefixed,
    Range,
    Within,
    all_of,
    any_of,
    negate,
)
from fhirserver.search.match import match
from fhirserver.search.permit import Permit
from fhirserver.store import By, Mark, Span, Store
from fhirserver.store.connection.client import Mongo
from fhirserver.store.history import feed
from fhirserver.store.history.histories import Histories, _between, _wanted
from tests.integration.store.conftest import SYSTEM, Writing, derive, permit

TYPES = ("Observation", "Condition", "Basic")
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def owners(*ids: str) -> Expression:
    return Within("security.owners", frozenset(ids))


def wrote(*users: str) -> Expression:
    return In("by.principal", frozenset(users))


PERMITS: dict[str, Expression] = {
    "everything": All(),
    "nothing": Nothing(),
    "one owner": owners("a"),
    "two owners": owners("a", "b"),
    "an owner among others": In("security.owners", frozenset({"c"})),
    "what she wrote": wrote("Practitioner/one"),
    "an owner's, or what she wrote": any_of(owners("b"), wrote("Practitioner/two")),
    "an owner's that she wrote": all_of(owners("a"), wrote("Practitioner/one")),
    "nobody's": negate(Exists("security.owners")),
    "not one owner's": all_of(Exists("security.owners"), negate(In("security.owners", frozenset({"b"})))),
    "what the feed does not know": In("security.owner", frozenset({"a"})),
    "not what the feed does not know": negate(In("security.owner", frozenset({"a"}))),
    "a class, and what the feed does not know": all_of(
        In("security.class", frozenset({"patient"})), any_of(Exists("security.owner"), wrote("Practitioner/two"))
    ),
    "a prefix": Prefixed("by.principal", "Practitioner/t"),
    "a range": Range("security.owners", "b", None),
}


@dataclass(frozen=True)
class Record:
    """A version as it was written."""

    type: str
    id: str
    version: int
    updated: datetime
    facts: dict[str, Any]
    deleted: bool


class Stepping:
    """A clock that moves when it is asked to."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def database(mongo_url: str) -> Iterator[str]:
    """The database of this file."""
    name = f"histories{uuid.uuid4().hex[:12]}"
    yield name
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client.drop_database(name)


@pytest.fixture(scope="module")
async def mongo(mongo_url: str, database: str) -> AsyncIterator[Mongo]:
    """The same database, past the store."""
    connection = Mongo(mongo_url, database)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def records(mongo_url: str, database: str) -> AsyncIterator[tuple[Store, list[Record]]]:
    """Two hundred versions: owners and writers change, deletions and returns, several at one instant."""
    clock = Stepping()
    store = await Store.open(mongo_url, database, derive, clock=clock)
    yield store, await _written(store, clock)
    await store.close()


async def _written(store: Store, clock: Stepping) -> list[Record]:
    writing = Writing(store)
    chance = random.Random(11)
    found: list[Record] = []
    last: dict[tuple[str, str], Record] = {}
    for _ in range(200):
        clock.now += timedelta(milliseconds=chance.choice([0, 1, 1, 7]))
        key = (chance.choice(TYPES), f"r{chance.randrange(12)}")
        by = By("request", chance.choice(["Practitioner/one", "Practitioner/two", "operator"]), "client")
        before = last.get(key)
        if before is not None and not before.deleted and chance.random() < 0.2:
            write = writing.write("DELETE", key[1], key[0], options={"by": by})
        else:
            whom = chance.choice([[], ["a"], ["b"], ["a", "b"], ["c"], ["a", "c"]])
            subject = [{"reference": f"Patient/{each}"} for each in whom]
            write = writing.write("PUT", key[1], key[0], options={"by": by}, subject=subject)
        written = await store.commit(write)
        version = written.version
        security = write.derived.security if write.method == "PUT" else before.facts["security"]
        facts = {"_id": key[1], "by": {"principal": by.principal}, "security": security, "deleted": version.deleted}
        last[key] = Record(*key, version.version, version.updated, facts, version.deleted)
        found.append(last[key])
    return found


def expected(records: list[Record], span: Span, visible: Expression) -> list[tuple[str, str, int]]:
    """The definition: each version's own facts and the current version's satisfy the permit; and then time."""
    current = {(each.type, each.id): each for each in records}
    seen = [
        each
        for each in records
        if each.type in span.types and match(visible, each.facts) and match(visible, current[each.type, each.id].facts)
    ]
    shown = []
    for each in seen:
        after = [
            other.updated
            for other in seen
            if (other.type, other.id) == (each.type, each.id) and other.version > each.version
        ]
        if span.since is not None and each.updated < span.since:
            continue
        if span.at is not None and (each.updated > span.at[1] or (after and after[0] <= span.at[0])):
            continue
        shown.append((each.type, each.id, each.version))
    return shown if span.oldest_first else shown[::-1]


async def walked(store: Store, span: Span, visible: Permit) -> list[tuple[str, str, int]]:
    """All pages, each as full as it can be."""
    found: list[tuple[str, str, int]] = []
    after: Mark | None = None
    while True:
        page = await store.histories(span, visible, after=after)
        found += [(each.resource_type, each.id, each.version) for each in page.versions]
        assert len(page.versions) == span.count or page.next is None
        if page.next is None:
            return found
        after = page.next


@pytest.mark.parametrize("name", PERMITS)
async def test_a_history_shows_what_the_definition_says(records: tuple[Store, list[Record]], name: str) -> None:
    """With every permit: by type and over all, from an instant, at an instant, both ways, in pages of any size."""
    store, written = records
    chance = random.Random(name)
    moments = [each.updated for each in written]
    for _ in range(12):
        first, last = sorted(chance.choices(moments, k=2))
        between = timedelta(microseconds=chance.choice([0, 0, 1, 499, 999]))
        span = Span(
            types=chance.choice([TYPES, TYPES[:2], *((each,) for each in TYPES)]),
            count=chance.choice([1, 3, 20, 500]),
            since=chance.choice([None, None, first + between]),
            at=chance.choice([None, None, (first, first), (first + between, last + between)]),
            oldest_first=chance.random() < 0.5,
        )
        assert await walked(store, span, permit(PERMITS[name])) == expected(written, span, PERMITS[name]), span


async def test_the_feed_leaves_nothing_out_that_the_permit_shows(records: tuple[Store, list[Record]]) -> None:
    """`loosened` is true of a row wherever the expression is true of its version; under a negation as well."""
    _, written = records
    for each in written:
        row = {
            "owners": each.facts["security"]["owners"],
            "class": each.facts["security"]["class"],
            "principal": each.facts["by"]["principal"],
        }
        for expression in (*PERMITS.values(), *map(negate, PERMITS.values())):
            if match(expression, each.facts):
                assert match(feed.loosened(expression), row), expression


async def test_versions_have_their_texts(records: tuple[Store, list[Record]]) -> None:
    store, written = records
    page = await store.histories(Span(TYPES, 500), SYSTEM)
    assert len(page.versions) == len(written)
    for version in page.versions:
        assert (version.json is None) is version.deleted
        if version.json is not None:
            assert f'"versionId":"{version.version}"'.encode() in version.json
            assert f'"id":"{version.id}"'.encode() in version.json


@pytest.mark.parametrize(
    ("types", "expression", "index"),
    [
        (("Observation",), All(), "type"),
        (("Observation",), owners("a"), "type"),
        (TYPES, All(), "type"),
        (TYPES * 9, All(), "time"),
        (TYPES, any_of(owners("a"), wrote("Practitioner/one")), "type"),
    ],
)
async def test_a_page_is_read_in_the_order_of_an_index(
    records: tuple[Store, list[Record]], mongo: Mongo, types: tuple[str, ...], expression: Expression, index: str
) -> None:
    """No sort in memory, and no row looked at behind the end of the page but those that the permit hides."""
    for span in (Span(types, 5), Span(types, 5, since=BEGIN), Span(types, 5, oldest_first=True)):
        wanted = _wanted(span, permit(expression))
        assert wanted is not None
        assert wanted.hint == index
        direction = 1 if span.oldest_first else -1
        command = {
            "find": "feed",
            "filter": {"$and": [wanted.filter, _between(span, None)]},
            "sort": {"updated": direction, "_id": direction},
            "limit": 6,
            "hint": wanted.hint,
        }
        plan = await mongo.command({"explain": command, "verbosity": "executionStats"})
        text = str(plan["queryPlanner"]["winningPlan"])
        assert "COLLSCAN" not in text
        assert "'SORT'" not in text
        if isinstance(expression, All):
            assert plan["executionStats"]["totalDocsExamined"] <= 6 + len(types)


async def test_a_walk_without_end_is_refused(
    records: tuple[Store, list[Record]], mongo_url: str, database: str
) -> None:
    """The bound on time is said, and not kept by a page that looks whole."""
    hurried = Mongo(mongo_url, database, query_ms=1)
    hidden = permit(all_of(owners("a"), In("security.owner", frozenset({"nobody"}))))
    with pytest.raises(TooCostly):
        for _ in range(50):
            await Histories(hurried).walk(Span(("Observation",), 1), hidden, None)
    await hurried.close()
