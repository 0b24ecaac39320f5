"""What keeps the database in order: collections, layout, readiness, reindex, the change stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from fhirserver.model.outcome import BadRequest, Unavailable
from fhirserver.search.expression import All, Chain, In
from fhirserver.search.permit import Permit
from fhirserver.search.request import SearchRequest
from fhirserver.store import Change, Derived, LayoutError, Store, Tx
from fhirserver.store.connection.client import Mongo, Query
from fhirserver.store.layout import indexes
from fhirserver.store.layout.collections import LAYOUT
from tests.integration.store.conftest import SYSTEM, derive


async def rows_of(mongo: Mongo, collection: str) -> dict[Any, dict[str, Any]]:
    rows = await mongo.find(collection, Query({}, limit=10_000))
    return {tuple(row["_id"].values()) if isinstance(row["_id"], dict) else row["_id"]: row for row in rows}


# Collections and layout


async def test_at_start_only_the_first_types_are_made(
    mongo_url: str, database_name: str, writing: Any, mongo: Mongo
) -> None:
    await (await Store.open(mongo_url, database_name, writing.write)).close()
    names = {name for name in await mongo.database.list_collection_names() if name[0].isupper()}
    wanted = {*indexes.THE_EIGHT, *indexes.DIRECTORY}
    assert names == wanted | {f"{name}.history" for name in wanted}


async def test_a_type_is_made_with_its_indexes_before_its_first_write(store: Store, writing: Any, mongo: Mongo) -> None:
    assert await store.read("Basic", "a", SYSTEM) is None
    assert (await store.find(SearchRequest("Basic", In("index.identifier", frozenset({"x"}))), SYSTEM)).matches == []
    await asyncio.gather(*(writing.put(f"n{n}", "Basic") for n in range(20)))
    found = await mongo.database["Basic"].index_information()
    assert {name: list(index["key"]) for name, index in found.items() if name != "_id_"} == {
        index.name: list(index.keys) for index in indexes.of("Basic")
    }
    assert "zstd" in str(await mongo.command({"collStats": "Basic"}))


async def test_what_is_read_while_its_type_is_made_is_empty_at_every_step(
    store: Store, writing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by clients of another server too, who meet a fresh database together."""
    identifier = In("index.identifier", frozenset({"urn:x|a"}))
    search = SearchRequest("Basic", identifier, total="accurate")
    chained = SearchRequest("Observation", Chain("index.focus", "Basic", identifier))
    command, steps = store._mongo.command, list[str]()

    async def stepwise(what: Any, session: Any = None) -> Any:
        reply = await command(what, session)
        steps.append(next(iter(what)))
        page = await store.find(search, SYSTEM)
        assert (page.matches, page.total) == ([], 0)
        assert (await store.find(chained, SYSTEM)).matches == []
        assert await store.facts("Basic", identifier, SYSTEM) == []
        assert await store.owners("Basic", identifier, SYSTEM, limit=1) == frozenset()
        assert await store.history("Basic", "a", SYSTEM, count=1) == ([], 0)
        return reply

    with monkeypatch.context() as watched:
        watched.setattr(store._mongo, "command", stepwise)
        await store.ensure("Basic")
    assert steps.count("create") == steps.count("createIndexes") == 2
    await writing.put("a", "Basic")
    assert [version.id for version in (await store.find(search, SYSTEM)).matches] == ["a"]


async def test_a_transaction_that_reads_a_type_made_after_its_beginning_begins_again(
    store: Store, open_store: Callable[..., Any], writing: Any
) -> None:
    other, runs = await open_store(), list[int]()

    async def body(tx: Tx) -> int:
        runs.append(len(runs))
        assert await tx.read("Observation", "a", SYSTEM) is None
        if len(runs) == 1:
            await other.commit(writing.write("PUT", "n", "Basic"))
        return len(
            (await tx.find(SearchRequest("Basic", In("index.identifier", frozenset({"urn:x|n"}))), SYSTEM)).matches
        )

    assert await store.transact(body, types=["Observation"]) == 1
    assert len(runs) == 2


async def test_a_search_whose_index_is_not_there_is_told_to_come_again_and_an_empty_type_gets_it_at_the_start(
    open_store: Callable[..., Any], store: Store, mongo: Mongo
) -> None:
    await mongo.command({"create": "Basic"})
    search = SearchRequest("Basic", In("index.identifier", frozenset({"x"})))
    with pytest.raises(Unavailable):
        await store.find(search, SYSTEM)
    other = await open_store()
    assert await other.ready()
    for each in (store, other):
        assert (await each.find(search, SYSTEM)).matches == []


async def test_two_servers_may_start_and_make_collections_at_once(open_store: Callable[..., Any], writing: Any) -> None:
    first, second = await asyncio.gather(open_store(), open_store())
    await asyncio.gather(
        *((first, second)[n % 2].commit(writing.write("PUT", f"n{n}", "Basic")) for n in range(10)),
    )
    token = first.cursor.seal({"a": 1}, audience="x", now=datetime.now().astimezone())
    assert second.cursor.open_(token, audience="x", now=datetime.now().astimezone()) == {"a": 1}


@pytest.mark.parametrize(("found", "text"), [(LAYOUT + 1, "newer program"), (LAYOUT - 1, "fhirserver reindex")])
async def test_another_layout_is_refused_with_what_to_do(
    open_store: Callable[..., Any], store: Store, found: int, text: str
) -> None:
    await store.documents("layout").put({"_id": "layout", "version": found})
    with pytest.raises(LayoutError, match=text):
        await open_store()


async def test_a_reindex_brings_an_older_layout_up(open_store: Callable[..., Any], store: Store, mongo: Mongo) -> None:
    await store.documents("layout").put({"_id": "layout", "version": LAYOUT - 1})
    await Store(mongo, derive).reindex()  # one that was not started, as that of the command
    await open_store()


async def test_a_changed_index_is_built_anew_and_the_server_says_that_it_is_not_ready(
    open_store: Callable[..., Any], store: Store, writing: Any, mongo: Mongo
) -> None:
    """An index that is still building is never silently used, or left out."""
    await writing.put("a")
    assert await store.ready()
    await mongo.command({"dropIndexes": "Observation", "index": "code"})
    await mongo.command({"createIndexes": "Observation", "indexes": [{"name": "code", "key": {"index.code": 1}}]})
    other = await open_store()
    search = SearchRequest("Observation", In("index.code", frozenset({"x"})))
    if other._layout.building:
        assert not await other.ready()
        with pytest.raises(Unavailable):
            await other.find(search, SYSTEM)
    while other._layout.building:
        await asyncio.gather(*other._layout._background)
    assert await other.ready()
    assert (await other.find(search, SYSTEM)).matches == []
    found = await mongo.database["Observation"].index_information()
    assert list(found["code"]["key"]) == list(next(i for i in indexes.of("Observation") if i.name == "code").keys)


# Reindex


async def test_reindex_makes_derived_fields_again_from_the_text(
    open_store: Callable[..., Any], store: Store, writing: Any, mongo: Mongo
) -> None:
    subject = [{"reference": "Patient/p"}]
    for n in range(3):
        await writing.put("a", subject=subject, codes=["c"], n=n)
    await writing.put("gone", subject=subject)
    await writing.delete("gone")
    before = {name: await rows_of(mongo, name) for name in ("Observation", "Observation.history")}
    for name in before:
        await mongo.database[name].update_many({}, {"$set": {"security": {}, "index": {}, "resource": {}}})
    await mongo.database["Observation"].update_many({"deleted": True}, {"$unset": {"index": 1, "resource": 1}})
    await mongo.database["Observation.history"].update_many({}, {"$unset": {"index": 1, "resource": 1}})
    assert await store.reindex("Observation") == 5
    assert {name: await rows_of(mongo, name) for name in before} == before
    plain = await open_store(native_copy=False)
    await plain.reindex("Observation")
    assert "resource" not in (await rows_of(mongo, "Observation"))["a"]


async def test_reindex_goes_on_where_it_was_stopped(store: Store, writing: Any, mongo: Mongo) -> None:
    await asyncio.gather(*(writing.put(f"n{n:03}") for n in range(450)))
    seen: list[int] = []

    def stop(collection: str, count: int) -> None:
        seen.append(count)
        if len(seen) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await store.reindex("Observation", report=stop)
    await mongo.database["Observation"].update_many({}, {"$set": {"security": {}}})
    await store.reindex("Observation", report=stop)
    assert seen == [200, 400, 450]
    rows = await rows_of(mongo, "Observation")
    assert [id for id, row in rows.items() if not row["security"]] == [f"n{n:03}" for n in range(200)]


async def test_reindex_while_writing_loses_nothing(
    open_store: Callable[..., Any], store: Store, writing: Any, mongo: Mongo
) -> None:
    """Guarded by version: a row is never given the derived fields of a text that it does not have."""
    await asyncio.gather(*(writing.put(f"n{n}", codes=["old"]) for n in range(60)))

    def newer(resource_type: str, resource: dict[str, Any]) -> Derived:
        derived = derive(resource_type, resource)
        return Derived(derived.index, derived.sort, {**derived.security, "generation": 2, "n": resource.get("n")})

    other = await open_store(derive=newer)
    ended = asyncio.Event()

    async def write(worker: int) -> None:
        number = 0
        while not ended.is_set() or number == 0:
            number += 1
            id = f"n{(worker * 7 + number * 3) % 60}"
            if number % 5 == 0:
                await writing.delete(id)
            else:
                write = writing.write("PUT", id, codes=["new"], n=number)
                await other.commit(replace(write, derived=newer("Observation", write.resource)))

    async def reindex() -> None:
        for _ in range(3):
            await other.reindex("Observation")
        ended.set()

    await asyncio.gather(reindex(), *(write(worker) for worker in range(4)))
    await other.reindex("Observation")
    for collection in ("Observation", "Observation.history"):
        for row in (await rows_of(mongo, collection)).values():
            assert row["security"]["generation"] == 2
            if row.get("json") and collection == "Observation":
                assert row["resource"]["meta"]["versionId"] == str(row["version"])
                assert row["security"]["n"] == row["resource"].get("n")


# The change stream


async def take(stream: AsyncIterator[Change], count: int) -> list[tuple[str, int, str]]:
    """The next changes; the reader then stops as a process does that is killed."""
    found = []
    async for change in stream:
        found.append((change.id, change.version, change.interaction))
        if len(found) == count:
            break
    await stream.aclose()  # type: ignore[attr-defined]
    return found


async def test_changes_come_in_commit_order_and_go_on_after_a_stop(store: Store, writing: Any) -> None:
    stream = store.changes("reader", SYSTEM)
    first = asyncio.create_task(take(stream, 2))
    async with asyncio.timeout(10):
        while await store.documents("streams").get("reader") is None:  # noqa: ASYNC110  # it is written by the reader
            await asyncio.sleep(0)
    await writing.put("a")
    await writing.put("a")
    await writing.delete("a")
    assert await first == [("a", 1, "create"), ("a", 2, "update")]
    await writing.put("b")
    # The second was not acknowledged by asking for the next, so it comes again: at least once.
    assert await take(store.changes("reader", SYSTEM), 3) == [
        ("a", 2, "update"),
        ("a", 3, "delete"),
        ("b", 1, "create"),
    ]


async def test_a_lost_resume_token_is_made_good_from_the_feed(store: Store, writing: Any) -> None:
    """The feed serves change delivery after a lost resume token."""
    await writing.put("a")
    version = await store.read("Observation", "a", SYSTEM)
    await store.documents("streams").put(
        {
            "_id": "reader",
            "token": {"_data": "8200000001000000012B022C0100296E04"},
            "at": version.updated + timedelta(seconds=1),
        }
    )
    await writing.put("b")
    assert await take(store.changes("reader", SYSTEM), 2) == [("a", 1, "create"), ("b", 1, "create")]


async def test_the_change_stream_is_the_servers_own(store: Store) -> None:
    confined = Permit(("test",), lambda _: All(), lambda _: All())
    with pytest.raises(PermissionError):
        await anext(store.changes("reader", confined))


async def test_a_cursor_goes_through_the_store(store: Store, writing: Any) -> None:
    await asyncio.gather(*(writing.put(f"n{n}") for n in range(3)))
    page = await store.find(SearchRequest("Observation", All(), count=2), SYSTEM)
    now = datetime.now().astimezone()
    token = store.cursor.seal(page.next.as_dict(), audience="me", now=now)
    with pytest.raises(BadRequest):
        store.cursor.open_(token, audience="you", now=now)
    from fhirserver.store import Position

    position = Position.from_dict(store.cursor.open_(token, audience="me", now=now))
    assert position == page.next
    assert [
        version.id
        for version in (await store.find(SearchRequest("Observation", All()), SYSTEM, position=position)).matches
    ] == ["n2"]
