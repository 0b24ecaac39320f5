"""What is stored of a resource for search: `index` with the values of each parameter, `sort` with two scalars of each.

The values are those that the parameter's own FHIRPath expression selects. A parameter without values is not in either.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fhirserver.definitions import Definitions, ValueSet
from fhirserver.fhirpath import FhirPathError, Plan, compile_path
from fhirserver.search.custom import STEPS
from fhirserver.search.endings import branches, elements_at
from fhirserver.search.index import contained
from fhirserver.search.parameters import TYPES, string, token, words
from fhirserver.search.parameters import composite as composites
from fhirserver.search.parameters.composite import PLACES
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Part
from fhirserver.search.registry import PAIR, PROHIBITS, Searchable, registry, resource_types

Fields = dict[str, Any]
Encoder = Callable[[list[Node], Circumstances], Indexed | None]
Memory = dict[tuple[int, str, int], Indexed | None]
"""What was encoded of a resource, by the encoder and the one value: some parameters select the same, and composites select it again."""

_TEXTS = frozenset({"string", "markdown"})
_START = re.compile(r"[A-Z]\w*\.\w+")


@dataclass(frozen=True, slots=True)
class _Stored:
    """How a parameter is stored: `number` is the same for those that store the same of the same value, and 0 where it is alone."""

    number: int
    encoder: Encoder
    has_texts: bool


@dataclass(frozen=True, slots=True)
class _Component:
    """A component of a composite: the name of its expression in the plan, or its own path; and how its values are stored."""

    place: str
    name: str
    path: Callable[..., list[Node]] | None
    stored: _Stored


@dataclass(frozen=True, slots=True)
class _Composite:
    """A composite parameter: its components at the resource itself, and at elements within."""

    code: str
    at_root: tuple[_Component, ...]
    within: tuple[tuple[str, tuple[_Component, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Extraction:
    """How one resource type is read; `further` is what is not R4's, each by itself, for it may fail."""

    plan: Plan
    stored: Mapping[str, _Stored]
    composites: tuple[_Composite, ...]
    united: tuple[tuple[str, tuple[str, ...]], ...]
    paired: frozenset[str]
    has_narrative: bool
    has_endings: bool
    further: tuple[Plan, ...] = ()
    further_composites: tuple[_Composite, ...] = ()


class Extractor:
    """Reads resources of every type; what it needs of a type is made when the first one comes."""

    def __init__(self, definitions: Definitions, base_url: str = "") -> None:
        self._definitions = definitions
        self._circumstances = Circumstances(base_url, definitions.case_sensitive_systems, resource_types(definitions))
        self._extractions: dict[str, _Extraction] = {}
        self._numbers: dict[Any, int] = {}
        self._written, self._wordless = _written(definitions), _wordless(definitions)

    def extended(self, definitions: Definitions) -> Extractor:
        """The same for definitions with other further parameters: what they say nothing more of is not made again."""
        other = copy.copy(self)
        other._definitions = definitions
        # Copies: this may happen on a thread, while ours are made in another.
        other._numbers = dict(self._numbers)
        other._extractions = {
            name: each
            for name, each in dict(self._extractions).items()
            if definitions.about(name) is definitions.core and self._definitions.about(name) is definitions.core
        }
        return other

    def prepare(self, resource_type: str) -> None:
        """Make what is needed of a type now."""
        if resource_type not in self._extractions:
            self._extractions[resource_type] = self._extraction(resource_type)

    def extract(self, resource_type: str, resource: Mapping[str, Any]) -> tuple[Fields, Fields]:
        """The `index` and the `sort` of a valid resource."""
        extraction = self._extractions.get(resource_type)
        if extraction is None:
            extraction = self._extractions[resource_type] = self._extraction(resource_type)
        index: Fields = {}
        sort: Fields = {}
        memory: Memory = {}
        circumstances = self._circumstances
        stored_as = extraction.stored
        nodes_of = extraction.plan(resource)
        for further in extraction.further:
            with suppress(FhirPathError):  # what fails selects nothing
                nodes_of.update(further(resource))
        for code, nodes in nodes_of.items():
            parameter = stored_as.get(code)
            if parameter is None:
                continue
            # Most are alone, and a call costs as much as an encoder.
            alone = parameter.number == 0
            stored = parameter.encoder(nodes, circumstances) if alone else self._encoded(parameter, nodes, memory)
            if stored is not None:
                index[code], low, high = stored
                if low is not None:
                    sort[code] = {"lo": low, "hi": high}
            if parameter.has_texts and nodes[0][0] in token.TOLD:
                for suffix, strings in token.beside(nodes, circumstances).items():
                    index[code + suffix] = strings
        for composite in extraction.composites:
            self._together(composite, resource, nodes_of, index, memory)
        for composite in extraction.further_composites:
            with suppress(FhirPathError):
                self._together(composite, resource, nodes_of, index, None)
        for code, united in extraction.united:
            scalars = [sort[each] for each in united if each in sort]
            if scalars:
                sort[code] = {"lo": min(each["lo"] for each in scalars), "hi": max(each["hi"] for each in scalars)}
        if extraction.paired and "code" in index:
            _pair(index, extraction.paired)
        if extraction.has_endings and (name := index.get("name")) is not None:
            index[string.ENDINGS] = string.endings(name["f"])
        if resource.get("doNotPerform") is True:
            index[PROHIBITS] = True
        self._words(resource, extraction.has_narrative, index)
        if "contained" in resource:
            index.update(contained.gathered(self._inside, circumstances.resource_types, resource, index))
        return index, sort

    def _inside(self, resource_type: str, resource: Mapping[str, Any]) -> tuple[Fields, Fields]:
        """The same of a contained resource, by R4's parameters alone: no job finds out when all have been read by another one."""
        index, sort = self.extract(resource_type, resource)
        others = self._definitions.further_parameters(resource_type)
        if not others:
            return index, sort
        return {name: each for name, each in index.items() if name.partition(":")[0] not in others}, sort

    def _encoded(self, stored: _Stored, nodes: list[Node], memory: Memory | None) -> Indexed | None:
        if memory is None or stored.number == 0 or len(nodes) != 1:
            return stored.encoder(nodes, self._circumstances)
        kind, value = nodes[0]
        key = (stored.number, kind, id(value))
        if key not in memory:
            memory[key] = stored.encoder(nodes, self._circumstances)
        return memory[key]

    def _together(
        self,
        composite: _Composite,
        resource: Mapping[str, Any],
        nodes_of: Mapping[str, list[Node]],
        index: Fields,
        memory: Memory | None,
    ) -> None:
        # Without a memory where values are made on the way: another value could get the same identity.
        found: list[Node] = []
        if composite.at_root:
            entry = {}
            for component in composite.at_root:
                nodes = nodes_of.get(component.name)
                stored = self._encoded(component.stored, nodes, memory) if nodes else None
                if stored is None:
                    break
                entry[component.place] = stored[0]
            else:
                found.append(("", entry))
        for name, components in composite.within:
            for _, element in nodes_of.get(name, ()):
                entry = {}
                for component in components:
                    nodes = component.path(element, resource) if component.path is not None else []
                    stored = self._encoded(component.stored, nodes, memory) if nodes else None
                    if stored is None:
                        break
                    entry[component.place] = stored[0]
                else:
                    found.append(("", entry))
        if found:
            stored = composites.indexed(found, self._circumstances)
            if stored is not None:
                index[composite.code] = stored[0]

    def _words(self, resource: Mapping[str, Any], has_narrative: bool, index: Fields) -> None:
        if has_narrative and "text" in resource and (narrative := words.narrative(resource)) is not None:
            index["_text"] = narrative
        if (content := words.content(resource, self._written, self._wordless)) is not None:
            index["_content"] = content

    def _extraction(self, resource_type: str) -> _Extraction:
        known = registry(self._definitions, resource_type)
        others = self._definitions.further_parameters(resource_type)
        indexed = {code: each for code, each in known.searchable.items() if each.is_indexed and code not in others}
        expressions = {code: each.definition.expression for code, each in indexed.items() if not each.parts}
        stored = {code: self._stored(indexed[code], expression) for code, expression in expressions.items()}
        composites = tuple(self._composite(resource_type, each, expressions) for each in indexed.values() if each.parts)
        united = tuple(
            (code, tuple(part.code for part in each.united)) for code, each in known.searchable.items() if each.united
        )
        plan = Plan(self._definitions, resource_type, expressions)
        has_narrative, has_endings = "_text" in known.searchable, bool(known.ended)
        numbers = Counter(each.number for each in stored.values())
        numbers.update(part.stored.number for each in composites for part in each.at_root)
        stored = {code: each if numbers[each.number] > 1 else replace(each, number=0) for code, each in stored.items()}
        extraction = _Extraction(plan, stored, composites, united, known.paired, has_narrative, has_endings)
        return self._with_further(extraction, resource_type, [known.searchable[code] for code in others])

    def _with_further(self, extraction: _Extraction, resource_type: str, others: list[Searchable]) -> _Extraction:
        stored, plans, composites = dict(extraction.stored), [], []
        for each in others:
            expressions = {} if each.parts else {each.code: each.definition.expression}
            if each.parts:
                composites.append(self._composite(resource_type, each, expressions))
            else:
                stored[each.code] = self._stored(each, each.definition.expression)
            plans.append(Plan(self._definitions, resource_type, expressions, STEPS))
        return replace(extraction, stored=stored, further=tuple(plans), further_composites=tuple(composites))

    def _composite(self, resource_type: str, parameter: Searchable, expressions: dict[str, str]) -> _Composite:
        """The composite; what it needs of the plan is added to the plan's expressions."""
        at_root: tuple[_Component, ...] = ()
        within = []
        # The last component is the value, which is the rarest: where it is missing the others need not be looked at.
        parts = tuple(zip(PLACES, parameter.parts, strict=False))[::-1]
        for branch in branches(parameter.definition.expression):
            if branch == resource_type:
                at_root = tuple(self._component(place, part, branch, None) for place, part in parts)
                expressions.update({each.name: each.name for each in at_root})
                continue
            kinds = {element.path for element in elements_at(self._definitions, branch)}
            (focus,) = kinds
            expressions[branch] = branch
            within.append((branch, tuple(self._component(place, part, branch, focus) for place, part in parts)))
        return _Composite(parameter.code, at_root, tuple(within))

    def _component(self, place: str, part: Part, branch: str, focus: str | None) -> _Component:
        path = None if focus is None else compile_path(self._definitions, part.expression, focus)
        return _Component(
            place,
            part.expression,
            path,
            self._encoding(part.type, TYPES[part.type].indexed, f"{branch}.{part.expression}"),
        )

    def _stored(self, parameter: Searchable, expression: str) -> _Stored:
        assert parameter.stored is not None  # noqa: S101
        return self._encoding(parameter.type, parameter.stored.indexed, expression)

    def _encoding(self, type: str, encoder: Encoder, expression: str) -> _Stored:
        start = _START.search(expression)
        same: tuple[Any, ...] = (encoder, start and start[0])
        if type == "token" and (value_sets := _value_sets(self._definitions, expression)):
            encoder = partial(_with_systems, encoder, value_sets, self._codes(value_sets))
            same = (*same, *(value_set.url for value_set in value_sets))
        if encoder is string.indexed and _is_of_people(self._definitions, expression):
            encoder = string.indexed_names
            same = (encoder, *same[1:])
        if "extension(" in expression:
            encoder = partial(_with_extensions, encoder, self._primitives)
            same = (*same, "extension")
        return _Stored(self._numbers.setdefault(same, len(self._numbers) + 1), encoder, type == "token")

    def _codes(self, value_sets: tuple[ValueSet, ...]) -> dict[str, Indexed]:
        """What is stored for each code of these value sets alone: nearly every `code` element holds one of them."""
        read = partial(_with_systems, TYPES["token"].indexed, value_sets, {})
        codes = {code for value_set in value_sets for code in value_set.codes}
        return {code: stored for code in codes if (stored := read([("code", code)], self._circumstances)) is not None}

    @property
    def _primitives(self) -> frozenset[str]:
        structures = self._definitions.structures
        return frozenset(name for name in structures if name[0].islower())


def _written(definitions: Definitions) -> frozenset[str]:
    """The JSON names of elements that people write and read: text by their type, wherever the name stands."""
    names: dict[str, set[str]] = {}
    for structure in definitions.structures.values():
        for element in structure.elements:
            for type in element.types:
                name = element.stem + type.code[:1].upper() + type.code[1:] if element.is_choice else element.name
                names.setdefault(name, set()).add(type.code)
    return words.written_names(name for name, types in names.items() if types & _TEXTS)


def _wordless(definitions: Definitions) -> frozenset[str]:
    """The JSON names of elements in which nothing is written, wherever the name stands: quantities, periods and their like."""
    plain: dict[str, bool] = {}
    for structure in definitions.structures.values():
        for element in structure.elements:
            for type in element.types:
                name = element.stem + type.code[:1].upper() + type.code[1:] if element.is_choice else element.name
                plain[name] = plain.get(name, True) and type.code in words.WORDLESS
    return frozenset(name for name, is_plain in plain.items() if is_plain)


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


def _is_of_people(definitions: Definitions, expression: str) -> bool:
    """Whether the values are names of people, or family names."""
    elements = [element for branch in branches(expression) for element in elements_at(definitions, branch)]
    return bool(elements) and all(
        element.path.endswith("HumanName.family") or {type.code for type in element.types} == {"HumanName"}
        for element in elements
    )


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
    if node[0] != "Extension":
        yield node
        return
    for key, inner in node[1].items():
        if key.startswith("value"):
            name = key.removeprefix("value")
            primitive = name[:1].lower() + name[1:]
            yield (primitive if primitive in primitives else name), inner
