"""What an operation is: a code, where it stands, its definition, and the function that does it.

https://hl7.org/fhir/R4/operations.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from fhirserver.interactions.context import Context
from fhirserver.model.outcome import Issue
from fhirserver.model.resource import Resource, Version
from fhirserver.search.query.pairs import Pair
from fhirserver.search.request import WHOLE, Subset


class Level(StrEnum):
    """Where an operation can be invoked."""

    SYSTEM = "system"
    TYPE = "type"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Invocation:
    """What is invoked: at which level, on what, with which parameters by name.

    A parameter of a simple or complex type is its bare value, as in JSON; one that holds a resource is that resource, one with
    parts a dict of their values by name. `search` are the search parameters of an operation that takes them, `cursor` the place
    where a page begins.
    """

    level: Level
    resource_type: str = ""
    id: str = ""
    parameters: dict[str, list[Any]] = field(default_factory=dict)
    search: tuple[Pair, ...] = ()
    lenient: bool = False
    cursor: str | None = None

    def one(self, name: str) -> Any:
        """The value of a parameter that can be given once, or None."""
        return self.parameters.get(name, [None])[0]


@dataclass(frozen=True, slots=True)
class Searchset:
    """A page of resources as an operation's answer: their stored texts are joined, never parsed.

    `used` are the parameters for the links, `next` the cursor of the page behind it, `subset` what is sent of each resource.
    """

    asked: datetime
    used: Sequence[Pair]
    matches: Sequence[Version]
    included: Sequence[Version] = ()
    total: int | None = None
    next: str | None = None
    issues: Sequence[Issue] = ()
    subset: Subset = WHOLE


@dataclass(frozen=True, slots=True)
class Accepted:
    """Work that goes on behind the answer, as the job of this id."""

    job: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation of this server. Only one that does not change anything (`affects_state`) can be invoked by GET.

    `parameters` are those that it takes, typed by the definition; `takes_search` says that search parameters of the type come
    beside them, `has_pages` that its answer is continued by links. `resource_types` are the types it stands on: all, if None.
    Where not `gives_resource`, the answer is JSON of a form of its own.
    """

    code: str
    definition: str
    levels: frozenset[Level]
    handle: Callable[[Context, Invocation], Awaitable[Resource | Searchset | Accepted]]
    parameters: frozenset[str] = frozenset()
    affects_state: bool = False
    resource_types: frozenset[str] | None = None
    takes_search: bool = False
    has_pages: bool = False
    gives_resource: bool = True

    def stands_on(self, resource_type: str) -> bool:
        """Whether it can be invoked on this type, or its instances."""
        return self.resource_types is None or resource_type in self.resource_types


class Operations:
    """The table of operations: which one a code means at a level and, below that of the system, on a type."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._all = tuple(operations)

    def find(self, level: Level, code: str, resource_type: str = "") -> Operation | None:
        """The operation of this code that can be invoked there."""
        for each in self._all:
            if each.code == code and level in each.levels and (level is Level.SYSTEM or each.stands_on(resource_type)):
                return each
        return None

    def at(self, level: Level, resource_type: str = "") -> tuple[Operation, ...]:
        """The operations at a level, on this type where the level is below that of the system."""
        return tuple(
            each
            for each in self._all
            if level in each.levels and (level is Level.SYSTEM or each.stands_on(resource_type))
        )

    def __iter__(self) -> Iterator[Operation]:
        return iter(self._all)
