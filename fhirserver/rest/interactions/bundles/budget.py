"""The bytes that the entries of one Bundle answer together.

What a read will answer is not known before it has. So each that is under way is counted as large as the largest so far, and
the next one waits until there is room for it; an answer that has none is given up, and no further read is begun. What is
written is written: where there is no room for it, the answer says so without the resource.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from fhirserver.model.outcome import TooCostly
from fhirserver.rest.messages.responses import Answer

ANSWERS: Final = 64 * 1024 * 1024
"""Bytes that the entries of one Bundle may answer together."""

_UNKNOWN: Final = 8
"""So many are begun before one of them has shown how large answers are."""


class Budget:
    """What is left for the entries of one Bundle."""

    def __init__(self, bound: int = ANSWERS) -> None:
        self._bound = bound
        self._sizes: dict[int, int] = {}
        self._used = self._under_way = 0
        self._largest = bound // _UNKNOWN
        self._is_spent = self._is_known = False
        self._ended = asyncio.Event()

    async def read(self, number: int, read: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of the entry with this number, read as soon as there is room. Raises TooCostly where there is none."""
        while self._under_way and not self._is_spent and not self._has_room():
            await self._ended.wait()
        if self._is_spent:
            raise self._refusal()
        self._under_way += 1
        try:
            answer = await read()
        finally:
            self._under_way -= 1
            ended, self._ended = self._ended, asyncio.Event()
            ended.set()
        self._largest = max(self._largest, len(answer.body)) if self._is_known else len(answer.body)
        self._is_known = True
        if not self._takes(number, len(answer.body)):
            self._is_spent = True
            raise self._refusal()
        return answer

    def written(self, number: int, answer: Answer) -> Answer:
        """The answer to a write; without the resource where there is no room for it."""
        if not answer.is_outcome and not self._takes(number, len(answer.body)):
            answer.body = b""
        return answer

    def _has_room(self) -> bool:
        return self._used + (self._under_way + 1) * self._largest <= self._bound

    def _takes(self, number: int, size: int) -> bool:
        # A transaction that is tried again reads again: each entry counts once.
        used = self._used - self._sizes.get(number, 0) + size
        if used > self._bound:
            return False
        self._used, self._sizes[number] = used, size
        return True

    def _refusal(self) -> TooCostly:
        return TooCostly(
            f"The entries of a Bundle may answer {self._bound} bytes together; send fewer at a time, or this one by itself."
        )
