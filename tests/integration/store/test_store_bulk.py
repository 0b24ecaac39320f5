"""Bulk writing: what is new is written whole with its rows, what is there is left alone, and slow machines are given less at once.

https://www.mongodb.com/docs/manual/reference/command/insert/
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fhirserver.store import Packed, Store, bulk, packed, prepare
from fhirserver.store.connection.client import Mongo
from tests.integration.store.conftest import SYSTEM, Writing


def prepared(store: Store, writing: Writing, *ids: str) -> tuple[Packed, ...]:
    """A unit of these resources."""
    return tuple(packed(prepare(writing.write("PUT", id), native_copy=store.native_copy)) for id in ids)


async def versions(store: Store, *ids: str) -> list[int | None]:
    """The versions that are there."""
    found = [await store.read("Observation", id, SYSTEM) for id in ids]
    return [None if version is None else version.version for version in found]


async def test_a_unit_of_which_a_part_is_there_is_left_out_whole(store: Store, writing: Writing, mongo: Mongo) -> None:
    await writing.put("there")
    await writing.put("gone")
    await writing.delete("gone")
    units = [prepared(store, writing, *ids) for ids in (("a", "b"), ("c", "there"), ("gone",), ("d",))]
    assert await store.insert(units) == [True, False, False, True]
    assert await versions(store, "a", "b", "c", "d", "there", "gone") == [1, 1, None, 1, 1, 2]
    for id in ("a", "b", "d"):
        assert await mongo.count("feed", {"id": id}) == 1
    assert await mongo.count("feed", {"id": "c"}) == 0


async def test_of_two_batches_that_meet_each_resource_is_written_by_one(
    store: Store, writing: Writing, mongo: Mongo
) -> None:
    def batch() -> list[tuple[Packed, ...]]:
        return [prepared(store, writing, f"o{number}") for number in range(200)]

    first, second = await asyncio.gather(store.insert(batch()), store.insert(batch()))
    assert [one != other for one, other in zip(first, second, strict=True)] == [True] * 200
    assert await mongo.count("feed", {}) == 200


async def test_a_batch_that_takes_too_long_goes_in_halves(
    store: Store, writing: Writing, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    whole = bulk.Bulk._until

    async def until(self: bulk.Bulk, session: Any, units: Any, in_doubt: Any) -> list[bool]:
        sizes.append(len(units))
        if len(units) > 2:
            raise bulk._Slow
        return await whole(self, session, units, in_doubt)

    monkeypatch.setattr(bulk.Bulk, "_until", until)
    units = [prepared(store, writing, f"o{number}") for number in range(5)]
    assert await store.insert(units) == [True] * 5
    assert sizes == [5, 2, 3, 1, 2]


@pytest.mark.parametrize("more", [{"may_create": False}, {"may_create": True, "if_match": ("1",)}])
def test_only_what_creates_goes_in_bulk(store: Store, writing: Writing, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="creates"):
        packed(prepare(writing.write("PUT", "o", options=more), native_copy=False))
