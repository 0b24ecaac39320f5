"""The types of FHIR as the compiler asks for them: what an element can be, under which JSON name, how often.

https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from fhirserver.definitions.structures import Element

if TYPE_CHECKING:
    from fhirserver.definitions import Definitions

SYSTEM_TYPES = {
    "Boolean": "boolean",
    "String": "string",
    "Integer": "integer",
    "Decimal": "decimal",
    "Date": "date",
    "DateTime": "dateTime",
    "Time": "time",
}
"""FHIRPath's own types and the FHIR types of the same values. R4 writes `value.as(DateTime)`."""


@dataclass(frozen=True, slots=True)
class Static:
    """A type as the compiler knows it. `is_focus`: the value is the one that the expression is applied to."""

    name: str
    is_focus: bool = False

    @property
    def path(self) -> str:
        """Where the definitions have its children."""
        return self.name.rpartition(":")[2]

    @property
    def code(self) -> str:
        """The name of the type without the place of a nested element."""
        return self.name.partition(":")[0]

    def inner(self) -> Static:
        """The same type, of a value that is no longer the focus."""
        return replace(self, is_focus=False)


class Alternative(NamedTuple):
    """One way an element can appear in JSON."""

    key: str
    type: Static


class Child(NamedTuple):
    """A child element: in how many types, and whether as an array."""

    alternatives: tuple[Alternative, ...]
    is_choice: bool
    is_list: bool


class TypeSystem:
    """Questions to the definitions."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.concrete_types = frozenset(definitions.concrete_types)

    def named(self, name: str) -> Static | None:
        """The type of this name: a structure, or the dotted path (or node name) of a nested element."""
        path = name.rpartition(":")[2]
        if "." not in path:
            return Static(path) if path in self.definitions.structures else None
        parent, _, last = path.rpartition(".")
        for element in self.definitions.children(parent):
            if element.stem == last:
                reference = element.content_reference
                return self._type(element, element.types[0].code) if reference is None else self.named(reference)
        return None

    def is_resource(self, name: str) -> bool:
        """Whether it is a concrete resource type."""
        return name in self.concrete_types

    def is_primitive(self, type: Static) -> bool:
        """Whether its values are JSON strings, numbers and booleans."""
        structure = self.definitions.structures.get(type.name)
        return structure is not None and structure.kind == "primitive-type"

    def is_any_resource(self, type: Static) -> bool:
        """Whether only the value itself tells which resource type it is."""
        structure = self.definitions.structures.get(type.name)
        return structure is not None and structure.kind == "resource" and structure.abstract

    def is_a(self, type: Static, ancestor: str) -> bool:
        """Whether the type is this one or derived from it."""
        name: str | None = type.code
        while name is not None and name != ancestor:
            structure = self.definitions.structures.get(name)
            name = None if structure is None else structure.base
        return name is not None

    def resource_types(self, ancestor: str) -> frozenset[str]:
        """The concrete resource types that are this one or derived from it."""
        if ancestor in self.concrete_types:
            return frozenset({ancestor})
        return frozenset(name for name in self.concrete_types if self.is_a(Static(name), ancestor))

    @cached_property
    def type_names(self) -> dict[str, str]:
        """What a type specifier can name."""
        return {**SYSTEM_TYPES, **{name: name for name in self.definitions.structures}}

    def child(self, type: Static, name: str) -> Child | None:
        """The element `name` of the type; None if it has no such element."""
        for element in self.definitions.children(type.path):
            if element.stem == name:
                return self._child(element)
        return None

    def _child(self, element: Element) -> Child:
        alternatives = []
        for key, type in element.json_names():
            if type is None:
                target = self.named(str(element.content_reference))
                if target is not None:
                    alternatives.append(Alternative(key, target))
            else:
                alternatives.append(Alternative(key, self._type(element, type.code)))
        return Child(tuple(alternatives), element.is_choice, element.is_list)

    def _type(self, element: Element, code: str) -> Static:
        return Static(f"{code}:{element.path}" if code in ("BackboneElement", "Element") else code)
