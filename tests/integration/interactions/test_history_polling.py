"""The promise to pollers: who asks for `_history?_since` the `meta.lastUpdated` of the answer before misses nothing.

Commits are not ordered by the instants that they carry: each writer here takes its instant up to three seconds before it begins to
commit, which is what a slow commit does, and there are eight of them. Two seconds of the five that are promised are left for the commit
itself: the machine may be slow.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhirserver.app import derivation
from fhirserver.search.permit import Permit
from fhirserver.settings import Settings
from fhirserver.store import By, Store, Write
from tests.integration.serving import FHIR, Server

WRITERS = 8
AT_ONCE = 8
SYSTEM = Permit.system("test")
DELAY = timedelta(seconds=3)


def late(chance: random.Random) -> Callable[[], datetime]:
    """The clock of a writer whose commits take their time."""
    return lambda: datetime.now(UTC) - DELAY * chance.random()


@asynccontextmanager
async def writers(settings: Settings) -> AsyncIterator[list[Store]]:
    """Stores of their own on one database, as eight servers would be."""
    async with AsyncExitStack() as stack:
        stores = []
        for number in range(WRITERS):
            clock = late(random.Random(number))
            store = await Store.open(settings.mongo_url, settings.database, derivation(settings), clock=clock)
            stack.push_async_callback(store.close)
            stores.append(store)
        yield stores


async def write(store: Store, settings: Settings, prefix: str, count: int) -> set[tuple[str, str]]:
    """Write so many versions, several at once: new resources, new versions, deletions. What was acknowledged."""
    derive = derivation(settings)
    done: set[tuple[str, str]] = set()

    async def hand(number: int) -> None:
        by = By("request", "operator", "test")
        for turn in range(count // AT_ONCE):
            id = f"{prefix}-{number}-{turn // 4}"
            resource = {"resourceType": "Basic", "id": id, "code": {"text": str(turn)}}
            if turn % 4 == 2:
                change = Write("DELETE", "Basic", id, None, None, by, SYSTEM)
            else:
                change = Write("PUT", "Basic", id, resource, derive("Basic", resource), by, SYSTEM, may_create=True)
            written = await store.commit(change)
            assert written is not None
            done.add((id, f'W/"{written.version.version}"'))

    await asyncio.gather(*(hand(number) for number in range(AT_ONCE)))
    return done


async def poll(server: Server, address: str) -> tuple[set[tuple[str, str]], str]:
    """Everything of one walk through the pages, and from when to ask the next time."""
    seen: set[tuple[str, str]] = set()
    since = ""
    while address:
        answer = await server("GET", address)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        since = since or bundle["meta"]["lastUpdated"]
        assert bundle["meta"]["lastUpdated"] == since
        for entry in bundle.get("entry", ()):
            seen.add((entry["fullUrl"].rpartition("/")[2], entry["response"]["etag"]))
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        address = links.get("next", "").removeprefix(FHIR)
    return seen, since


@pytest.mark.parametrize(
    ("path", "sort", "changes"),
    [
        ("/_history", "-_lastUpdated", 2_048),
        ("/Basic/_history", "_lastUpdated", 2_048),
        pytest.param("/_history", "-_lastUpdated", 102_400, marks=[pytest.mark.slow, pytest.mark.timeout(1_800)]),
    ],
)
async def test_a_poller_misses_nothing(
    server: Server, settings: Settings, new_id: str, path: str, sort: str, changes: int
) -> None:
    """Whoever polls `_since` that instant misses nothing, and may see a few entries twice."""
    _, since = await poll(server, f"{path}?_since=2999")
    seen: set[tuple[str, str]] = set()
    rounds = 0
    async with writers(settings) as stores:
        work: Any = asyncio.gather(
            *(write(store, settings, f"{new_id}-{each}", changes // WRITERS) for each, store in enumerate(stores))
        )
        is_last = False
        while not is_last:
            is_last = work.done()
            found, since = await poll(server, f"{path}?_since={since}&_count=500&_sort={sort}")
            seen |= found
            rounds += 1
        done = set().union(*await work)
    assert len(done) == changes
    assert done - seen == set()
    assert rounds > 2
