"""What R4's expressions leave unsaid of the values that they end at: the system of a `code`, and the value of an extension.

https://hl7.org/fhir/R4/search.html#token and https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from fhirserver.definitions import Definitions, ValueSet
from fhirserver.search.endings import branches, elements_at
from fhirserver.search.parameters.term import Circumstances, Indexed, Node

Encoder = Callable[[list[Node], Circumstances], Indexed | None]


def value_sets(definitions: Definitions, expression: str) -> tuple[ValueSet, ...]:
    """The value sets to which the `code` elements that the expression ends at are bound."""
    found: dict[str, ValueSet] = {}
    for branch in branches(expression):
        for element in elements_at(definitions, branch):
            if element.binding is None or element.binding.value_set is None:
                continue
            value_set = definitions.value_set(element.binding.value_set)
            if value_set is not None and any(type.code == "code" for type in element.types):
                found[value_set.url] = value_set
    return tuple(found.values())


def with_systems(encoder: Encoder, value_sets: tuple[ValueSet, ...], circumstances: Circumstances) -> Encoder:
    """The encoder, for codes of these value sets: a `code` has no system of its own."""
    read = partial(_with_systems, encoder, value_sets, {})
    codes = {code for value_set in value_sets for code in value_set.codes}
    # What is stored for each code alone: nearly every `code` element holds one of them.
    alone = {code: stored for code in codes if (stored := read([("code", code)], circumstances)) is not None}
    return partial(_with_systems, encoder, value_sets, alone)


def with_extensions(encoder: Encoder, primitives: frozenset[str]) -> Encoder:
    """The encoder, for expressions of R4's that go through an extension: they end at it, and mean its value."""
    return partial(_with_extensions, encoder, primitives)


def _with_systems(
    encoder: Encoder,
    value_sets: tuple[ValueSet, ...],
    alone: Mapping[str, Indexed],
    nodes: list[Node],
    circumstances: Circumstances,
) -> Indexed | None:
    if len(nodes) == 1 and nodes[0][0] == "code" and nodes[0][1] in alone:
        return alone[nodes[0][1]]
    return encoder(
        [
            ("Coding", {"system": _system(value_sets, value), "code": value}) if kind == "code" else (kind, value)
            for kind, value in nodes
        ],
        circumstances,
    )


def _system(value_sets: tuple[ValueSet, ...], code: str) -> str | None:
    for value_set in value_sets:
        system = value_set.system_of(code)
        if system is not None:
            return system
    return None


def _with_extensions(
    encoder: Encoder, primitives: frozenset[str], nodes: list[Node], circumstances: Circumstances
) -> Indexed | None:
    return encoder([inner for node in nodes for inner in _opened(node, primitives)], circumstances)


def _opened(node: Node, primitives: frozenset[str]) -> Iterator[Node]:
    if node[0] != "Extension":
        yield node
        return
    for key, inner in node[1].items():
        if key.startswith("value"):
            name = key.removeprefix("value")
            primitive = name[:1].lower() + name[1:]
            yield (primitive if primitive in primitives else name), inner
