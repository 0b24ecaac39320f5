"""Pages forwards and backwards, while another client writes.

https://hl7.org/fhir/R4/http.html#paging
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fhirserver.search.permit import Permit
from fhirserver.search.request import SearchRequest, SortKey
from fhirserver.store import Page, Position, Store
from tests.integration.store.conftest import SYSTEM, owner, patient
from tests.integration.store.test_store_search import ORDERS, expected, of_patient

HERS, NOT_HERS = patient("p"), patient("q")

values = st.one_of(st.none(), st.integers(0, 2))
rows = st.lists(st.tuples(values, values), min_size=1, max_size=9)
writes = st.lists(
    st.tuples(st.sampled_from(["put", "put", "turn", "delete"]), st.integers(0, 3), values, values), max_size=6
)


def hers(sort: tuple[SortKey, ...], count: int) -> SearchRequest:
    """Her rows in this order: a match that a write can end, and begin."""
    return SearchRequest("Observation", of_patient("p"), sort=sort, count=count)


class Other:
    """The other client: writes one row after the other, while pages are read."""

    def __init__(self, writing: Any, writes: Sequence[tuple[str, int, Any, Any]]) -> None:
        self._writing = writing
        self._writes = list(writes)

    async def write(self) -> None:
        """The next write. It moves rows in the order, into the search and out of it."""
        if not self._writes:
            return
        how, number, date, rank = self._writes.pop()
        id = f"n{number:02}-moves"
        if how == "delete":
            await self._writing.delete(id)
        else:
            await self._writing.put(id, date=date, rank=rank, subject=HERS if how == "put" else NOT_HERS)


async def page_at(store: Store, search: SearchRequest, permit: Permit, position: Position | None, other: Other) -> Page:
    """A page, read while the other client writes, before it or after it: that is not for us to say."""
    page, _ = await asyncio.gather(store.find(search, permit, position=position), other.write())
    await other.write()
    assert len(page.matches) <= search.count
    return page


async def walk(store: Store, search: SearchRequest, permit: Permit, other: Other) -> tuple[list[str], list[str]]:
    """The ids of every page to the end, and of every page from there back to the beginning, in order."""
    pages = [await page_at(store, search, permit, None, other)]
    assert pages[0].previous is None
    while (following := pages[-1].next) is not None:
        pages.append(await page_at(store, search, permit, Position.from_dict(following.as_dict()), other))
        assert len(pages) < 200
    last = next((page for page in reversed(pages) if page.matches), pages[-1])
    back = [last]
    while (preceding := back[0].previous) is not None:
        back.insert(0, await page_at(store, search, permit, Position.from_dict(preceding.as_dict()), other))
        assert len(back) < 200
    return [version.id for page in pages for version in page.matches], [
        version.id for page in back for version in page.matches
    ]


async def fill(store: Store, writing: Any, still: Sequence[tuple[Any, Any]]) -> dict[str, dict[str, Any]]:
    """The rows that stay as they are; those of the example before are deleted."""
    fields = {f"n{number:02}": {"date": date, "rank": rank} for number, (date, rank) in enumerate(still)}
    old = await store.find(SearchRequest("Observation", of_patient("p", "q"), count=1000), SYSTEM)
    await asyncio.gather(*(writing.delete(each.id) for each in old.matches if each.id not in fields))
    await asyncio.gather(*(writing.put(id, **each, subject=HERS) for id, each in fields.items()))
    return fields


@settings(
    max_examples=3, phases=[Phase.generate], deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(still=rows, writes=writes, count=st.integers(2, 4))
async def test_while_another_client_writes_no_row_that_stays_is_missed_or_shown_twice(
    store: Store, writing: Any, still: list[Any], writes: list[Any], count: int
) -> None:
    """In every order, to the end and back again; and what stays keeps its order."""
    await _walks(store, writing, still, writes, count)


@pytest.mark.slow
@settings(
    max_examples=300,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(still=rows, writes=writes, count=st.integers(2, 4))
async def test_the_same_at_length(store: Store, writing: Any, still: list[Any], writes: list[Any], count: int) -> None:
    await _walks(store, writing, still, writes, count)


async def _walks(store: Store, writing: Any, still: list[Any], writes: list[Any], count: int) -> None:
    fields = await fill(store, writing, still)
    for number, sort in enumerate(ORDERS):
        permit = SYSTEM if number % 2 else owner("p")
        there, back = await walk(store, hers(sort, count), permit, Other(writing, writes))
        for seen in (there, back):
            stayed = [id for id in seen if id in fields]
            assert sorted(stayed) == sorted(fields), sort
            if sort and not any(each.code == "_lastUpdated" for each in sort):
                assert stayed == expected(fields, sort), sort


async def test_without_writes_the_way_back_shows_the_same_pages(store: Store, writing: Any) -> None:
    """The page that a previous link leads to is the one that the client came from."""
    await fill(store, writing, [(n % 3 or None, n // 4) for n in range(11)])
    for sort in ORDERS:
        search = hers(sort, 3)
        pages = [await store.find(search, SYSTEM)]
        while (following := pages[-1].next) is not None:
            pages.append(await store.find(search, SYSTEM, position=following))
        page = pages[-1]
        for before in reversed(pages[:-1]):
            assert page.previous is not None
            page = await store.find(search, SYSTEM, position=page.previous)
            assert page.matches == before.matches
        assert page.previous is None
        assert page.next is not None


async def test_where_nothing_is_left_before_a_page_the_first_page_stands(store: Store, writing: Any) -> None:
    await fill(store, writing, [(n, n) for n in range(5)])
    first = await store.find(hers((), 2), SYSTEM)
    assert first.next is not None
    second = await store.find(hers((), 2), SYSTEM, position=first.next)
    assert second.previous is not None
    await asyncio.gather(*(writing.delete(each.id) for each in first.matches))
    page = await store.find(hers((), 2), SYSTEM, position=second.previous)
    assert page.matches == second.matches
    assert page.previous is None
