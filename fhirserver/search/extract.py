"""What is stored of a resource for search: `index` with the values of each parameter, `sort` with two scalars of each.

The values are those that the parameter's own FHIRPath expression selects. A parameter without values is not in either.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from fhirserver.definitions import Definitions, ValueSet
from fhirserver.fhirpath import Plan
from fhirserver.search.endings import branches, elements_at
from fhirserver.search.parameters import TYPES
from fhirserver.search.parameters.term import Circumstances, Indexed, Node
from fhirserver.search.registry import PAIR, registry, resource_types

Fields = dict[str, Any]
Encoder = Callable[[list[Node], Circumstances], Indexed | None]


@dataclass(frozen=True, slots=True)
class _Extraction:
    """How one resource type is read."""

    plan: Plan
    encoders: Mapping[str, Encoder]
    paired: frozenset[str]


class Extractor:
    """Reads resources of every type; what it needs of a type is made when the first one comes."""

    def __init__(self, definitions: Definitions, base_url: str = "") -> None:
        self._definitions = definitions
        self._circumstances = Circumstances(base_url, definitions.case_sensitive_systems, resource_types(definitions))
        self._extractions: dict[str, _Extraction] = {}

    def extract(self, resource_type: str, resource: Mapping[str, Any]) -> tuple[Fields, Fields]:
        """The `index` and the `sort` of a valid resource."""
        extraction = self._extractions.get(resource_type)
        if extraction is None:
            extraction = self._extractions[resource_type] = self._extraction(resource_type)
        index: Fields = {}
        sort: Fields = {}
        circumstances = self._circumstances
        encoders = extraction.encoders
        for code, nodes in extraction.plan(resource).items():
            stored = encoders[code](nodes, circumstances)
            if stored is not None:
                index[code], low, high = stored
                if low is not None:
                    sort[code] = {"lo": low, "hi": high}
        if extraction.paired and "code" in index:
            _pair(index, extraction.paired)
        return index, sort

    def _extraction(self, resource_type: str) -> _Extraction:
        known = registry(self._definitions, resource_type)
        stored = {code: each for code, each in known.searchable.items() if each.is_indexed}
        expressions = {code: each.definition.expression for code, each in stored.items()}
        encoders = {code: self._encoder(each.type, each.definition.expression) for code, each in stored.items()}
        return _Extraction(Plan(self._definitions, resource_type, expressions), encoders, known.paired)

    def _encoder(self, type: str, expression: str) -> Encoder:
        encoder = TYPES[type].indexed
        if type == "token" and (value_sets := _value_sets(self._definitions, expression)):
            encoder = partial(_with_systems, encoder, value_sets, self._codes(value_sets))
        if "extension(" in expression:
            encoder = partial(_with_extensions, encoder, self._primitives)
        return encoder

    def _codes(self, value_sets: tuple[ValueSet, ...]) -> dict[str, Indexed]:
        """What is stored for each code of these value sets alone: nearly every `code` element holds one of them."""
        read = partial(_with_systems, TYPES["token"].indexed, value_sets, {})
        codes = {code for value_set in value_sets for code in value_set.codes}
        return {code: stored for code in codes if (stored := read([("code", code)], self._circumstances)) is not None}

    @property
    def _primitives(self) -> frozenset[str]:
        structures = self._definitions.structures
        return frozenset(name for name in structures if name[0].islower())


def _pair(index: Fields, paired: frozenset[str]) -> None:
    patients: dict[str, None] = {}
    for code in paired:
        stored = index.get(code)
        if stored is not None:
            for reference in stored.get("r", ()):
                if reference.startswith("Patient/"):
                    patients[reference] = None
    if patients:
        index[PAIR] = [f"{patient}|{token}" for patient in patients for token in index["code"]]


def _value_sets(definitions: Definitions, expression: str) -> tuple[ValueSet, ...]:
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


def _with_systems(
    encoder: Encoder,
    value_sets: tuple[ValueSet, ...],
    codes: Mapping[str, Indexed],
    nodes: list[Node],
    circumstances: Circumstances,
) -> Indexed | None:
    """A `code` has no system of its own: it is that of the value set to which the element is bound."""
    if len(nodes) == 1 and nodes[0][0] == "code" and nodes[0][1] in codes:
        strings, low, high = codes[nodes[0][1]]
        return list(strings), low, high
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
    """R4's expressions that go through an extension end at it, and mean its value."""
    return encoder([inner for node in nodes for inner in _opened(node, primitives)], circumstances)


def _opened(node: Node, primitives: frozenset[str]) -> Iterator[Node]:
    for key, inner in node[1].items():
        if key.startswith("value"):
            name = key.removeprefix("value")
            primitive = name[:1].lower() + name[1:]
            yield (primitive if primitive in primitives else name), inner
