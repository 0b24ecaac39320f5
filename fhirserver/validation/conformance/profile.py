"""A profile as a tree of what it asks beyond the type that it constrains.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class TypeRef(NamedTuple):
    """A type that an element may have, the profiles that its value conforms to one of, and those of what it refers to."""

    code: str
    profiles: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


class Bound(NamedTuple):
    """A binding: its strength, its value set, and the one that no code may leave."""

    strength: str
    value_set: str | None
    maximum: str | None = None


class Asked(NamedTuple):
    """A constraint: its key, its severity, its expression, and what it asks in words, where its author says so."""

    key: str
    severity: str
    expression: str
    human: str | None = None


class Discriminator(NamedTuple):
    """What tells slices apart: the kind of the test, and the path of what is tested."""

    type: str
    path: str


@dataclass(slots=True)
class Slicing:
    """How an element is sliced. Without discriminators nothing says which value belongs to which slice."""

    discriminators: tuple[Discriminator, ...] = ()
    ordered: bool = False
    rules: str = "open"


@dataclass(slots=True, eq=False)
class ElementDefinition:
    """What a profile asks of one element. `max` None means that it says nothing narrower; fixed values and patterns are one-tuples.

    What is said of the element holds in each of its slices too. `children` go by the name as FHIRPath knows it.
    """

    name: str
    slice: str | None = None
    min: int = 0
    max: int | None = None
    types: tuple[TypeRef, ...] | None = None
    fixed: tuple[Any] | None = None
    pattern: tuple[Any] | None = None
    lowest: tuple[Any] | None = None
    highest: tuple[Any] | None = None
    max_length: int | None = None
    min_length: int | None = None
    regexes: tuple[str, ...] = ()
    is_modifier: bool = False
    binding: Bound | None = None
    constraints: tuple[Asked, ...] = ()
    content_reference: str | None = None
    slicing: Slicing | None = None
    slices: dict[str, ElementDefinition] = field(default_factory=dict)
    children: dict[str, ElementDefinition] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """How sentences name it."""
        return f'"{self.name}"' if self.slice is None else f'the slice "{self.slice}" of "{self.name}"'

    @property
    def type_profiles(self) -> tuple[str, ...]:
        """The profiles of its only type."""
        return self.types[0].profiles if self.types is not None and len(self.types) == 1 else ()


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile that was read: its URL, the type that it is on, where its extension may stand and what must hold there, and
    its root element."""

    url: str
    type: str
    contexts: tuple[tuple[str, str], ...]
    context_invariants: tuple[str, ...]
    root: ElementDefinition
    base: str | None = None
    """The profile that it was built on and that is not known here, where it has no snapshot of its own."""

    def at(self, path: str) -> ElementDefinition | None:
        """The element of a path such as `Questionnaire.item`, outside of slices."""
        found: ElementDefinition | None = self.root
        for step in path.split(".")[1:]:
            found = None if found is None else found.children.get(step.removesuffix("[x]"))
        return found

    def named(self, id: str) -> ElementDefinition | None:
        """The element of an id such as `Observation.component:a.code`."""
        found: ElementDefinition | None = self.root
        for step in id.split(".")[1:]:
            name, _, slice = step.partition(":")
            found = None if found is None else found.children.get(name.removesuffix("[x]"))
            if slice and found is not None:
                found = found.slices.get(slice)
        return found


Json = Mapping[str, Any]
