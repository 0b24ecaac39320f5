"""Memory that processes share: what is put there by one is what another takes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.interactions.load.rooms import ROOM, Room

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


PROGRAM = """
import asyncio, functools, signal, sys
from fhirserver.bench import data
from fhirserver.definitions import load
from fhirserver.interactions.load import processes
from fhirserver.interactions.load.judge import Judge, Portion
from fhirserver.interactions.load.rooms import Room
from fhirserver.interactions.load.sources import Text
from fhirserver.interactions.parameters import Derivation
from fhirserver.interactions.parameters.catalog import Catalog
from fhirserver.validation import Validator

def portion(first):
    resources = [data.observation(number, first) for number in range(40)] + [{"resourceType": "Nonsense"}]
    texts = [Text(number, 0, data.encode(each)) for number, each in enumerate(resources)]
    return Portion("ab" * 32, "run", texts)

def said(judged):
    return [judged.parts, [str(each) for each in judged.outcomes], judged.asking]

async def judged(judges):
    return await asyncio.gather(*(judges.judge(portion(n), rules, Catalog()) for n in range(9)))

async def left(judges):
    asking = asyncio.create_task(judges.judge(portion(0), rules, Catalog()))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    return len(judges._pool.free)

processes.Room = functools.partial(Room, int(sys.argv[1]))
rules = processes.Rules("http://x/fhir", True, False)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
with processes.Processes(2, print) as judges:
    pool = judges._pool
    # What is told to end in the middle of a portion ends: the pool waits for it, and so would the load.
    assert pool.executor.submit(signal.getsignal, signal.SIGTERM).result() == signal.SIG_DFL
    assert pool.executor.submit(signal.pthread_sigmask, signal.SIG_BLOCK, ()).result() == {signal.SIGINT}
    found = [said(each) for each in asyncio.run(judged(judges))]
    assert len(pool.rooms) > 2 and sorted(pool.free) == list(range(len(pool.rooms)))
    # Where nobody waits any more, the process may still write: nobody else gets that room.
    assert asyncio.run(left(judges)) == len(pool.rooms) - 1
core = load()
judge = Judge(core, rules.base_url, Validator(core), Derivation(core, rules.base_url), rules.native_copy)
assert found == [said(judge.judge(portion(n))) for n in range(9)]
"""


@pytest.mark.parametrize("size", [ROOM, 100_000, 4_096], ids=["all fits", "the texts fit", "nothing fits"])
def test_what_was_judged_elsewhere_is_what_would_be_judged_here(size: int) -> None:
    """In a process of its own, which has no threads yet, so that it can fork; more portions at once than there are rooms."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(size)], check=False, capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
