"""The catalog: the search parameters beside R4's that the servers of one database use, and how far each of them is.

It is one row with a generation. A parameter is `waiting` until what is stored was indexed for it, then `ready`, and `leaving`
until no server answers searches by it any more; only then is it forgotten, or comes anew in its changed form. What is written is
indexed for it all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Self

from fhirserver.definitions import Definitions, SearchParameter
from fhirserver.search.custom import Custom, read

ROWS: Final = "catalog"
KEY: Final = "parameters"
MOST: Final = 50
"""Parameters beside R4's."""


class State(StrEnum):
    """How far a parameter is."""

    WAITING = "waiting"
    READY = "ready"
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Entry:
    """A parameter: the id of its resource, what that says, and since which generation it is in this state or form."""

    id: str
    stated: Mapping[str, Any]
    state: State
    since: int

    @property
    def code(self) -> str:
        """The name by which it is asked."""
        code: str = self.stated["code"]
        return code

    @property
    def bases(self) -> tuple[str, ...]:
        """The types that have it."""
        return tuple(self.stated["base"])

    def meets(self, other: Custom | Entry) -> bool:
        """Whether both are asked by one name on one type."""
        return self.id != other.id and self.code == other.code and not set(self.bases).isdisjoint(other.bases)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The parameters of one generation."""

    generation: int = 0
    entries: tuple[Entry, ...] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any] | None) -> Self:
        """The catalog of a row, or an empty one."""
        if row is None:
            return cls()
        entries = tuple(
            Entry(each["id"], each["stated"], State(each["state"]), each["since"]) for each in row["entries"]
        )
        return cls(row["generation"], entries)

    def as_row(self) -> dict[str, Any]:
        """Its row."""
        entries = [
            {"id": each.id, "stated": dict(each.stated), "state": each.state.value, "since": each.since}
            for each in self.entries
        ]
        return {"_id": KEY, "generation": self.generation, "entries": entries}

    def entry(self, id: str) -> Entry | None:
        """The parameter of this resource."""
        return next((each for each in self.entries if each.id == id), None)

    def takes(self, custom: Custom) -> bool:
        """Whether there is room for the parameter: it is a known one in another form, or one more than there are."""
        return self.entry(custom.id) is not None or len(self.entries) < MOST

    def clashes(self, custom: Custom) -> bool:
        """Whether another parameter has its name on one of its types."""
        return any(each.meets(custom) for each in self.entries)

    def revised(self, found: Mapping[str, Custom | None]) -> Catalog:
        """What it is after these resources have become what they are now; the same if nothing changes."""
        following = self.generation + 1
        catalog = self
        for id, custom in sorted(found.items()):
            known = catalog.entry(id)
            if known is not None:
                if custom is not None and custom.stated == known.stated and known.state is not State.LEAVING:
                    continue
                if known.state is State.READY:
                    catalog = catalog._with(replace(known, state=State.LEAVING, since=following))
                if known.state is not State.WAITING:
                    continue
                catalog = catalog._without((known.id,))
            if custom is not None and not catalog.clashes(custom) and catalog.takes(custom):
                catalog = catalog._with(Entry(id, dict(custom.stated), State.WAITING, following))
        return self if catalog is self else replace(catalog, generation=following)

    def readied(self, done: Iterable[tuple[str, int]]) -> Catalog:
        """What it is when these, of these generations, are indexed; the same if none of them still waits."""
        wanted = set(done)
        ready = [each for each in self.entries if each.state is State.WAITING and (each.id, each.since) in wanted]
        catalog = self
        for each in ready:
            catalog = catalog._with(replace(each, state=State.READY))
        return replace(catalog, generation=self.generation + 1) if ready else self

    def left(self) -> Catalog:
        """What it is when those that were leaving are gone."""
        leaving = [each.id for each in self.entries if each.state is State.LEAVING]
        return replace(self._without(leaving), generation=self.generation + 1) if leaving else self

    def _with(self, entry: Entry) -> Catalog:
        others = tuple(each for each in self.entries if each.id != entry.id)
        return replace(self, entries=(*others, entry))

    def _without(self, ids: Iterable[str]) -> Catalog:
        gone = set(ids)
        return replace(self, entries=tuple(each for each in self.entries if each.id not in gone))


def derived_by(core: Definitions, catalog: Catalog) -> Definitions:
    """The definitions by which resources are read when they are stored."""
    return core.extended(_parameters(core, catalog.entries))


def searched_by(core: Definitions, catalog: Catalog, *, sure: bool = True) -> Definitions:
    """The definitions by which searches are read. One who is not sure that the catalog is still in force uses none of it."""
    ready = [each for each in catalog.entries if each.state is State.READY and sure]
    awaited: dict[str, set[str]] = {}
    for each in catalog.entries:
        for base in each.bases if each not in ready else ():
            awaited.setdefault(base, set()).add(each.code)
    return core.extended(_parameters(core, ready), {base: frozenset(codes) for base, codes in awaited.items()})


def _parameters(core: Definitions, entries: Iterable[Entry]) -> dict[str, dict[str, SearchParameter]]:
    found: dict[str, dict[str, SearchParameter]] = {}
    for each in entries:
        for base, parameter in read(core, each.id, each.stated).parameters.items():
            found.setdefault(base, {})[each.code] = parameter
    return found
