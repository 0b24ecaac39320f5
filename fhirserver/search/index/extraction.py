"""How the resources of one type are read: worked out from the definitions once, and for each set of elements that they have once.

What a parameter selects mostly lies in one element of the resource, and the same content comes again: a laboratory has few codes,
a patient one reference. So what was read of an element is remembered by its text, and only what does not come again is read each time.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from fhirserver.fhirpath import Plan
from fhirserver.fhirpath.path import Shape
from fhirserver.search.index.coded import Encoder
from fhirserver.search.parameters import token, words
from fhirserver.search.parameters.term import Node

LONGEST: Final = 1_000
"""Characters of an element that is remembered."""
TRIED: Final = 1_024
"""Contents of an element that are remembered before it is asked whether they come again: a laboratory's day has hundreds of patients."""
_READING: Final = 1_000
_OF_ELEMENT: Final = 500
"""Bytes of a reading, and of each element in it, about."""


@dataclass(frozen=True, slots=True)
class Stored:
    """How values are stored: `number` is the same for what stores the same of the same value, and 0 where it is alone."""

    number: int
    encoder: Encoder
    has_texts: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """What is made of the values of one expression: those of a parameter, by its `code`, or of a component, for composites."""

    stored: Stored
    code: str = ""
    slot: str = ""


@dataclass(frozen=True, slots=True)
class Component:
    """A component of a composite at an element within: its place, and how it is found and stored."""

    place: str
    path: Callable[..., list[Node]]
    stored: Stored


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite parameter: where its components at the resource itself are put, by their place, and those at elements within."""

    code: str
    at_root: tuple[tuple[str, str], ...]
    within: tuple[tuple[str, tuple[Component, ...]], ...]


class Found(NamedTuple):
    """What was read: what is stored by code, the sort scalars, the components of composites, and what people have written."""

    values: dict[str, Any]
    scalars: dict[str, dict[str, Any]]
    slots: dict[str, Any]
    written: dict[str, words.Read]


class Element:
    """An element of a type's resources: what is read of it, and what was found by its text."""

    __slots__ = ("key", "known", "missed", "resolves", "shape", "since")

    def __init__(self, key: str, shape: Shape, since: int) -> None:
        self.key = key
        self.shape = shape
        self.resolves = any(source.resolves for source in shape.sources.values())
        self.known: dict[str | bytes, Found] = {}
        self.missed = 0
        self.since = since

    def keeps(self, text: str | bytes) -> bool:
        """Whether what is found may be remembered: a reference to what is contained needs the whole resource to be read."""
        leads_inside = text.startswith("#") if isinstance(text, str) else b'"#' in text
        return len(text) <= LONGEST and not (self.resolves and leads_inside)

    def is_new(self, seen: int) -> bool:
        """Count a content that was not known; whether, of `seen` resources, most had one that was not."""
        self.missed += 1
        if self.missed < TRIED:
            return False
        mostly = self.missed * 2 > seen - self.since
        self.missed, self.since = 0, seen
        return mostly


@dataclass(frozen=True, slots=True)
class Reading:
    """How resources that have the same elements are read.

    `elements` are in their order; one without an Element is only looked through for words. `rest` is what is read of the whole resource.
    """

    elements: tuple[tuple[str, Element | None], ...]
    rest: Shape | None
    values: tuple[str, ...]
    """What can be stored, in the order in which it is."""
    scalars: tuple[str, ...]
    composites: tuple[Composite, ...]
    united: tuple[tuple[str, tuple[str, ...]], ...]


class Elements(NamedTuple):
    """The elements of a type by their JSON names: those of which may be remembered what was read, those that hold one value without
    parts, and those in which nothing is written."""

    apart: frozenset[str]
    plain: frozenset[str]
    wordless: frozenset[str]


@dataclass(slots=True)
class Extraction:
    """How one resource type is read; `further` is what is not R4's, each by itself, for it may fail."""

    plan: Plan
    readers: Mapping[str, tuple[Reader, ...]]
    composites: tuple[Composite, ...]
    united: tuple[tuple[str, tuple[str, ...]], ...]
    paired: frozenset[str]
    has_narrative: bool
    has_endings: bool
    elements: Elements
    further: tuple[Plan, ...] = ()
    further_composites: tuple[Composite, ...] = ()
    further_readers: Mapping[str, tuple[Reader, ...]] = field(default_factory=dict)
    seen: int = 0
    _readings: dict[tuple[str, ...], Reading] = field(default_factory=dict)
    _elements: dict[tuple[str, tuple[str, ...]], Element] = field(default_factory=dict)
    _changing: set[str] = field(default_factory=set)

    def known(self, elements: tuple[str, ...]) -> Reading | None:
        """How a resource with these elements is read, if that is known."""
        self.seen += 1
        return self._readings.get(elements)

    def reading(self, elements: tuple[str, ...]) -> Reading:
        """The same, worked out, and known from now on."""
        found = self._readings[elements] = self._reading(elements)
        return found

    def weight(self, elements: tuple[str, ...]) -> int:
        """Bytes, about, of what is known of resources with these elements."""
        return (_READING + _OF_ELEMENT * len(elements)) * (1 + len(self.further))

    def forget(self) -> None:
        """Remember nothing, and find out again what is worth it."""
        self._readings, self._elements, self._changing = {}, {}, set()
        for plan in (self.plan, *self.further):
            plan.forget()

    def remember_no_more(self, key: str) -> None:
        """The element's content does not come again: it is read each time."""
        self._changing.add(key)
        self._readings = {}
        # A tuple: large resources are read on threads, which may add to them meanwhile.
        self._elements = {each: element for each, element in tuple(self._elements.items()) if each[0] != key}

    def _reading(self, elements: tuple[str, ...]) -> Reading:
        shape = self.plan.shape(elements)
        names: dict[str, list[str]] = {key: [] for key in elements if key in self.elements.apart - self._changing}
        rest: list[str] = []
        for name in shape.names:
            names.get(shape.sources[name].element, rest).append(name)
        values = [code for name in shape.names for code in self._codes(name, shape.sources[name].type)]
        slots = {reader.slot for name in shape.names for reader in self.readers.get(name, ())}
        return Reading(
            tuple(
                (key, self._element(key, shape, names.get(key, ())))
                for key in elements
                if names.get(key) or key not in self.elements.wordless
            ),
            shape.only(rest) if rest else None,
            tuple(values),
            tuple(code for code in values if not code.endswith((token.TEXT, token.OF_TYPE))),
            tuple(each for each in self.composites if _is_possible(each, slots, shape.sources)),
            tuple(self._united(values)),
        )

    def _united(self, values: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What unites others, with those of them that there can be."""
        never = {reader.code for readers in self.readers.values() for reader in readers}.difference(values)
        never |= {each.code for each in self.composites}
        for code, united in self.united:
            if there := tuple(each for each in united if each not in never):
                yield code, there

    def _codes(self, name: str, type: str) -> list[str]:
        """What can be stored of an expression whose values are of this type, if that is known."""
        found = []
        for reader in self.readers.get(name, ()):
            if reader.code:
                found.append(reader.code)
                if reader.stored.has_texts and (not type or type in token.TOLD):
                    found += (reader.code + token.TEXT, reader.code + token.OF_TYPE)
        return found

    def _element(self, key: str, shape: Shape, names: Collection[str]) -> Element | None:
        """None where there is nothing but words to be read, or nothing that comes again."""
        if not names and (key in self.elements.plain or key not in self.elements.apart or key in self._changing):
            return None
        of = key, tuple(names)
        found = self._elements.get(of)
        if found is None:
            found = self._elements[of] = Element(key, shape.only(names), self.seen)
        return found


def _is_possible(composite: Composite, slots: set[str], names: Mapping[str, object]) -> bool:
    at_root = bool(composite.at_root) and all(slot in slots for _, slot in composite.at_root)
    return at_root or any(name in names for name, _ in composite.within)
