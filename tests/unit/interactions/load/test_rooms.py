"""Memory that processes share: what is put there by one is what another takes."""

from __future__ import annotations

import multiprocessing
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.interactions.load.rooms import Room

VALUES = st.recursive(st.none() | st.integers() | st.binary() | st.text(), lambda inner: st.lists(inner).map(tuple))


@given(st.lists(VALUES))
def test_what_is_put_is_taken(values: list[Any]) -> None:
    """One after the other, long or short: what was there before is not seen."""
    room = Room(1 << 16)
    for value in values:
        size = room.put(value)
        assert size is not None
        assert room.take(size) == value


def test_what_has_not_enough_room_is_not_put() -> None:
    room = Room(4_096)
    assert room.put(b"x" * 4_096) is None
    size = room.put("after it")
    assert size is not None
    assert room.take(size) == "after it"


def test_a_process_that_is_forked_has_the_same_memory() -> None:
    room = Room()
    context = multiprocessing.get_context("fork")
    sizes: Any = context.SimpleQueue()
    child = context.Process(target=lambda: sizes.put(room.put([b"x" * 100_000] * 100)))
    child.start()
    found = room.take(sizes.get())
    child.join()
    assert found == [b"x" * 100_000] * 100
