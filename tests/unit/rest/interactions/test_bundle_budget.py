"""What the entries of one Bundle may answer together: as much as there is room for, however many are under way, and in their order.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.outcome import NotFound, TooCostly
from fhirserver.rest.interactions.bundles.budget import Budget, SideBySide
from fhirserver.rest.messages.errors import answer_to
from fhirserver.rest.messages.responses import Answer

BOUND = 1_000


class Entries:
    """Reads that answer so many bytes each, and what of them is under way or answered at once."""

    def __init__(self, sizes: Sequence[int], turns: Sequence[int]) -> None:
        self._sizes, self._turns = sizes, turns
        self._under_way = 0
        self.most_under_way = 0
        self.begun = 0

    async def all(self, side_by_side: int = 32) -> list[int | None]:
        """The sizes of the answers, and None in the place of those that are refused."""
        together, left = SideBySide(Budget(BOUND)), iter(range(len(self._sizes)))

        async def one_after_another() -> None:
            for number in left:
                await together.answer(number, partial(self._answer, number), is_read=True)

        await asyncio.gather(*(one_after_another() for _ in range(side_by_side)))
        return [None if each.is_outcome else len(each.body) for each in together.answers]

    async def _answer(self, number: int) -> Answer:
        self.begun += 1
        self._under_way += self._sizes[number]
        self.most_under_way = max(self.most_under_way, self._under_way)
        for _ in range(self._turns[number]):
            await asyncio.sleep(0)
        self._under_way -= self._sizes[number]
        return Answer(200, b"x" * self._sizes[number])


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 5)), max_size=40))
async def test_what_is_answered_is_what_fits_in_the_order_of_the_entries_however_long_each_takes(
    reads: list[tuple[int, int]],
) -> None:
    sizes = [size for size, _ in reads]
    fitting = sum(total <= BOUND for total in accumulate(sizes))
    answered = await Entries(sizes, [turns for _, turns in reads]).all()
    assert answered == sizes[:fitting] + [None] * (len(sizes) - fitting)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 400), st.integers(0, 5)), max_size=40))
async def test_reads_and_writes_have_the_same_shares_as_one_after_the_other(
    entries: list[tuple[bool, int, int]],
) -> None:
    async def shares(*, side_by_side: int) -> list[tuple[bool, int]]:
        together, left = SideBySide(Budget(BOUND)), iter(enumerate(entries))

        async def answering(size: int, turns: int) -> Answer:
            for _ in range(turns):
                await asyncio.sleep(0)
            return Answer(200, b"x" * size) if size else answer_to(NotFound())

        async def one_after_another() -> None:
            for number, (is_read, size, turns) in left:
                await together.answer(number, partial(answering, size, turns), is_read=is_read)

        await asyncio.gather(*(one_after_another() for _ in range(side_by_side)))
        return [(each.is_outcome, len(each.body)) for each in together.answers]

    answered = await shares(side_by_side=8)
    assert answered == await shares(side_by_side=1)
    assert sum(size for is_outcome, size in answered if not is_outcome) <= BOUND


@pytest.mark.parametrize("size", [90, 125, 300, 1_000])
async def test_large_reads_are_not_begun_past_what_there_is_room_for(size: int) -> None:
    """A thousand of one size, which is not known before the first has ended: eight are begun until then."""
    asked = Entries([size] * 1_000, [3] * 1_000)
    answers = await asked.all()
    assert sum(each is not None for each in answers) == BOUND // size
    assert asked.most_under_way <= max(BOUND, 8 * size)
    assert asked.begun <= max(BOUND // size + 1, 8)


async def test_what_has_ended_before_one_that_is_slow_takes_room_as_well() -> None:
    """What waits for its share is kept, and so it counts: behind the slow one no more are begun than there is room for."""
    asked = Entries([100] * 100, [1_000] + [1] * 99)
    answers = await asked.all()
    assert answers == [100] * 10 + [None] * 90
    assert asked.begun <= 11


async def test_small_reads_go_side_by_side() -> None:
    asked = Entries([1] * 32, [10] * 32)
    await asked.all()
    assert asked.most_under_way >= 24


async def test_a_read_that_fails_leaves_its_room_to_others() -> None:
    together = SideBySide(Budget(BOUND))

    async def answering(number: int) -> Answer:
        return Answer(200, b"x" * 900) if number == 20 else answer_to(NotFound())

    for number in range(21):
        await together.answer(number, partial(answering, number), is_read=True)
    assert [each.status for each in together.answers] == [404] * 20 + [200]


def test_an_entry_that_is_read_again_counts_once() -> None:
    """A transaction that meets another one is tried again, and its reads with it."""
    budget, answer = Budget(BOUND), Answer(200, b"x" * 900)
    for _ in range(5):
        assert budget.read(0, answer) is answer
    with pytest.raises(TooCostly):
        budget.read(1, answer)
