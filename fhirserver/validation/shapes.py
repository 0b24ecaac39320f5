"""Shapes: what an object may hold, in JSON's terms, as the two readers of this room need it.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fhirserver.definitions import Definitions, Element, ElementType, ValueSet
from fhirserver.validation.datatypes import ELEMENT_ID
from fhirserver.validation.rules import Rule, Rules

Kind = Literal["primitive", "complex", "resource"]


@dataclass(frozen=True, slots=True)
class Bound:
    """The codes that an element may hold. `required` is false where only `max_value_set` binds."""

    value_set: ValueSet
    required: bool


@dataclass(frozen=True, slots=True)
class Property:
    """One JSON name of an object, with the one type that stands behind it.

    `type` is the code of the type; `shape` names the shape of a complex one. `stem` is the name as FHIRPath knows it:
    `value` for `valueQuantity`. `has_sibling` says that `_name` may stand beside it. `element` is its definition.
    """

    name: str
    stem: str
    kind: Kind
    type: str
    shape: str
    is_list: bool
    is_allowed: bool
    has_sibling: bool
    targets: frozenset[str]
    bound: Bound | None
    element: Element


@dataclass(frozen=True, slots=True)
class Shape:
    """An object: its properties by JSON name, and which of them must or may not stand together."""

    name: str
    is_resource: bool
    properties: Mapping[str, Property]
    required: tuple[tuple[str, frozenset[str]], ...]
    """What must be there: the stem, and the JSON names of which one will do."""
    choices: tuple[tuple[str, frozenset[str]], ...]
    """What excludes each other: the stem, and the JSON names of which at most one may be there."""


class Shapes:
    """All shapes, made when first asked for."""

    def __init__(self, definitions: Definitions) -> None:
        self.definitions = definitions
        self.resource_types = frozenset(definitions.concrete_types)
        self._made: dict[str, Shape] = {}
        self._rules: dict[tuple[str, str], tuple[Rule, ...]] = {}

    def __getitem__(self, name: str) -> Shape:
        """The shape of a type or of a backbone element, by its path."""
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = self._shape(name)
        return found

    def _shape(self, name: str) -> Shape:
        children = self.definitions.children(name)
        properties: dict[str, Property] = {}
        required = []
        choices = []
        for element in children:
            made = [self._property(element, *row) for row in element.json_names()]
            properties.update((each.name, each) for each in made)
            names = frozenset(each.name for each in made)
            if element.min:
                required.append((element.stem, names))
            if element.is_choice:
                choices.append((element.stem, names))
        return Shape(name, name in self.resource_types, properties, tuple(required), tuple(choices))

    def _property(self, element: Element, name: str, type: ElementType | None) -> Property:
        code = type.code if type is not None else element.path
        structure = self.definitions.structures.get(code)
        kind: Kind = "complex"
        if code == "Resource":
            kind = "resource"
        elif structure is not None and structure.kind == "primitive-type":
            kind = "primitive"
        if name == "id" and code == "string":
            code = ELEMENT_ID
        profile = type.profiles[0].rpartition("/")[2] if type is not None and type.profiles else code
        targets = frozenset(type.target_types) if type is not None else frozenset()
        return Property(
            name=name,
            stem=element.stem,
            kind=kind,
            type=code,
            shape=element.path if self.definitions.children(element.path) else profile,
            is_list=element.is_list,
            is_allowed=element.max != 0,
            # These are attributes in XML: nothing can stand beside them.
            has_sibling=kind == "primitive" and code != "xhtml" and name != "id" and element.path != "Extension.url",
            targets=frozenset() if "Resource" in targets else targets,
            bound=self._bound(element),
            element=element,
        )

    def rules_of(self, property: Property, rules: Rules) -> tuple[Rule, ...]:
        """The rules for each value of a property."""
        found = self._rules.get((property.element.path, property.name))
        if found is None:
            of = "string" if property.type == ELEMENT_ID else property.type
            found = rules.of(property.shape if "." in property.shape else of, property.element)
            self._rules[property.element.path, property.name] = found
        return found

    def _bound(self, element: Element) -> Bound | None:
        binding = element.binding
        if binding is None:
            return None
        if binding.strength == "required" and binding.value_set is not None:
            value_set = self.definitions.value_set(binding.value_set)
            return None if value_set is None else Bound(value_set, required=True)
        if binding.max_value_set is not None:
            value_set = self.definitions.value_set(binding.max_value_set)
            return None if value_set is None else Bound(value_set, required=False)
        return None
