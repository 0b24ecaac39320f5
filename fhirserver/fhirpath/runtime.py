"""What runs: the closures that a compiled expression consists of.

A step takes a value, the environment and the list of results; it finds what is next of that value and hands it on. The last
step appends to the results. Nothing here looks at definitions: types and cardinalities were settled by the compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhirserver.fhirpath import tables
from fhirserver.fhirpath.environment import Environment
from fhirserver.fhirpath.tables import Tables
from fhirserver.fhirpath.values.nodes import Node, Primitive, plain

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


# Elements with what stands beside them: ids and extensions of primitives


def one_primitive(key: str, then: Step) -> Step:
    """A primitive that occurs at most once."""
    beside = "_" + key

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        child = value.get(key)
        if beside in value:
            then(Primitive(child, value[beside]), environment, out)
        elif child is not None:
            then(child, environment, out)

    return step


def many_primitives(key: str, then: Step) -> Step:
    """A primitive that repeats."""
    beside = "_" + key

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        if beside in value:
            for _, child in tables.primitives("", value.get(key), value[beside]):
                then(child, environment, out)
            return
        for child in value.get(key, ()):
            if child is not None:
                then(child, environment, out)

    return step


def choice_of(steps: Mapping[str, Step]) -> Step:
    """A choice element, by its JSON names: the steps from the object that has them."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        for key in value:
            then = steps.get(key)
            if then is not None:
                then(value, environment, out)

    return step


def unless(key: str, then: Step) -> Step:
    """What stands beside a primitive, where the primitive itself has no value."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        if key not in value:
            then(value, environment, out)

    return step


def beside(then: Step) -> Step:
    """From a primitive to the element that holds its id and extensions."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        if value.__class__ is Primitive:
            then(value.element, environment, out)

    return step


# Nodes: where only values tell types


def emit_node(value: Any, environment: Environment, out: list[Node]) -> None:
    """The last step: the node is a result."""
    out.append(value)


def emit_value(names: Mapping[str, str]) -> Step:
    """The last step where primitives are results without what stands beside them."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        type, item = value
        item = plain(item)
        if item is not None:
            out.append((names.get(type, type), item))

    return step


def as_node(type: str, then: Step) -> Step:
    """From a bare value to its node."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        then((type, value), environment, out)

    return step


def resource_node(then: Step) -> Step:
    """From a resource to its node."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        then((tables.resource_type(value), value), environment, out)

    return step


def member(known: Tables, name: str, then: Step) -> Step:
    """The children of a node that have this name."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        found: list[Node] = []
        tables.member(known, value, name, found)
        for node in found:
            then(node, environment, out)

    return step


def of_types(test: Mapping[str, bool], then: Step) -> Step:
    """The nodes of certain types."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        if test[value[0]]:
            then(value, environment, out)

    return step


def counted(then: Step) -> Step:
    """Counts the value as a step of the evaluation."""

    def step(value: Any, environment: Environment, out: list[Node]) -> None:
        environment.steps -= 1
        if environment.steps < 0:
            environment.spend(0)
        then(value, environment, out)

    return step


def each_value(step: Step, collection: Collection) -> Step:
    """Hands on the nodes of a collection that are all of one type, as bare values."""

    def steps(value: Any, environment: Environment, out: list[Node]) -> None:
        for _, item in collection(value, environment):
            step(item, environment, out)

    return steps


def each_node(step: Step, collection: Collection) -> Step:
    """Hands on the nodes of a collection."""

    def steps(value: Any, environment: Environment, out: list[Node]) -> None:
        for node in collection(value, environment):
            step(node, environment, out)

    return steps
