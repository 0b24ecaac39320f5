"""What is stored of a resource for search: `index` with the values of each parameter, `sort` with two scalars of each.

The values are those that the parameter's own FHIRPath expression selects. A parameter without values is not in either. What was read
of an element is remembered (`extraction`), so values are shared between resources: they are not to be changed.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from fhirserver.definitions import Definitions
from fhirserver.fhirpath import FhirPathError, Plan, compile_path
from fhirserver.model.json import texts as texts_of
from fhirserver.search.custom import STEPS
from fhirserver.search.endings import branches, elements_at
from fhirserver.search.index import bundles, contained
from fhirserver.search.index.coded import Encoder, value_sets, with_extensions, with_systems
from fhirserver.search.index.extraction import (
    Component,
    Composite,
    Element,
    Elements,
    Extraction,
    Found,
    Reader,
    Stored,
)
from fhirserver.search.parameters import TYPES, string, token, words
from fhirserver.search.parameters import composite as composites
from fhirserver.search.parameters.composite import PLACES
from fhirserver.search.parameters.term import Circumstances, Indexed, Node, Part
from fhirserver.search.registry import PAIR, PROHIBITS, Searchable, registry, resource_types

Fields = dict[str, Any]
Memory = dict[tuple[int, str, int], Indexed | None]
"""What was encoded of a resource, by the encoder and the one value: some parameters select the same, and composites select it again."""

REMEMBERED: Final = 4_000_000
"""Characters of the elements that are remembered, each counted with what is kept of it."""
_KEPT: Final = 500

_TEXTS = frozenset({"string", "markdown"})
_APART_NEVER = frozenset({"id", "text", "contained"})
"""Elements that hardly come again, or belong to the whole."""
_START = re.compile(r"[A-Z]\w*\.\w+")


class Extractor:
    """Reads resources of every type; what it needs of a type is made when the first one comes."""

    def __init__(self, definitions: Definitions, base_url: str = "") -> None:
        self._definitions = definitions
        self._circumstances = Circumstances(base_url, definitions.case_sensitive_systems, resource_types(definitions))
        self._extractions: dict[str, Extraction] = {}
        self._numbers: dict[Any, int] = {}
        self._left = REMEMBERED
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

    def extract(
        self, resource_type: str, resource: Mapping[str, Any], texts: Mapping[str, str | bytes] | None = None
    ) -> tuple[Fields, Fields]:
        """The `index` and the `sort` of a valid resource; `texts` are those of its elements, where the caller has them."""
        extraction = self._extractions.get(resource_type)
        if extraction is None:
            extraction = self._extractions[resource_type] = self._extraction(resource_type)
        reading = extraction.reading(tuple(resource))
        if texts is None:
            texts = texts_of(resource)
        found = Found({}, {}, {}, {})
        values, scalars, slots, written = found
        for key, element in reading.elements:
            if element is None:
                words.collect({key: resource[key]}, self._written, self._wordless, written)
                continue
            known = element.known.get(texts[key])
            if known is None:
                known = self._of_element(extraction, element, texts[key], resource)
            more_values, more_scalars, more_slots, more_written = known
            if more_values:
                values.update(more_values)
                scalars.update(more_scalars)
            if more_slots:
                slots.update(more_slots)
            if more_written:
                written.update(more_written)
        memory: Memory = {}
        nodes_of: Mapping[str, list[Node]] = {}
        if reading.rest is not None:
            nodes_of = reading.rest(resource)
            self._read(extraction.readers, nodes_of, memory, found)
        index = {code: values[code] for code in reading.values if code in values}
        sort = {code: scalars[code] for code in reading.scalars if code in scalars}
        if extraction.further:
            nodes_of = {**nodes_of, **self._further(extraction, resource, memory, index, sort, slots)}
        for composite in reading.composites:
            self._together(composite, resource, nodes_of, slots, index, memory)
        for composite in extraction.further_composites:
            with suppress(FhirPathError):
                self._together(composite, resource, nodes_of, slots, index, None)
        _unite(reading.united, sort)
        if extraction.paired and "code" in index:
            _pair(index, extraction.paired)
        if extraction.has_endings and (name := index.get("name")) is not None:
            index[string.ENDINGS] = string.endings(name["f"])
        if resource.get("doNotPerform") is True:
            index[PROHIBITS] = True
        if extraction.has_narrative and "text" in resource and (narrative := words.narrative(resource)) is not None:
            index["_text"] = narrative
        if written and (content := words.stored(written.values())) is not None:
            index["_content"] = content
        if "contained" in resource:
            index.update(contained.gathered(self._inside, self._circumstances.resource_types, resource, index))
        elif resource_type == bundles.BUNDLE:
            index.update(bundles.opened(self._inside, self._circumstances.resource_types, resource))
        return index, sort

    def _inside(self, resource_type: str, resource: Mapping[str, Any]) -> tuple[Fields, Fields]:
        """The same of a contained resource, by R4's parameters alone: no job finds out when all have been read by another one."""
        index, sort = self.extract(resource_type, resource)
        others = self._definitions.further_parameters(resource_type)
        if not others:
            return index, sort
        return {name: each for name, each in index.items() if name.partition(":")[0] not in others}, sort

    def _of_element(
        self, extraction: Extraction, element: Element, text: str | bytes, resource: Mapping[str, Any]
    ) -> Found:
        """What is read of an element that is not known; it is remembered, if such elements come again."""
        found = Found({}, {}, {}, {})
        words.collect({element.key: resource[element.key]}, self._written, self._wordless, found.written)
        self._read(extraction.readers, element.shape(resource), {}, found)
        if element.is_new(extraction.seen):
            extraction.remember_no_more(element.key)
        elif element.keeps(text):
            self._left -= len(text) + _KEPT
            if self._left < 0:
                self._left = REMEMBERED
                for each in tuple(self._extractions.values()):
                    each.forget()
            element.known[text] = found
        return found

    def _read(
        self,
        readers_of: Mapping[str, tuple[Reader, ...]],
        nodes_of: Mapping[str, list[Node]],
        memory: Memory,
        found: Found,
    ) -> None:
        """Encode what expressions have selected."""
        circumstances = self._circumstances
        for name, nodes in nodes_of.items():
            for reader in readers_of.get(name, ()):
                # Most are alone, and a call costs as much as an encoder.
                alone = reader.stored.number == 0
                stored = (
                    reader.stored.encoder(nodes, circumstances)
                    if alone
                    else self._encoded(reader.stored, nodes, memory)
                )
                code = reader.code
                if stored is not None:
                    values, low, high = stored
                    if reader.slot:
                        found.slots[reader.slot] = values
                    if code:
                        found.values[code] = values
                        if low is not None:
                            found.scalars[code] = {"lo": low, "hi": high}
                if code and reader.stored.has_texts and nodes[0][0] in token.TOLD:
                    for suffix, strings in token.beside(nodes, circumstances).items():
                        found.values[code + suffix] = strings

    def _encoded(self, stored: Stored, nodes: list[Node], memory: Memory | None) -> Indexed | None:
        if memory is None or stored.number == 0 or len(nodes) != 1:
            return stored.encoder(nodes, self._circumstances)
        kind, value = nodes[0]
        key = (stored.number, kind, id(value))
        if key not in memory:
            memory[key] = stored.encoder(nodes, self._circumstances)
        return memory[key]

    def _further(
        self,
        extraction: Extraction,
        resource: Mapping[str, Any],
        memory: Memory,
        index: Fields,
        sort: Fields,
        slots: Fields,
    ) -> dict[str, list[Node]]:
        """Add what further parameters select; the nodes of their expressions."""
        nodes_of: dict[str, list[Node]] = {}
        for plan in extraction.further:
            with suppress(FhirPathError):  # what fails selects nothing
                nodes_of.update(plan(resource))
        self._read(extraction.further_readers, nodes_of, memory, Found(index, sort, slots, {}))
        return nodes_of

    def _together(
        self,
        composite: Composite,
        resource: Mapping[str, Any],
        nodes_of: Mapping[str, list[Node]],
        slots: Fields,
        index: Fields,
        memory: Memory | None,
    ) -> None:
        # Without a memory where values are made on the way: another value could get the same identity.
        found: list[Node] = []
        if composite.at_root:
            entry = {place: slots[slot] for place, slot in composite.at_root if slot in slots}
            if len(entry) == len(composite.at_root):
                found.append(("", entry))
        for name, components in composite.within:
            for _, element in nodes_of.get(name, ()):
                entry = {}
                for component in components:
                    nodes = component.path(element, resource)
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

    def _extraction(self, resource_type: str) -> Extraction:
        known = registry(self._definitions, resource_type)
        others = self._definitions.further_parameters(resource_type)
        indexed = {code: each for code, each in known.searchable.items() if each.is_indexed and code not in others}
        expressions = {code: each.definition.expression for code, each in indexed.items() if not each.parts}
        stored = {code: self._stored(indexed[code], expression) for code, expression in expressions.items()}
        slots: dict[str, dict[str, Stored]] = {}
        composites = tuple(
            self._composite(resource_type, each, expressions, slots) for each in indexed.values() if each.parts
        )
        readers = self._readers(stored, slots)
        extraction = Extraction(
            Plan(self._definitions, resource_type, expressions),
            readers,
            composites,
            tuple(
                (code, tuple(each.code for each in one.united)) for code, one in known.searchable.items() if one.united
            ),
            known.paired,
            "_text" in known.searchable,
            bool(known.ended),
            self._elements(resource_type, composites),
        )
        self._add_further(extraction, resource_type, [known.searchable[code] for code in others])
        return extraction

    def _readers(
        self, stored: Mapping[str, Stored], slots: Mapping[str, Mapping[str, Stored]]
    ) -> dict[str, tuple[Reader, ...]]:
        """What is made of the values of each expression: those of parameters by their codes, and those of components."""
        numbers = Counter(each.number for each in stored.values())
        numbers.update(each.number for components in slots.values() for each in components.values())
        alone = {code: each if numbers[each.number] > 1 else replace(each, number=0) for code, each in stored.items()}
        return {code: (Reader(each, code),) for code, each in alone.items()} | _of_components(slots)

    def _elements(self, resource_type: str, composites: Iterable[Composite]) -> Elements:
        """The elements of the type; what composites look for within is needed as it is, and read with the whole."""
        structures = self._definitions.structures
        plain: dict[str, bool] = {}
        for element in self._definitions.children(resource_type):
            for key, type in element.json_names():
                plain[key] = type is not None and structures[type.code].kind == "primitive-type"
        within = {branch.split(".")[1] for each in composites for branch, _ in each.within}
        wordless = {key for key in plain if key not in self._written and (plain[key] or key in self._wordless)}
        return Elements(
            frozenset(plain) - within - _APART_NEVER,
            frozenset(key for key in plain if plain[key]),
            frozenset(wordless | {"resourceType"}),
        )

    def _add_further(self, extraction: Extraction, resource_type: str, others: list[Searchable]) -> None:
        plans, composites, readers = [], [], {}
        for each in others:
            expressions = {} if each.parts else {each.code: each.definition.expression}
            if each.parts:
                slots: dict[str, dict[str, Stored]] = {}
                composites.append(self._composite(resource_type, each, expressions, slots))
                readers.update(_of_components(slots))
            else:
                readers[each.code] = (Reader(self._stored(each, each.definition.expression), each.code),)
            plans.append(Plan(self._definitions, resource_type, expressions, STEPS))
        extraction.further, extraction.further_composites = tuple(plans), tuple(composites)
        extraction.further_readers = readers

    def _composite(
        self,
        resource_type: str,
        parameter: Searchable,
        expressions: dict[str, str],
        slots: dict[str, dict[str, Stored]],
    ) -> Composite:
        """The composite; what it needs of the plan is added to the plan's expressions, and where its components are put to the slots."""
        at_root: list[tuple[str, str]] = []
        within = []
        # The last component is the value, which is the rarest: where it is missing the others need not be looked at.
        parts = tuple(zip(PLACES, parameter.parts, strict=False))[::-1]
        for branch in branches(parameter.definition.expression):
            if branch == resource_type:
                for place, part in parts:
                    name, stored = f"={part.expression}", self._part(part, branch)
                    slot = f"{name} {stored.number}"
                    expressions[name] = part.expression
                    slots.setdefault(name, {})[slot] = stored
                    at_root.append((place, slot))
                continue
            kinds = {element.path for element in elements_at(self._definitions, branch)}
            (focus,) = kinds
            expressions[branch] = branch
            within.append((branch, tuple(self._component(place, part, branch, focus) for place, part in parts)))
        return Composite(parameter.code, tuple(at_root), tuple(within))

    def _component(self, place: str, part: Part, branch: str, focus: str) -> Component:
        return Component(place, compile_path(self._definitions, part.expression, focus), self._part(part, branch))

    def _part(self, part: Part, branch: str) -> Stored:
        return self._encoding(part.type, TYPES[part.type].indexed, f"{branch}.{part.expression}")

    def _stored(self, parameter: Searchable, expression: str) -> Stored:
        assert parameter.stored is not None  # noqa: S101
        return self._encoding(parameter.type, parameter.stored.indexed, expression)

    def _encoding(self, type: str, encoder: Encoder, expression: str) -> Stored:
        start = _START.search(expression)
        same: tuple[Any, ...] = (encoder, start and start[0])
        if type == "token" and (bound := value_sets(self._definitions, expression)):
            encoder = with_systems(encoder, bound, self._circumstances)
            same = (*same, *(value_set.url for value_set in bound))
        if encoder is string.indexed and _is_of_people(self._definitions, expression):
            encoder = string.indexed_names
            same = (encoder, *same[1:])
        if "extension(" in expression:
            primitives = frozenset(name for name in self._definitions.structures if name[0].islower())
            encoder = with_extensions(encoder, primitives)
            same = (*same, "extension")
        return Stored(self._numbers.setdefault(same, len(self._numbers) + 1), encoder, type == "token")


def _of_components(slots: Mapping[str, Mapping[str, Stored]]) -> dict[str, tuple[Reader, ...]]:
    return {
        name: tuple(Reader(stored, slot=slot) for slot, stored in components.items())
        for name, components in slots.items()
    }


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


def _unite(united: Iterable[tuple[str, tuple[str, ...]]], sort: Fields) -> None:
    """Add the scalars of what unites others."""
    for code, parts in united:
        scalars = [sort[each] for each in parts if each in sort]
        if len(scalars) == 1:
            sort[code] = scalars[0]
        elif scalars:
            sort[code] = {"lo": min(each["lo"] for each in scalars), "hi": max(each["hi"] for each in scalars)}


def _pair(index: Fields, paired: frozenset[str]) -> None:
    patients: dict[str, None] = {}
    for code in paired:
        stored = index.get(code)
        if stored is not None:
            for reference in stored.get("r", ()):
                if reference.startswith("Patient/"):
                    patients[reference] = None
    if patients:
        tokens = index["code"]
        index[PAIR] = [start + token for start in [f"{patient}|" for patient in patients] for token in tokens]


def _is_of_people(definitions: Definitions, expression: str) -> bool:
    """Whether the values are names of people, or family names."""
    elements = [element for branch in branches(expression) for element in elements_at(definitions, branch)]
    return bool(elements) and all(
        element.path.endswith("HumanName.family") or {type.code for type in element.types} == {"HumanName"}
        for element in elements
    )
