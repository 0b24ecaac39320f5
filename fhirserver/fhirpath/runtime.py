"""What runs: the closures that a compiled expression consists of.

A step takes a value, the environment and the list of results; it finds what is next of that value and hands it on. The last
step appends to the results. Nothing here looks at definitions: types and cardinalities were settled by the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Node = tuple[str, Any]
"""A value with the name of its FHIR type; that of a nested element is `BackboneElement:` or `Element:` and its path."""


class Environment:
    """What an expression can see apart from its focus: `%resource`."""

    __slots__ = ("resource",)

    def __init__(self, resource: Any) -> None:
        self.resource = resource


Step = Callable[[Any, Environment, list[Node]], None]
Truth = Callable[[Any, Environment], bool | None]
Collection = Callable[[Any, Environment], list[Node]]


def emit(type: str) -> Step:
    """The last step: the value is a result."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        out.append((type, value))

    return step


def one(key: str, then: Step) -> Step:
    """An element that occurs at most once."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        child = value.get(key)
        if child is not None:
            then(child, environment, out)

    return step


def emit_one(key: str, type: str) -> Step:
    """`one` and `emit` in one call."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        child = value.get(key)
        if child is not None:
            out.append((type, child))

    return step


def many(key: str, then: Step) -> Step:
    """An element that repeats; None stands in an array where a primitive has only extensions."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        for child in value.get(key, ()):
            if child is not None:
                then(child, environment, out)

    return step


def emit_many(key: str, type: str) -> Step:
    """`many` and `emit` in one call."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        out += [(type, child) for child in value.get(key, ()) if child is not None]

    return step


def choice(alternatives: Sequence[tuple[str, Step]]) -> Step:
    """A choice element; a valid instance has one of the alternatives at most."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        for key, then in alternatives:
            child = value.get(key)
            if child is not None:
                then(child, environment, out)

    return step


def constant(result: Any, then: Step) -> Step:
    """The same result for every value."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        then(result, environment, out)

    return step


def where(criteria: Truth, then: Step) -> Step:
    """Hands on what the criteria are true of."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        if criteria(value, environment):
            then(value, environment, out)

    return step


def judged(truth: Truth, then: Step) -> Step:
    """Hands on the truth itself, unless it is neither true nor false."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        result = truth(value, environment)
        if result is not None:
            then(result, environment, out)

    return step


def by_type(steps: Mapping[str, Step | None], collection: Collection) -> Step:
    """Hands on each node of a collection by its type."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        for type, item in collection(value, environment):
            then = steps[type]
            if then is not None:
                then(item, environment, out)

    return step


def by_resource_type(steps: Mapping[str, Step | None]) -> Step:
    """Hands on a resource by the type it states."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        then = steps[value.get("resourceType", "")]
        if then is not None:
            then(value, environment, out)

    return step


def collection(step: Step | None) -> Collection:
    """What a step finds, as a list."""

    def collect(value: Any, environment: Environment) -> list[Node]:
        found: list[Node] = []
        if step is not None:
            step(value, environment, found)
        return found

    return collect


def extended(collection: Collection) -> Step:
    """Adds a collection to the results as it is."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        out += collection(value, environment)

    return step
