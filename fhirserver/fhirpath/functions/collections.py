"""Functions of whole collections: counting, subsets, combining, what is below.

https://hl7.org/fhirpath/N1/#subsetting and https://hl7.org/fhirpath/N1/#combining
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fhirserver.fhirpath.environment import Environment, extent
from fhirserver.fhirpath.errors import Misuse
from fhirserver.fhirpath.functions.calls import General, Run
from fhirserver.fhirpath.values.equality import contains, distinct
from fhirserver.fhirpath.values.nodes import BOOLEAN, INTEGER, KINDS, Kind, Node, Nodes, decided, integer, plain, single

Arguments = Sequence[Nodes]


def count(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`count()`"""
    return [(INTEGER, len(nodes))]


def only(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`single()`"""
    node = single(nodes, "single()")
    return [] if node is None else [node]


def skip(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`skip(n)`"""
    number = integer(arguments[0], "skip()")
    return [] if number is None else list(nodes[max(number, 0) :])


def take(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`take(n)`"""
    number = integer(arguments[0], "take()")
    return [] if number is None else list(nodes[: max(number, 0)])


def each_once(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`distinct()`"""
    environment.spend(extent(nodes))
    return distinct(nodes)


def is_distinct(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`isDistinct()`"""
    return decided(len(each_once(nodes, arguments, environment)) == len(nodes))


def intersect(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`intersect(other)`"""
    _compare(nodes, arguments[0], environment)
    return distinct([node for node in nodes if contains(arguments[0], node)])


def exclude(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`exclude(other)`"""
    _compare(nodes, arguments[0], environment)
    return [node for node in nodes if not contains(arguments[0], node)]


def subset_of(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`subsetOf(other)`"""
    _compare(nodes, arguments[0], environment)
    return decided(all(contains(arguments[0], node) for node in nodes))


def superset_of(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`supersetOf(other)`"""
    return subset_of(arguments[0], [nodes], environment)


def _compare(nodes: Nodes, others: Nodes, environment: Environment) -> None:
    """Each with each is counted before it is done."""
    environment.spend((len(nodes) + extent(nodes)) * len(others))


def union(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`union(other)`"""
    return each_once([*nodes, *arguments[0]], arguments, environment)


def combine(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
    """`combine(other)`: with repetitions"""
    return [*nodes, *arguments[0]]


def _booleans(name: str, judge: Callable[[list[bool]], bool]) -> Run:
    def run(nodes: Nodes, arguments: Arguments, environment: Environment) -> list[Node]:
        found = []
        for type, value in nodes:
            if KINDS.get(type) is not Kind.BOOLEAN:
                raise Misuse(f"{name}() needs booleans.")
            found.append(plain(value))
        return decided(judge([each for each in found if each is not None]))

    return run


TABLE = {
    "count": General(range(1), count, INTEGER),
    "single": General(range(1), only),
    "skip": General(range(1, 2), skip),
    "take": General(range(1, 2), take),
    "distinct": General(range(1), each_once),
    "isDistinct": General(range(1), is_distinct, BOOLEAN),
    "intersect": General(range(1, 2), intersect),
    "exclude": General(range(1, 2), exclude),
    "subsetOf": General(range(1, 2), subset_of, BOOLEAN),
    "supersetOf": General(range(1, 2), superset_of, BOOLEAN),
    "union": General(range(1, 2), union, ""),
    "combine": General(range(1, 2), combine, ""),
    "allTrue": General(range(1), _booleans("allTrue", all), BOOLEAN),
    "anyTrue": General(range(1), _booleans("anyTrue", any), BOOLEAN),
    "allFalse": General(range(1), _booleans("allFalse", lambda found: not any(found)), BOOLEAN),
    "anyFalse": General(range(1), _booleans("anyFalse", lambda found: not all(found)), BOOLEAN),
}
