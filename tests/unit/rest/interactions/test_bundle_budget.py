"""What the entries of one Bundle may answer together: as much as there is room for, however many are under way.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.outcome import TooCostly
from fhirserver.rest.interactions.bundles.budget import Budget
from fhirserver.rest.messages.responses import Answer

BOUND = 1_000


class Reads:
    """Reads that answer so many bytes each, and what of them is under way or answered at once."""

    def __init__(self, sizes: Sequence[int], turns: Sequence[int]) -> None:
        self._sizes, self._turns = sizes, turns
        self._under_way = 0
        self.most_under_way = 0
        self.begun = 0

    async def all(self) -> list[Answer | BaseException]:
        """The answers, and the refusals in the place of others."""
        budget = Budget(BOUND)
        reads = (budget.read(number, partial(self._read, number)) for number in range(len(self._sizes)))
        return await asyncio.gather(*reads, return_exceptions=True)

    async def _read(self, number: int) -> Answer:
        self.begun += 1
        self._under_way += self._sizes[number]
        self.most_under_way = max(self.most_under_way, self._under_way)
        for _ in range(self._turns[number]):
            await asyncio.sleep(0)
        self._under_way -= self._sizes[number]
        return Answer(200, b"x" * self._sizes[number])


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 5)), max_size=40))
async def test_answers_keep_within_the_bound_and_a_refusal_is_for_want_of_room(reads: list[tuple[int, int]]) -> None:
    asked = Reads([size for size, _ in reads], [turns for _, turns in reads])
    answers = await asked.all()
    taken = sum(len(each.body) for each in answers if isinstance(each, Answer))
    assert taken <= BOUND
    assert all(isinstance(each, Answer | TooCostly) for each in answers)
    if sum(size for size, _ in reads) <= BOUND:
        assert all(isinstance(each, Answer) for each in answers)


@pytest.mark.parametrize("size", [90, 125, 300, 1_000])
async def test_large_reads_are_not_begun_past_what_there_is_room_for(size: int) -> None:
    """A thousand of one size, which is not known before the first has ended: eight are begun until then."""
    asked = Reads([size] * 1_000, [3] * 1_000)
    answers = await asked.all()
    assert sum(isinstance(each, Answer) for each in answers) == BOUND // size
    assert asked.most_under_way <= max(BOUND, 8 * size)
    assert asked.begun <= max(BOUND // size + 1, 8)


async def test_small_reads_go_side_by_side() -> None:
    asked = Reads([1] * 32, [10] * 32)
    await asked.all()
    assert asked.most_under_way >= 24


async def test_an_entry_that_is_read_again_counts_once() -> None:
    """A transaction that meets another one is tried again, and its reads with it."""
    budget = Budget(BOUND)

    async def read() -> Answer:
        return Answer(200, b"x" * 900)

    for _ in range(5):
        assert len((await budget.read(0, read)).body) == 900
    with pytest.raises(TooCostly):
        await budget.read(1, read)


async def test_a_read_that_fails_leaves_its_room_to_others() -> None:
    budget = Budget(BOUND)

    async def failing() -> Answer:
        await asyncio.sleep(0)
        raise ValueError

    async def read() -> Answer:
        return Answer(200, b"x" * 900)

    failed = await asyncio.gather(*(budget.read(number, failing) for number in range(20)), return_exceptions=True)
    assert all(isinstance(each, ValueError) for each in failed)
    assert len((await budget.read(20, read)).body) == 900
