"""Structures: the resource types, data types and primitive types, as tables of elements.

https://hl7.org/fhir/R4/structuredefinition.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["resource", "complex-type", "primitive-type"]
Strength = Literal["required", "extensible", "preferred", "example"]
Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class ElementType:
    """One type an element may have.

    `target_types` are the resource types a Reference or canonical may point to; empty means any.
    `profiles` are the profiles that the value must conform to (in R4's own types: SimpleQuantity, by its URL).
    FHIRPath's System types are given as the FHIR primitive they carry.
    """

    code: str
    target_types: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding to a value set, by its canonical without version.

    `max_value_set` is the value set that no coded value may leave, whatever the strength.
    """

    strength: Strength
    value_set: str | None
    max_value_set: str | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """An invariant: its key, its severity and its FHIRPath expression."""

    key: str
    severity: Severity
    expression: str


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a structure; `max` None means unbounded.

    `name` is the last part of the path and keeps the `[x]` of a choice; `stem` is the name without it.
    `content_reference` is the path of the element whose content this one shares.
    """

    path: str
    name: str
    min: int
    max: int | None
    types: tuple[ElementType, ...]
    content_reference: str | None
    binding: Binding | None
    is_modifier: bool
    is_summary: bool
    constraints: tuple[Constraint, ...]
    max_length: int | None = None

    @property
    def is_choice(self) -> bool:
        """Whether the type is part of the JSON name: `value[x]`."""
        return self.name.endswith("[x]")

    @property
    def is_list(self) -> bool:
        """Whether JSON writes it as an array."""
        return self.max is None or self.max > 1

    @property
    def stem(self) -> str:
        """The name as FHIRPath knows it: `value` for `value[x]`."""
        return self.name.removesuffix("[x]")

    def json_names(self) -> tuple[tuple[str, ElementType | None], ...]:
        """The JSON names with the type each one stands for.

        None stands for the types of the content reference.
        """
        if not self.types:
            return ((self.name, None),)
        if not self.is_choice:
            return tuple((self.name, type) for type in self.types[:1])
        return tuple((self.stem + type.code[0].upper() + type.code[1:], type) for type in self.types)


@dataclass(frozen=True, slots=True)
class Structure:
    """A type: its full snapshot, inherited elements included, in order; the first element is the type itself."""

    name: str
    kind: Kind
    base: str | None
    abstract: bool
    elements: tuple[Element, ...]

    @property
    def url(self) -> str:
        """The canonical URL of its StructureDefinition."""
        return "http://hl7.org/fhir/StructureDefinition/" + self.name

    @property
    def root(self) -> Element:
        """The element that stands for the type itself; it carries the type's own constraints."""
        return self.elements[0]
