"""The exact reader: walks a resource and names everything that is wrong with it, each with its place.

https://hl7.org/fhir/R4/validation.html and https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from fhirserver.model.outcome import Issue
from fhirserver.validation.bindings import code_fault, concept_fault
from fhirserver.validation.datatypes import PRIMITIVES, is_json, json_type
from fhirserver.validation.references import Container, reference_fault
from fhirserver.validation.sentences import SENTENCES
from fhirserver.validation.shapes import Property, Shape, Shapes

ISSUE_LIMIT: Final = 1000
"""Issues that one validation reports; a last one says that there may be more."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class _Full(Exception):
    """As many issues as are reported."""


def walk(shapes: Shapes, resource: Any) -> list[Issue]:
    """All issues of a resource against the base definitions."""
    walker = _Walker(shapes)
    try:
        walker.resource(resource, "")
    except _Full:
        walker.issues.append(
            Issue("information", "too-costly", f"Only the first {ISSUE_LIMIT} issues are reported; there may be more.")
        )
    return walker.issues


class _Walker:
    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes
        self.issues: list[Issue] = []

    def add(self, code: str, sentence: str, place: str) -> None:
        if len(self.issues) == ISSUE_LIMIT:
            raise _Full
        self.issues.append(Issue("error", code, sentence, place))

    def resource(self, value: Any, place: str, container: Container | None = None) -> None:
        """A resource: the outermost (its place is empty), one in a Bundle or Parameters, or one in its container."""
        if not isinstance(value, dict):
            self.add("structure", f"A resource must be a JSON object, not {json_type(value)}.", place or "$this")
            return
        type = value.get("resourceType")
        if not isinstance(type, str) or type not in self.shapes.resource_types:
            problem = "has no resourceType" if type is None else "has a resourceType that is no resource type of R4"
            self.add("structure", f"The resource {problem}.", f"{place}.resourceType" if place else "resourceType")
            return
        place = place or type
        if container is not None:
            if "id" not in value:
                self.add("required", "A contained resource must have an id.", f"{place}.id")
            if "contained" in value:
                self.add("value", f"dom-2: {SENTENCES['dom-2']}", f"{place}.contained")
        self.object(value, self.shapes[type], place, container or Container.of(value))

    def object(self, value: Any, shape: Shape, place: str, container: Container) -> None:
        """An object: its keys, what must be there, and what excludes each other."""
        if not isinstance(value, dict):
            self.add("structure", f"{_last(place)} must be an object, not {json_type(value)}.", place)
            return
        if not value:
            self.add("value", f"{_last(place)} is an empty object; leave it out.", place)
            return
        seen: set[str] = set()
        for key in value:
            if shape.is_resource and key == "resourceType":
                continue
            name = key[1:] if key.startswith("_") else key
            property = shape.properties.get(name)
            if property is None or (name is not key and not property.has_sibling):
                self.unknown(key, shape, place)
            elif name not in seen:
                seen.add(name)
                if not property.is_allowed:
                    rule = "sqty-1: " if shape.name == "SimpleQuantity" else ""
                    self.add("value", f'{rule}"{name}" must not be given here.', f"{place}.{name}")
                self.property(value, property, f"{place}.{name}", container)
        for stem, names in shape.required:
            if seen.isdisjoint(names):
                self.add("required", f'"{stem}" is missing; {_article(shape.name)} must have it.', f"{place}.{stem}")
        for stem, names in shape.choices:
            if len(found := seen & names) > 1:
                listed = " and ".join(sorted(found))
                self.add("value", f'Only one "{stem}" may be given, not {listed}.', f"{place}.{stem}")
        if shape.name == "Extension":
            self.extension(value, seen, shape, place)

    def extension(self, value: Mapping[str, Any], seen: set[str], shape: Shape, place: str) -> None:
        """An extension holds a value or extensions: one of them."""
        has_value = any(not seen.isdisjoint(names) for stem, names in shape.choices)
        if has_value == ("extension" in value):
            problem = "both a value and extensions" if has_value else "neither a value nor extensions"
            self.add("extension", f"ext-1: The extension has {problem}; it must have exactly one of them.", place)

    def unknown(self, key: str, shape: Shape, place: str) -> None:
        sentence = f"{_quoted(key)} is not an element of {shape.name}."
        stem = next((stem for stem, _ in shape.choices if key.startswith(stem) and key != stem), None)
        if stem is not None:
            types = sorted(each.type for each in shape.properties.values() if each.stem == stem)
            listed = f" Its type must be one of: {', '.join(types)}." if len(types) <= 15 else ""
            sentence = f'{_quoted(key)} is not a form that "{stem}" has in {shape.name}.{listed}'
        elif close := get_close_matches(key[:64], shape.properties, 1, 0.75):
            sentence += f' Did you mean "{close[0]}"?'
        self.add("structure", sentence, f"{place}.{key}" if _NAME.fullmatch(key) else place)

    def property(self, owner: Mapping[str, Any], property: Property, place: str, container: Container) -> None:
        """All values of one property, with what stands beside them."""
        values, siblings = owner.get(property.name, _ABSENT), owner.get("_" + property.name, _ABSENT)
        if not property.has_sibling:
            siblings = _ABSENT
        if not property.is_list:
            if isinstance(values, list) or isinstance(siblings, list):
                self.add("structure", f'"{property.name}" does not repeat; it must not be an array.', place)
                return
            self.item(values, siblings, property, place, container)
            return
        columns = []
        for column in (values, siblings):
            if column is not _ABSENT and not isinstance(column, list):
                found = json_type(column)
                self.add("structure", f'"{property.name}" repeats; it must be an array, not {found}.', place)
                return
            if isinstance(column, list) and not column:
                self.add("value", f'"{property.name}" is an empty array; leave it out.', place)
            columns.append(column if isinstance(column, list) else [])
        for index in range(max(map(len, columns))):
            pair = [column[index] if index < len(column) else None for column in columns]
            # In arrays null fills the place of what is absent, for primitives alone.
            value, sibling = (_ABSENT if each is None and property.kind == "primitive" else each for each in pair)
            self.item(value, sibling if property.has_sibling else _ABSENT, property, f"{place}[{index}]", container)
        if property.name == "contained":
            self.contained(columns[0], place)

    def contained(self, resources: list[Any], place: str) -> None:
        ids: set[str] = set()
        for index, each in enumerate(resources):
            id = each.get("id") if isinstance(each, dict) else None
            if isinstance(id, str):
                if id in ids:
                    self.add("duplicate", "Two contained resources have the same id.", f"{place}[{index}].id")
                ids.add(id)

    def item(self, value: Any, sibling: Any, property: Property, place: str, container: Container) -> None:
        """One value of a property."""
        if property.kind == "primitive":
            self.primitive(value, sibling, property, place, container)
        elif property.kind == "resource":
            self.resource(value, place, container if property.name == "contained" else None)
        else:
            self.object(value, self.shapes[property.shape], place, container)
            if isinstance(value, dict) and property.shape == "Reference":
                fault = reference_fault(value, property.targets, container, self.shapes.resource_types)
                if fault is not None:
                    rule = "ref-1: " if fault[0] == "not-found" else ""
                    self.add(fault[0], f'{rule}"{property.name}" {fault[1]}', place)
            elif (
                isinstance(value, dict) and value and property.bound is not None and property.type == "CodeableConcept"
            ):
                fault = concept_fault(value, property.bound)
                if fault is not None:
                    self.add(fault[0], f'"{property.name}" {fault[1]}', place)

    def primitive(self, value: Any, sibling: Any, property: Property, place: str, container: Container) -> None:
        """A primitive value, and the id and extensions of its element."""
        if value is _ABSENT and sibling is _ABSENT:
            self.add("value", f'"{property.name}" has neither a value nor an extension here.', place)
        if value is not _ABSENT:
            self.value(value, property, place)
        if sibling is not _ABSENT:
            self.object(sibling, self.shapes["Element"], place, container)

    def value(self, value: Any, property: Property, place: str) -> None:
        primitive = PRIMITIVES[property.type]
        if not is_json(value, primitive.json):
            expected, found = primitive.json, json_type(value)
            self.add("structure", f'"{property.name}" must be a JSON {expected}, not {found}.', place)
            return
        fault = primitive.fault(value)
        if fault is None and property.bound is not None:
            fault = code_fault(value, property.bound)
        if fault is not None:
            self.add(fault[0], f'"{property.name}" {fault[1]}', place)


class _Absent:
    """Stands for a value that is not there, where None is JSON's null."""


_ABSENT: Final = _Absent()


def _last(place: str) -> str:
    return f'"{place.rpartition(".")[2]}"'


def _quoted(key: str) -> str:
    return f'"{key}"' if len(key) <= 64 else f'"{key[:64]}..."'


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"
