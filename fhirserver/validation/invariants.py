"""Invariants: every rule of R4 that a resource breaks, each once, with what was found and where.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, cast

from fhirserver.fhirpath import Environment
from fhirserver.fhirpath.values.nodes import Primitive
from fhirserver.model.json import dump
from fhirserver.model.outcome import Issue, Severity
from fhirserver.validation.rules import OF_CONTAINED, Rule, Rules, is_empty
from fhirserver.validation.sentences import SENTENCES
from fhirserver.validation.shapes import Property, Shape, Shapes
from fhirserver.validation.walk import ISSUE_LIMIT

SHOWN = 40
"""Characters of a value that a message shows."""
NAMES = 6
NOT_CONTAINED = OF_CONTAINED | {"dom-6"}
"""Rules that are not asked of contained resources."""


class Invariants:
    """Evaluates the rules of all types; those of a type are compiled when it comes first."""

    def __init__(self, shapes: Shapes, rules: Rules) -> None:
        self._shapes = shapes
        self._rules = rules

    def issues(self, resource: dict[str, Any]) -> list[Issue]:
        """All broken rules of a resource whose structure can be read."""
        found: list[Issue] = []
        self._resource(resource, str(resource["resourceType"]), None, found)
        return found[:ISSUE_LIMIT]

    def _resource(self, value: dict[str, Any], place: str, container: Any, found: list[Issue]) -> None:
        environment = Environment(value)
        environment.root = container
        type = value["resourceType"]
        rules = self._rules.of(type)
        if container is not None:
            # It is told in the narrative around it, and contains nothing itself.
            rules = tuple(rule for rule in rules if rule.key not in NOT_CONTAINED)
        self._object(value, self._shapes[type], place, environment, rules, found)

    def _object(
        self,
        value: dict[str, Any],
        shape: Shape,
        place: str,
        environment: Environment,
        rules: tuple[Rule, ...],
        found: list[Issue],
    ) -> None:
        if is_empty(value):
            found.append(Issue("error", "invariant", f"ele-1: {SENTENCES['ele-1']}", place))
        for rule in rules:
            self._hold(rule, value, shape, place, environment, found)
        for key, child in value.items():
            beside = key.startswith("_")
            name = key[1:] if beside else key
            property = shape.properties.get(name)
            if property is None or len(found) >= ISSUE_LIMIT:
                continue
            if property.kind == "primitive":
                if not beside or name not in value:
                    self._primitives(
                        property, child if not beside else None, value, f"{place}.{name}", environment, found
                    )
            elif property.is_list:
                for index, each in enumerate(child):
                    self._value(property, each, f"{place}.{name}[{index}]", environment, found)
            else:
                self._value(property, child, f"{place}.{name}", environment, found)

    def _value(self, property: Property, value: Any, place: str, environment: Environment, found: list[Issue]) -> None:
        if not isinstance(value, dict):
            return  # reported as what it is
        if property.kind == "resource":
            if value.get("resourceType") in self._shapes.resource_types:
                container = environment.container if property.name == "contained" else None
                self._resource(value, place, container, found)
            return
        rules = self._shapes.rules_of(property, self._rules)
        self._object(value, self._shapes[property.shape], place, environment, rules, found)

    def _primitives(
        self,
        property: Property,
        values: Any,
        owner: Mapping[str, Any],
        place: str,
        environment: Environment,
        found: list[Issue],
    ) -> None:
        """The values of a primitive and what stands beside them."""
        siblings = owner.get("_" + property.name)
        rules = self._shapes.rules_of(property, self._rules)
        if siblings is None and not rules:
            return
        if not property.is_list:
            self._primitive(values, siblings, rules, place, environment, found)
            return
        for index, (value, sibling) in enumerate(zip_longest(values or (), siblings or ())):
            self._primitive(value, sibling, rules, f"{place}[{index}]", environment, found)

    def _primitive(
        self,
        value: Any,
        sibling: Any,
        rules: tuple[Rule, ...],
        place: str,
        environment: Environment,
        found: list[Issue],
    ) -> None:
        if isinstance(sibling, dict):
            if value is None and is_empty(sibling):
                found.append(Issue("error", "invariant", f"ele-1: {SENTENCES['ele-1']}", place))
            shape = self._shapes["Element"]
            for index, each in enumerate(sibling.get("extension", ())):
                self._value(shape.properties["extension"], each, f"{place}.extension[{index}]", environment, found)
        if value is not None or sibling is not None:
            focus = value if sibling is None else Primitive(value, sibling)
            for rule in rules:
                self._hold(rule, focus, None, place, environment, found)

    def _hold(
        self, rule: Rule, value: Any, shape: Shape | None, place: str, environment: Environment, found: list[Issue]
    ) -> None:
        environment.steps = Environment.steps
        why = rule.fault(value, environment)
        if why is not None:
            found.append(broken(rule, value, shape, place, why))


def broken(rule: Rule, value: Any, shape: Shape | None, place: str, why: str = "") -> Issue:
    """A broken rule as an issue: its key, what it asks, and what was found."""
    sentence = SENTENCES.get(rule.key) or f"This must hold: {rule.expression} ."
    text = f"{rule.key}: {sentence}{_found(rule, value, shape)}{why}"
    return Issue(cast("Severity", rule.severity), "invariant", text, place)


def _found(rule: Rule, value: Any, shape: Shape | None) -> str:
    """What there is of the elements that the rule looks at."""
    if shape is None or not isinstance(value, dict):
        return ""
    parts = []
    for name in rule.names[:NAMES]:
        keys = [key for key, property in shape.properties.items() if property.stem == name]
        there = [key for key in keys if key in value or "_" + key in value]
        if keys:
            parts.append(" and ".join(_shown(key, value.get(key)) for key in there) if there else f"no {name}")
    return f" Found: {', '.join(parts)}." if parts else ""


def _shown(key: str, value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        return key
    text = dump(value).decode()
    return f"{key} {text if len(text) <= SHOWN else text[:SHOWN] + '...'}"
