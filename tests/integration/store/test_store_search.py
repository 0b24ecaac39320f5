"""Search: permits, order, paging, totals and includes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhirserver.model.outcome import BadRequest
from fhirserver.search.expression import (
    All,
    And,
    Exists,
    Expression,
    In,
    Nothing,
    Or,
    Prefixed,
    Range,
    Within,
    any_of,
    negate,
)
from fhirserver.search.permit import Permit
from fhirserver.search.request import Include, SearchRequest, SortKey
from fhirserver.store import Page, Position, Store
from fhirserver.store.resources import includes as bounds
from tests.integration.store.conftest import SYSTEM, owner, patient, permit


def of_patient(*ids: str) -> In:
    return In("index.patient.r", frozenset(f"Patient/{id}" for id in ids))


def key(code: str, *, descending: bool = False) -> SortKey:
    if code == "_id":
        return SortKey("_id", "_id", "_id", descending)
    if code == "_lastUpdated":
        return SortKey(code, "updated", "updated", descending)
    return SortKey(code, f"sort.{code}.lo", f"sort.{code}.hi", descending)


def request(expression: Expression | None = None, *sort: SortKey, **options: Any) -> SearchRequest:
    return SearchRequest("Observation", expression or All(), sort=sort, **options)


async def walk(store: Store, search: SearchRequest, each: Permit) -> list[str]:
    """Every id, page by page; each position goes through its sealed form."""
    ids: list[str] = []
    position = None
    for _ in range(1_000):
        page = await store.find(search, each, position=position)
        assert len(page.matches) <= search.count
        assert page.next is None or len(page.matches) == search.count
        ids += [version.id for version in page.matches]
        if page.next is None:
            return ids
        position = Position.from_dict(page.next.as_dict())
    raise AssertionError("The walk has no end.")


ORDERS: Sequence[tuple[SortKey, ...]] = (
    (),
    (key("_id"),),
    (key("_id", descending=True),),
    (key("date"),),
    (key("date", descending=True),),
    (key("rank"),),
    (key("rank", descending=True),),
    (key("_lastUpdated", descending=True),),
    (key("date"), key("rank", descending=True)),
    (key("rank", descending=True), key("date")),
    (key("rank"), key("date", descending=True), key("_id", descending=True)),
)


def expected(rows: dict[str, dict[str, Any]], sort: Sequence[SortKey]) -> list[str]:
    """The ids in the order asked, what has no value last, ties by id in the direction of the last key."""
    ids = sorted(rows, reverse=bool(sort) and sort[-1].descending)
    for each in reversed(sort):
        if each.code == "_id":
            ids.sort(reverse=each.descending)
        elif each.code != "_lastUpdated":
            present = [id for id in ids if rows[id].get(each.code) is not None]
            missing = [id for id in ids if rows[id].get(each.code) is None]
            present.sort(key=lambda one: rows[one][each.code])
            if each.descending:
                groups = itertools.groupby(present, key=lambda one: rows[one][each.code])
                present = [id for group in reversed([list(group) for _, group in groups]) for id in group]
            ids = present + missing
    return ids


values = st.one_of(st.none(), st.integers(0, 3))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(values, values, st.booleans()), max_size=14), count=st.integers(1, 5))
async def test_a_page_walk_shows_every_match_once_in_the_order_asked(
    store: Store, writing: Any, rows: list[tuple[int | None, int | None, bool]], count: int
) -> None:
    """http.html#paging; the database is filled anew for each example by deleting what the last one left."""
    fields: dict[str, dict[str, Any]] = {}
    for number, (date, rank, hers) in enumerate(rows):
        fields[f"n{number:02}"] = {"date": date, "rank": rank, "subject": patient("p" if hers else "q")}
    old = await walk(store, request(count=1000), SYSTEM)
    await asyncio.gather(*(writing.delete(id) for id in old if id not in fields))
    await asyncio.gather(*(writing.put(id, **each) for id, each in fields.items()))
    hers = {id: each for id, each in fields.items() if each["subject"] == patient("p")}
    for sort in ORDERS:
        for expression, every in ((None, fields), (of_patient("p"), hers)):
            found = await walk(store, request(expression, *sort, count=count), SYSTEM)
            assert sorted(found) == sorted(every)
            if not any(each.code == "_lastUpdated" for each in sort) and (sort or expression is None):
                assert found == expected(every, sort), sort
        assert sorted(await walk(store, request(None, *sort, count=count), owner("p"))) == sorted(hers)


async def test_nothing_permitted_is_an_empty_page_and_a_total_of_nought(store: Store, writing: Any) -> None:
    await writing.put("a")
    page = await store.find(request(total="accurate"), permit(Nothing()))
    assert page == Page([], [], 0, None)
    assert (await store.find(request(), permit(Nothing()))).total is None


async def test_the_total_counts_what_the_caller_may_see(store: Store, writing: Any) -> None:
    await asyncio.gather(*(writing.put(f"n{n}", subject=patient(f"p{n % 3}")) for n in range(9)))
    await writing.delete("n0")
    for total in ("accurate", "estimate"):
        assert (await store.find(request(total=total, count=2), SYSTEM)).total == 8
        assert (await store.find(request(total=total, count=2), owner("p0"))).total == 2
        assert (await store.find(request(of_patient("p1"), total=total), owner("p0"))).total == 0
    page = await store.find(request(summary_count=True), owner("p1"))
    assert page == Page([], [], 3, None)
    assert (await store.find(request(count=0), SYSTEM)).matches == []


async def test_a_deleted_resource_matches_no_search(store: Store, writing: Any) -> None:
    await writing.put("a", subject=patient("p"))
    await writing.delete("a")
    for expression in (All(), In("_id", frozenset({"a"})), Range("version", 1, None)):
        assert (await store.find(request(expression, total="accurate"), owner("p"))).matches == []


@pytest.mark.parametrize(
    "expression",
    [
        In("index.code", frozenset({"c"})),
        Range("sort.date.hi", 1, None),
        any_of(In("index.code", frozenset({"c"})), In("_id", frozenset({"a"}))),
        negate(In("index.code", frozenset({"other"}))),
        negate(Exists("index.performer")),
        All(),
    ],
)
async def test_a_deletion_is_in_no_page_and_no_total_whatever_is_asked(
    store: Store, writing: Any, expression: Expression
) -> None:
    await writing.put("a", codes=["c"], date=5)
    await writing.put("b", codes=["c"], date=5)
    await writing.delete("a")
    page = await store.find(SearchRequest("Observation", expression, total="accurate"), SYSTEM)
    assert ([match.id for match in page.matches], page.total) == (["b"], 1)


async def test_a_position_of_another_order_is_refused(store: Store, writing: Any) -> None:
    await asyncio.gather(*(writing.put(f"n{n}", date=n) for n in range(3)))
    page = await store.find(request(None, key("date"), count=1), SYSTEM)
    with pytest.raises(BadRequest):
        await store.find(request(None, key("date", descending=True), count=1), SYSTEM, position=page.next)


async def test_an_include_has_the_permit_of_its_own_type(store: Store, writing: Any) -> None:
    """A second query for each type, with that type's own permit."""
    await writing.put("p", "Patient")
    await writing.put("d1", "Practitioner")
    await writing.put("d2", "Practitioner")
    await writing.put("gone", "Practitioner")
    await writing.delete("gone", "Practitioner")
    performers = [
        "Practitioner/d1",
        "Practitioner/d2",
        "Practitioner/gone",
        "Practitioner/never",
        "https://elsewhere/x",
        "Patient/p",
    ]
    await writing.put("o1", subject=patient("p"), performers=performers)
    await writing.put("o2", subject=patient("p"), performers=[*performers, "Observation/o1", "Observation/hidden"])
    await writing.put("hidden", subject=patient("q"), performers=["Practitioner/d2"])
    include = Include("Observation", "performer", None, reverse=False)
    narrow = Include("Observation", "performer", "Practitioner", reverse=False)

    def only_some(resource_type: str) -> Expression:
        return {
            "Observation": In("security.owner", frozenset({"p"})),
            "Practitioner": In("_id", frozenset({"d1"})),
            "Patient": Nothing(),
        }[resource_type]

    async def found(each: Permit, *includes: Include, **options: Any) -> list[str]:
        page = await store.find(request(of_patient("p", "q"), includes=includes, **options), each)
        assert not page.truncated_includes
        return sorted(f"{version.resource_type}/{version.id}" for version in page.included)

    some = Permit((), only_some, only_some)
    assert await found(SYSTEM, include) == ["Patient/p", "Practitioner/d1", "Practitioner/d2"]
    assert await found(SYSTEM, narrow) == ["Practitioner/d1", "Practitioner/d2"]
    assert await found(some, include) == ["Practitioner/d1"]
    assert await found(some, Include("Patient", "performer", None, reverse=False)) == []
    assert await found(SYSTEM) == []


async def test_a_reverse_include_has_the_permit_of_its_own_type(store: Store, writing: Any) -> None:
    for id in ("p", "q", "r"):
        await writing.put(id, "Patient")
    await writing.put("o1", subject=patient("p"))
    await writing.put("o2", subject=patient("q"))
    await writing.put("o3", subject=patient("r"), performers=["Patient/p"])
    await writing.put("o4", subject=patient("p"))
    await writing.delete("o4")
    search = SearchRequest(
        "Patient",
        In("_id", frozenset({"p", "q"})),
        includes=(Include("Observation", "subject", None, reverse=True),),
    )

    def mine(resource_type: str) -> Expression:
        return All() if resource_type == "Patient" else In("security.owner", frozenset({"q"}))

    page = await store.find(search, SYSTEM)
    assert sorted(version.id for version in page.included) == ["o1", "o2"]
    page = await store.find(search, Permit((), mine, mine))
    assert [version.id for version in page.included] == ["o2"]


async def test_includes_past_the_bound_are_cut_and_it_is_said(
    store: Store, writing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "INCLUDED", 3)
    await writing.put("p", "Patient")
    await asyncio.gather(*(writing.put(f"o{n}", subject=patient("p")) for n in range(5)))
    search = SearchRequest("Patient", All(), includes=(Include("Observation", "subject", "Patient", reverse=True),))
    page = await store.find(search, SYSTEM)
    assert (len(page.included), page.truncated_includes) == (3, True)


async def test_expressions_of_every_kind_find_what_they_say(store: Store, writing: Any) -> None:
    await writing.put("a", subject=patient("p"), codes=["x|1"], date=5)
    await writing.put("b", subject=patient("p", "q"), codes=["x|1", "x|2"], date=9)
    await writing.put("c")
    cases: list[tuple[Expression, str]] = [
        (In("index.code", frozenset({"x|1"})), "ab"),
        (Prefixed("index.code", "x|2"), "b"),
        (And((of_patient("p"), In("index.code", frozenset({"x|2"})))), "b"),
        (Or((of_patient("q"), Range("sort.date.lo", None, 5))), "ab"),
        (Within("security.owners", frozenset({"p"})), "a"),
        (In("index.performer.r", frozenset({"Patient/p"})), ""),
        (In("index.subject.r", frozenset({"Patient/q"})), "b"),
    ]
    for expression, ids in cases:
        assert "".join(sorted(await walk(store, request(expression, count=1), SYSTEM))) == ids
