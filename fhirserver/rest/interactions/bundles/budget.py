"""The bytes that the entries of one Bundle answer together.

They take of it in their own order, whichever is answered first: what makes one slow may be hidden from the caller, and what she
gets must not tell. An answer that has no room is given up, and so is every read behind it. What is written is written: where
there is no room for it, the answer says so without the resource.

What a read will answer is not known before it has. So each that is under way is counted as large as the largest so far, and
the next one waits until there is room for it.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from fhirserver.model.outcome import TooCostly
from fhirserver.rest.messages.errors import answer_to
from fhirserver.rest.messages.responses import Answer

ANSWERS: Final = 64 * 1024 * 1024
"""Bytes that the entries of one Bundle may answer together."""

_UNKNOWN: Final = 8
"""So many are begun before one of them has shown how large answers are."""


class Budget:
    """What is left for the entries of one Bundle, which take of it one after the other."""

    def __init__(self, bound: int = ANSWERS) -> None:
        self.bound = bound
        self.used = 0
        self._sizes: dict[int, int] = {}

    def read(self, number: int, answer: Answer) -> Answer:
        """The answer of the entry with this number. Raises TooCostly where there is no room for it."""
        if not self._takes(number, answer):
            raise TooCostly(
                f"The entries of a Bundle may answer {self.bound} bytes together; "
                "send fewer at a time, or this one by itself."
            )
        return answer

    def written(self, number: int, answer: Answer) -> Answer:
        """The answer to a write; without the resource where there is no room for it."""
        if not self._takes(number, answer):
            answer.body = b""
        return answer

    def _takes(self, number: int, answer: Answer) -> bool:
        # A transaction that is tried again reads again: each entry counts once.
        used = self.used - self._sizes.get(number, 0) + _size(answer)
        if used > self.bound:
            return False
        self.used, self._sizes[number] = used, _size(answer)
        return True


class SideBySide:
    """Entries that are under way at once. They are begun in the order of their numbers, which are all from 0 on."""

    def __init__(self, budget: Budget) -> None:
        self.answers: list[Answer] = []
        """Those that have their share, in the order of the entries."""
        self._budget = budget
        self._ended: dict[int, tuple[Answer, bool]] = {}
        self._begun = self._held = self._under_way = 0
        self._largest = budget.bound // _UNKNOWN
        self._is_known = False
        self._refusal: Answer | None = None
        self._moved = asyncio.Event()

    async def answer(self, number: int, answering: Callable[[], Awaitable[Answer]], *, is_read: bool) -> None:
        """Let the entry with this number be answered as soon as there is room: `answering` raises nothing."""
        while not self._may_begin(number, is_read=is_read):
            await self._moved.wait()
        self._begun += 1
        if is_read and self._refusal is not None:
            self._end(number, self._refusal, is_read=True)
            return
        self._under_way += is_read
        answer = await answering()
        self._under_way -= is_read
        if is_read and not answer.is_outcome:
            self._largest = max(self._largest, _size(answer)) if self._is_known else _size(answer)
            self._is_known = True
        self._end(number, answer, is_read=is_read)

    def _may_begin(self, number: int, *, is_read: bool) -> bool:
        if number != self._begun:
            return False
        if number == len(self.answers) or (is_read and self._refusal is not None):
            return True
        more = (self._under_way + 1) * self._largest if is_read else 0
        return self._budget.used + self._held + more <= self._budget.bound

    def _end(self, number: int, answer: Answer, *, is_read: bool) -> None:
        self._ended[number] = answer, is_read
        self._held += _size(answer)
        while (following := len(self.answers)) in self._ended:
            answer, is_read = self._ended.pop(following)
            self._held -= _size(answer)
            self.answers.append(self._read(following, answer) if is_read else self._budget.written(following, answer))
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _read(self, number: int, answer: Answer) -> Answer:
        if self._refusal is None:
            try:
                return self._budget.read(number, answer)
            except TooCostly as refusal:
                self._refusal = answer_to(refusal)
        return self._refusal


def _size(answer: Answer) -> int:
    """What an answer counts. A refusal counts nothing."""
    return 0 if answer.is_outcome else len(answer.body)
