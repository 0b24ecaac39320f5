"""The fast reader: whether a resource is surely valid. What it does not accept, `walk` explains, or accepts after all.

Each shape becomes a table from JSON name to a check, most of them functions written in C, and one closure that runs it.
Rare forms (siblings of primitives, contained resources, absolute references) are left to `walk`.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from fhirserver.validation.bindings import concept_fault
from fhirserver.validation.datatypes import PRIMITIVES
from fhirserver.validation.shapes import Property, Shape, Shapes

Check = Callable[[Any], object]

_STUMBLES = (KeyError, TypeError, AttributeError)


class Acceptor:
    """The fast reader of all types; each is made when first asked for."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self._objects: dict[tuple[str, frozenset[str]], Check] = {}

    def accepts(self, resource: Any) -> bool:
        """True only for valid resources."""
        try:
            return bool(self._resource(resource))
        except _STUMBLES:
            # An unknown key is not in the table, and a value of the wrong kind breaks the function that takes it.
            return False

    def _resource(self, value: Any) -> object:
        type = value["resourceType"]
        check = self._objects.get((type, _ANY))
        if check is None:
            if type not in self._shapes.resource_types:
                return False
            check = self._object(self._shapes[type], _ANY)
        return check(value)

    def _object(self, shape: Shape, targets: frozenset[str]) -> Check:
        """The check of a shape; for a Reference, one for each set of targets."""
        found = self._objects.get((shape.name, targets))
        if found is not None:
            return found
        table: dict[str, Check] = {}
        check = _extension(shape, table) if shape.name == "Extension" else _object(shape, table)
        # Shapes hold each other in circles, so the check is known before its table is full.
        self._objects[shape.name, targets] = check
        if shape.is_resource:
            table["resourceType"] = {shape.name}.__contains__
        for property in shape.properties.values():
            if property.is_allowed and property.name != "contained":
                one = self._item(property)
                table[property.name] = _list(one) if property.is_list else one
        if shape.name == "Reference":
            table["reference"] = _reference(targets or self._shapes.resource_types)
            # Must agree with the reference: rare, and for `walk` to see.
            del table["type"]
        return check

    def _item(self, property: Property) -> Check:
        if property.kind == "resource":
            return self._resource
        if property.kind == "primitive":
            if property.bound is None:
                return PRIMITIVES[property.type].fits
            value_set = property.bound.value_set
            fits = PRIMITIVES[property.type].fits
            if value_set.grammars:
                return lambda code: fits(code) and value_set.contains(code)
            return frozenset(code for code in value_set.codes if fits(code)).__contains__
        check = self._object(self._shapes[property.shape], property.targets)
        bound = property.bound
        if bound is not None and property.type == "CodeableConcept":
            return lambda concept: check(concept) and concept_fault(concept, bound) is None
        return check


_ANY: frozenset[str] = frozenset()


def _object(shape: Shape, table: Mapping[str, Check]) -> Check:
    single = tuple(stem for stem, names in shape.required if names == {stem})
    one_of = tuple(names for stem, names in shape.required if names != {stem})
    choices = tuple(names for _, names in shape.choices)

    if not single and not choices:

        def plain(value: Any) -> bool:
            if not value:
                return False
            for key, each in value.items():  # noqa: SIM110 - `all` is slower by a third
                if not table[key](each):
                    return False
            return True

        return plain

    def full(value: Any) -> bool:
        for key, each in value.items():
            if not table[key](each):
                return False
        for name in single:
            if name not in value:
                return False
        for names in choices:
            if len(value.keys() & names) > 1:
                return False
        for names in one_of:
            if value.keys().isdisjoint(names):
                return False
        return bool(value)

    return full


def _extension(shape: Shape, table: Mapping[str, Check]) -> Check:
    contents = frozenset({"extension"}.union(*(names for _, names in shape.choices)))

    def extension(value: Any) -> bool:
        for key, each in value.items():
            if not table[key](each):
                return False
        return "url" in value and len(value.keys() & contents) == 1

    return extension


def _list(check: Check) -> Check:
    def all_of(value: Any) -> bool:
        if type(value) is not list or not value:
            return False
        for each in value:  # noqa: SIM110 - `all` is slower by a third
            if not check(each):
                return False
        return True

    return all_of


def _reference(types: frozenset[str]) -> Check:
    """Relative references to these types."""
    if len(types) <= _FEW:
        return re.compile(rf"(?:{'|'.join(sorted(types))})/{_ID}").fullmatch
    matches = re.compile(rf"([A-Z][A-Za-z]+)/{_ID}").fullmatch

    def refers(value: Any) -> bool:
        match = matches(value)
        return match is not None and match[1] in types

    return refers


_FEW = 12
# Ids that begin with a dot may be dot segments.
_ID = r"[A-Za-z0-9\-][A-Za-z0-9\-.]{0,63}"
