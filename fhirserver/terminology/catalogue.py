"""What terminology is at hand: R4's own, and what somebody who may read the store has put in beside it.

The algebra is plain code that asks for what it needs. What the catalogue does not know it raises as `Wanted`; whoever holds the
store finds that and starts the work again, so that nothing is read that is not needed, and no database is spoken to from here.

R4's own code systems and value sets mean what R4 says: a stored resource of the same URL counts only where its version is named,
or where R4 holds no more than an example of the code system.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Final, NamedTuple

from fhirserver.definitions import Terminology
from fhirserver.definitions.codes.grammars import GRAMMARS
from fhirserver.model.outcome import TooCostly, Unprocessable, Unresolved
from fhirserver.terminology.code_system import CodeSystem

Json = Mapping[str, Any]

MAX_WANTED: Final = 100
"""Resources of the store that one request may lead to."""
MAX_STEPS: Final = 300_000
"""Steps of one request: a code that is looked at, a part or a filter that it is held against, each as often as it is."""
SUPPLEMENTS: Final = "supplements"
"""In the place of a resource type: the supplements of the code system of this URL, together."""
_NAMES: Final = {
    "CodeSystem": "code system",
    "ValueSet": "value set",
    "ConceptMap": "concept map",
    "StructureDefinition": "profile",
}


class Asked(NamedTuple):
    """A resource by its type and canonical; without a version, whichever is in force."""

    resource_type: str
    url: str
    version: str | None = None

    @property
    def canonical(self) -> str:
        """As it is written."""
        return self.url if self.version is None else f"{self.url}|{self.version}"

    def absent(self) -> Unresolved:
        """The error that says that it is not here."""
        return Unresolved(f"There is no {_NAMES[self.resource_type]} '{self.canonical[:300]}' here that is in force.")


class Wanted(Exception):
    """Not asked for before: `asked` is to be found in the store, and told to the catalogue with `add`."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked.canonical)
        self.asked = asked


class Held(NamedTuple):
    """A resource of the store, and what names this version of it for good."""

    key: Hashable
    resource: dict[str, Any]
    updated: datetime = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class Parsed:
    """Code systems that were read before, by their version: a changed one has another key and is read anew."""

    most: int = 300_000
    """Concepts that are kept, of ordinary length; one with much text counts as several."""
    _kept: OrderedDict[Hashable, CodeSystem] = field(default_factory=OrderedDict)
    _concepts: int = 0
    _lock: Lock = field(default_factory=Lock)

    def system(self, key: Hashable, make: Callable[[], CodeSystem]) -> CodeSystem:
        """The code system of this key."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self._concepts += made.weight
            while self._concepts > self.most and len(self._kept) > 1:
                self._concepts -= self._kept.popitem(last=False)[1].weight
        return made


class Catalogue:
    """The terminology that one request works with."""

    def __init__(
        self,
        own: Terminology,
        parsed: Parsed | None = None,
        *,
        alone: bool = False,
        find: Callable[[Asked], Held | None] | None = None,
        supplemented: bool = False,
    ) -> None:
        """`alone`: there is no store beside R4's own; what is not in that is not there. `find` asks the store, for who can wait:
        then nothing is `Wanted`. `supplemented`: supplements count."""
        self._find = find
        self._supplemented = supplemented
        self._own = own
        self._parsed = parsed or Parsed()
        self._alone = alone
        self._stored: dict[Asked, Held | None] = {}
        self._given: dict[Asked, CodeSystem] = {}
        self.versions: dict[str, str] = {}
        """Versions of code systems that the request states, for where the value set states none."""
        self.forced: dict[str, str] = {}
        """Versions that count whatever the value set states."""
        self.made: dict[Asked, Any] = {}
        """What was made of the resources, to be made once."""
        self._spent = 0

    def add(self, asked: Asked, found: Held | None) -> None:
        """What the store has of something wanted. Raises TooCostly where a request leads to too much."""
        if len(self._stored) >= MAX_WANTED:
            raise TooCostly(f"More than {MAX_WANTED} terminology resources would be needed; ask for a part of it.")
        self._stored[asked] = found

    def spend(self, steps: int = 1) -> None:
        """Count what is done. Raises TooCostly where it is too much; starting again does not give anything back."""
        self._spent += steps
        if self._spent > MAX_STEPS:
            raise TooCostly(
                f"More than {MAX_STEPS} codes would have to be looked at; ask for less, or of a smaller value set."
            )

    def give(self, system: CodeSystem) -> None:
        """A code system that the request itself carries; it stands before any other of its URL."""
        self._given[Asked("CodeSystem", system.url)] = system
        self._given[Asked("CodeSystem", system.url, system.version)] = system

    def resource(self, asked: Asked) -> Json | None:
        """The resource, or None. Raises Wanted."""
        own = self._of_own(asked)
        if own is not None and own.get("content", "complete") == "complete":
            return own
        held = self._of_store(asked)
        return own if held is None else held.resource

    def is_own_value_set(self, url: str) -> bool:
        """Whether it is one of R4's value sets."""
        return url in self._own.value_sets

    def code_system(self, url: str, version: str | None = None) -> CodeSystem | None:
        """The code system, read; None if it is not here. Raises Wanted."""
        asked = Asked("CodeSystem", url, self.forced.get(url) or version or self.versions.get(url))
        if asked in self._given:
            return self._given[asked]
        own = self._of_own(asked)
        if own is None or own.get("content") != "complete":
            held = self._of_store(asked)
            if held is not None:
                return self._read(url, held.key, held.resource)
        return None if own is None else self._read(url, url, own)

    def _read(self, url: str, key: Hashable, resource: Json) -> CodeSystem:
        """The code system of a resource, with what its supplements add. Raises Wanted."""
        if not self._supplemented:
            return self._parsed.system(key, lambda: CodeSystem(resource))
        found = self._of_store(Asked(SUPPLEMENTS, url))
        if found is None:
            return self._parsed.system(key, lambda: CodeSystem(resource))
        added = found.resource["supplements"]
        return self._parsed.system((key, found.key), lambda: CodeSystem(resource, added))

    def _of_own(self, asked: Asked) -> Json | None:
        own = self._own.of(asked.resource_type).get(asked.url)
        return own if own is not None and asked.version in (None, own.get("version")) else None

    def _of_store(self, asked: Asked) -> Held | None:
        if asked not in self._stored:
            if self._alone:
                return None
            if self._find is None:
                raise Wanted(asked)
            self.add(asked, None if len(self._stored) >= MAX_WANTED else self._find(asked))
        return self._stored[asked]


def needed(catalogue: Catalogue, url: str, version: str | None = None) -> CodeSystem:
    """The code system. Raises Unresolved with a sentence that says which one is missing."""
    system = catalogue.code_system(url, version)
    if system is None:
        if url in GRAMMARS:
            raise Unprocessable(f"The codes of '{url}' have no list: they are made by a grammar.", code="not-supported")
        text = Asked("CodeSystem", url, version or catalogue.versions.get(url)).canonical[:300]
        raise Unresolved(f"The content of the code system '{text}' is not here; load it as a CodeSystem resource.")
    return system


def whole(catalogue: Catalogue, url: str, version: str | None = None) -> CodeSystem:
    """The code system with all its codes. Raises Unprocessable where only some of them are here."""
    system = needed(catalogue, url, version)
    if not system.is_complete:
        raise Unprocessable(
            f"Only a part of the code system '{url[:300]}' is here (content '{system.content}').", code="not-supported"
        )
    return system
