"""The fast reader: whether a resource is surely valid, its invariants included.

What it does not accept, `walk` and `invariants` explain, or accept after all. Each shape becomes a table from JSON name to a
check, most of them functions written in C, and one closure that runs it. Rare forms (what stands beside primitives that repeat or
are a choice of types) are left to them. Codes and what else comes again in resource after resource is known by its text.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhirserver.fhirpath import Environment, FhirPathError
from fhirserver.fhirpath.xhtml import has_content, xhtml_fault
from fhirserver.model.json import dump
from fhirserver.model.outcome import Issue
from fhirserver.validation.bindings import concept_fault
from fhirserver.validation.datatypes import PRIMITIVES
from fhirserver.validation.invariants import NOT_CONTAINED, Invariants, broken
from fhirserver.validation.references import Container, reference_fault
from fhirserver.validation.rules import NATIVE, OF_CONTAINED, Rule, Rules
from fhirserver.validation.shapes import Property, Shape, Shapes

Check = Callable[[Any], object]

_AGAIN = frozenset({"CodeableConcept", "Coding", "BackboneElement", "Dosage", "Annotation"})
"""The types of elements that come again, and are worth being known."""
_KNOWN = 4_096
_LONGEST = 1_000
_AROUND = (b'"#', b'"resourceType"')
"""In the text of what is valid or not by what is around it, or has more to be said of: references inside, and resources."""

_NONE: Mapping[str, str | bytes] = {}
_STUMBLES = (KeyError, TypeError, AttributeError, FhirPathError)


class Acceptor:
    """The fast reader of all types, for one thread; each is made when first asked for."""

    def __init__(self, shapes: Shapes, rules: Rules) -> None:
        self._shapes = shapes
        self._rules = rules
        self._objects: dict[tuple[str, frozenset[str]], Check] = {}
        self._warnings: dict[str, tuple[Rule, ...]] = {}
        self._of_containers: dict[str, tuple[Rule, ...]] = {}
        # The checks take nothing but the value, so what rules need to know besides stands here, one resource at a time.
        self._environment = Environment(None)
        self._is_inner = False
        self._is_contained = False
        self._is_advised = False
        self._is_odd = False
        self._owner: dict[str, Any] = {}
        """The resource that `#` references are of."""
        self._container: Container | None = None
        """What they see of it, once one of them asks."""
        self._invariants = Invariants(shapes, rules)
        self._texts: Mapping[str, str | bytes] = _NONE
        """Those of the elements of the resource itself, where the caller has them."""
        self._known: set[tuple[int, str | bytes]] = set()
        self._remembering = 0

    def accepts(self, resource: Any, texts: Mapping[str, str | bytes] = _NONE) -> bool:
        """True only for valid resources. `texts` are those of its elements, as `json.texts`, where the caller has them."""
        environment = self._environment
        environment.steps, environment.root = Environment.steps, None
        self._is_inner = self._is_contained = self._is_advised = False
        self._texts = texts
        try:
            return bool(self._resource(resource))
        except _STUMBLES:
            # An unknown key is not in the table, and a value of the wrong kind breaks the function that takes it.
            return False

    def advice(self, resource: Any) -> Sequence[Issue] | None:
        """The warnings about a valid resource; None if it is not surely valid."""
        if not self.accepts(resource):
            return None
        environment = self._environment
        environment.resource = resource
        try:
            type = resource["resourceType"]
            warnings = [
                broken(rule, resource, self._shapes[type], type)
                for rule in self._warnings[type]
                if not rule.holds(resource, environment)
            ]
        except _STUMBLES:
            return None
        # Only the walk knows the places of what lies deeper.
        return self._invariants.issues(resource) if self._is_advised else warnings

    def _resource(self, value: Any) -> object:
        type = value["resourceType"]
        check = self._objects.get((type, _ANY)) or self._made(type)
        if check is None:
            return False
        environment, outer, owner = self._environment, self._environment.resource, self._owner
        environment.resource = value
        if not self._is_contained:
            self._owner, self._container = value, None
        if not check(value):
            return False
        if "contained" in value:
            for rule in self._of_containers[type]:
                if not rule.holds(value, environment):
                    return False
        if self._is_inner:
            # What is contained is told in the narrative around it.
            self._is_advised |= not all(
                rule.holds(value, environment) or (self._is_contained and rule.key in NOT_CONTAINED)
                for rule in self._warnings[type]
            )
        environment.resource = outer
        if not self._is_contained:
            self._owner, self._container = owner, None
        return True

    def _made(self, type: str) -> Check | None:
        """The check of a resource type that comes first; None if there is no such type."""
        if type not in self._shapes.resource_types:
            return None
        rules = self._rules.of(type)
        self._warnings[type] = tuple(rule for rule in rules if rule.severity == "warning")
        self._of_containers[type] = tuple(rule for rule in rules if rule.key in OF_CONTAINED)
        return self._object(self._shapes[type], _ANY)

    def _contained(self, value: Any) -> object:
        """The resources that another one contains: each with an id of its own, none with others inside."""
        if self._is_contained or type(value) is not list or not value:
            return False
        if len({each["id"] for each in value}) != len(value):
            return False
        self._is_contained, self._environment.root = True, self._environment.resource
        found = all(map(self._inner_resource, value))
        self._is_contained, self._environment.root = False, None
        return found

    def _object(self, shape: Shape, targets: frozenset[str]) -> Check:
        """The check of a shape; for a Reference, one for each set of targets."""
        found = self._objects.get((shape.name, targets))
        if found is not None:
            return found
        table: dict[str, Check] = {}
        check = _extension(shape, table) if shape.name == "Extension" else _object(shape, table)
        check = self._ruled(check, self._rules_of_shape(shape))
        if shape.name == "Reference":
            check, text = self._refers(check, targets)
        # Shapes hold each other in circles, so the check is known before its table is full.
        self._objects[shape.name, targets] = check
        if shape.is_resource:
            table["resourceType"] = {shape.name}.__contains__
        for property in shape.properties.values():
            if property.is_allowed and property.name != "contained":
                one = self._item(property)
                every = _list(one) if property.is_list else one
                table[property.name] = (
                    self._remembered(property.name, every) if self._comes_again(shape, property) else every
                )
                if self._may_have_sibling(property):
                    table[f"_{property.name}"] = self._object(self._shapes["Element"], _ANY)
        if shape.is_resource and "contained" in shape.properties:
            table["contained"] = self._contained
        if shape.name == "Reference":
            table["reference"] = text
        return check

    def _comes_again(self, shape: Shape, property: Property) -> bool:
        """Whether an element of a resource is likely to come again, and is valid or not by itself."""
        if not shape.is_resource or property.type not in _AGAIN:
            return False
        elements = self._shapes.definitions.structures[shape.name].elements
        return not any(
            "%resource" in constraint.expression
            for element in elements
            if element.path.startswith(property.element.path)
            for constraint in element.constraints
        )

    def _remembered(self, name: str, check: Check) -> Check:
        """The check, but for what it has accepted before."""
        self._remembering += 1
        number, known = self._remembering, self._known

        def remembered(value: Any) -> bool:
            text = self._texts.get(name) or dump(value)
            if (number, text) in known:
                return True
            if not check(value):
                return False
            if len(text) <= _LONGEST and not any(each in text for each in _AROUND):
                if len(known) >= _KNOWN:
                    known.clear()
                known.add((number, text))
            return True

        return remembered

    def _may_have_sibling(self, property: Property) -> bool:
        """Whether what stands beside a primitive can be looked at by itself, without the primitive."""
        is_alone = property.has_sibling and not property.is_list and not property.element.is_choice
        return is_alone and all(rule.key in NATIVE for rule in self._shapes.rules_of(property, self._rules))

    def _refers(self, check: Check, targets: frozenset[str]) -> tuple[Check, Check]:
        """The check of a Reference, and of its text: relative ones at a glance, the others by `reference_fault`."""
        is_relative = _reference(targets or self._shapes.resource_types)
        fits, types = PRIMITIVES["string"].fits, self._shapes.resource_types

        def text(value: Any) -> object:
            if is_relative(value):
                return True
            self._is_odd = True
            return fits(value)

        def refers(value: Any) -> bool:
            # An identifier in a Reference has a Reference in it.
            outer, self._is_odd = self._is_odd, False
            found = check(value)
            is_odd, self._is_odd = self._is_odd or "type" in value, outer
            if not found or not is_odd:
                return bool(found)
            if self._container is None:
                self._container = Container.of(self._owner)
            return reference_fault(value, targets, self._container, types) is None

        return refers, text

    def _rules_of_shape(self, shape: Shape) -> Sequence[Rule]:
        """The rules of a type or nested element itself; warnings of a resource are asked apart."""
        rules = self._rules.of(shape.name)
        if shape.is_resource:
            # Nothing is contained: what contains is not read here.
            return [rule for rule in rules if rule.severity == "error" and rule.key not in OF_CONTAINED]
        return rules

    def _ruled(self, check: Check, rules: Sequence[Rule]) -> Check:
        """The check, and after it the rules."""
        if not rules:
            return check
        environment = self._environment
        if len(rules) == 1:
            holds = rules[0].holds
            return lambda value: check(value) and holds(value, environment)
        every = tuple(rule.holds for rule in rules)

        def ruled(value: Any) -> bool:
            if not check(value):
                return False
            for holds in every:  # noqa: SIM110 - `all` is slower by a third
                if not holds(value, environment):
                    return False
            return True

        return ruled

    def _inner_resource(self, value: Any) -> object:
        outer, self._is_inner = self._is_inner, True
        texts, self._texts = self._texts, _NONE
        found = self._resource(value)
        self._is_inner, self._texts = outer, texts
        return found

    def _item(self, property: Property) -> Check:
        """The check of one value: of its type, and of the rules that the element adds."""
        known = {rule.key for rule in self._rules.of(property.shape if property.kind == "complex" else property.type)}
        known |= NATIVE.keys()  # the xhtml itself is checked so
        rules = self._shapes.rules_of(property, self._rules) if property.kind != "resource" else ()
        return self._ruled(self._typed(property), [rule for rule in rules if rule.key not in known])

    def _typed(self, property: Property) -> Check:
        if property.kind == "resource":
            return self._inner_resource
        if property.kind == "primitive":
            if property.type == "xhtml":
                return lambda text: xhtml_fault(text) is None and has_content(text)
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
            if len(value) < 2 and (not value or "id" in value):
                return False  # ele-1
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
        return len(value) > 1 or (bool(value) and "id" not in value)  # ele-1

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
