"""An entry: one interaction among several that happen together or not at all.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from msgspec import Struct

from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.patch import Patch
from fhirserver.model.outcome import FhirError
from fhirserver.model.resource import Version
from fhirserver.search.query.pairs import Pair

Method = Literal["DELETE", "POST", "PUT", "PATCH", "GET"]
ORDER: Mapping[Method, int] = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3}
"""The order in which a transaction is processed."""


class Entry(Struct, frozen=True):
    """What is asked.

    Without an `id`, `criteria` say which resource it is about: those of `If-None-Exist` where the method is POST. `full_url` is
    the name that other entries call the resource by. GET has `read` alone: it is run inside the transaction, after the writes.
    """

    method: Method
    resource_type: str = ""
    id: str | None = None
    criteria: Sequence[Pair] | None = None
    body: Any = None
    patch: Patch | None = None
    full_url: str | None = None
    if_match: tuple[str, ...] | None = None
    if_none_match_any: bool = False
    read: Callable[[Context], Awaitable[Any]] | None = None


class Done(Struct, frozen=True):
    """What came of an entry.

    `version` is the one written, or of a conditional create the one found; None where nothing was there to delete. `answer` is what
    `read` gave.
    """

    version: Version | None = None
    created: bool = False
    written: bool = False
    answer: Any = None


class Failed(Exception):
    """Entries failed, and with them the whole: their numbers, and why, in order."""

    def __init__(self, failures: Sequence[tuple[int, FhirError]]) -> None:
        super().__init__([index for index, _ in failures])
        self.failures = tuple(failures)


@contextmanager
def at(index: int) -> Iterator[None]:
    """A refusal in here is that of this entry."""
    try:
        yield
    except FhirError as error:
        raise Failed([(index, error)]) from error
