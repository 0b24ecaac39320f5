"""The types of FHIR as the compiler asks for them: what an element can be, under which JSON name, how often.

https://hl7.org/fhir/R4/fhirpath.html#types
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from fhirserver.definitions.structures import Element
from fhirserver.fhirpath.language.syntax import TypeName
from fhirserver.fhirpath.tables import Row, Tables

if TYPE_CHECKING:
    from fhirserver.definitions import Definitions

SYSTEM_TYPES: Mapping[str, str] = {
    "Boolean": "boolean",
    "String": "string",
    "Integer": "integer",
    "Decimal": "decimal",
    "Date": "date",
    "DateTime": "dateTime",
    "Time": "time",
    "Quantity": "Quantity",
}
"""FHIRPath's own types and the FHIR types of the same values. R4 writes `value.as(DateTime)`."""
FHIR_NAMES: Mapping[str, str] = {f"System.{system}": fhir for system, fhir in SYSTEM_TYPES.items()}


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

    @property
    def is_any(self) -> bool:
        """Whether only the value tells the type; then the value comes with it, as a node."""
        return not self.name

    def inner(self) -> Static:
        """The same type, of a value that is no longer the focus."""
        return replace(self, is_focus=False)


ANY = Static("")
"""What only values tell. A step for it takes nodes, every other step the bare value."""
NOTHING = Static("()")
"""The focus where there is none."""


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
        self.tables = Tables(self)
        self._tests: dict[tuple[str, ...], TypeTest] = {}

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

    def test(self, specifier: TypeName, *, is_loose: bool) -> TypeTest | None:
        """What `is` asks of a type; None if the specifier names none.

        A name without namespace is FHIR's or, of FHIRPath's own values, FHIRPath's. In a loose reading FHIRPath's names
        stand for FHIR's primitives as well, as R4's expressions use them.
        """
        namespace, name = specifier.namespace, specifier.name
        names = []
        if namespace in (None, "FHIR") and name in self.definitions.structures:
            names.append(name)
        if namespace in (None, "System") and (name in SYSTEM_TYPES or name == "Any"):
            names.append(f"System.{name}")
            if is_loose and name in SYSTEM_TYPES:
                names.append(SYSTEM_TYPES[name])
        if not names:
            return None
        key = tuple(names)
        return self._tests.setdefault(key, TypeTest(self, key))

    def rows(self, type: str) -> Iterator[Row]:
        """All that a value of the type can hold in JSON."""
        static = Static(type)
        path = "Element" if self.is_primitive(static) else static.path
        for element in self.definitions.children(path):
            child = self._child(element)
            for key, of in child.alternatives:
                primitive = self.is_primitive(of) and path != "Element"
                yield Row(key, element.stem, of.name, child.is_list, primitive, self.is_any_resource(of))

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


class TypeTest(dict[str, bool]):
    """Whether a type is one of these or derived from one; remembered for each type that was asked."""

    def __init__(self, types: TypeSystem, ancestors: tuple[str, ...]) -> None:
        super().__init__()
        self.types = types
        self.ancestors = ancestors

    def __missing__(self, type: str) -> bool:
        found = self[type] = any(
            self.types.is_a(Static(type), ancestor) or (ancestor == "System.Any" and type.startswith("System."))
            for ancestor in self.ancestors
        )
        return found

    def resource_types(self) -> frozenset[str]:
        """The concrete resource types among them."""
        return frozenset().union(*(self.types.resource_types(ancestor) for ancestor in self.ancestors))
