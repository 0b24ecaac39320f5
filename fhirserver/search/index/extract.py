"""What is stored of a resource for search: `index` with the values of each parameter, `sort` with two scalars of each.

The values are those that the parameter's own FHIRPath expression selects. A parameter without values is not in either. What was read
of an element is remembered (`extraction`), so values are shared between resources: they are not to be changed.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from fhirserver.definitions import Definitions
from fhirserver.fhirpath import FhirPathError
from fhirserver.model.json import texts as texts_of
from fhirserver.search.index import bundles, contained
from fhirserver.search.index.extraction import (
    Composite,
    Element,
    Extraction,
    Found,
    Reader,
    Reading,
    Stored,
)
from fhirserver.search.index.making import Maker
from fhirserver.search.parameters import composite as composites
from fhirserver.search.parameters import string, token, words
from fhirserver.search.parameters.term import Circumstances, Indexed, Node
from fhirserver.search.registry import PAIR, PROHIBITS, resource_types

Fields = dict[str, Any]
Memory = dict[tuple[int, str, int], Indexed | None]
"""What was encoded of a resource, by the encoder and the one value: some parameters select the same, and composites select it again."""

REMEMBERED: Final = 4_000_000
"""Characters of the elements that are remembered, each counted with what is kept of it."""
_KEPT: Final = 500
ORDERS: Final = 16_000_000
"""Bytes, about, of what is known of resources by the order of their elements, of all types."""


class Extractor:
    """Reads resources of every type; what it needs of a type is made when the first one comes."""

    def __init__(self, definitions: Definitions, base_url: str = "") -> None:
        self._definitions = definitions
        self._circumstances = Circumstances(base_url, definitions.case_sensitive_systems, resource_types(definitions))
        self._maker = Maker(definitions, self._circumstances)
        self._written, self._wordless = self._maker.written, self._maker.wordless
        self._extractions: dict[str, Extraction] = {}
        self._left, self._left_for_orders = REMEMBERED, ORDERS

    def extended(self, definitions: Definitions) -> Extractor:
        """The same for definitions with other further parameters: what they say nothing more of is not made again."""
        other = copy.copy(self)
        other._definitions = definitions
        other._maker = self._maker.extended(definitions)
        # A copy: this may happen on a thread, while ours are made in another.
        other._extractions = {
            name: each
            for name, each in dict(self._extractions).items()
            if definitions.about(name) is definitions.core and self._definitions.about(name) is definitions.core
        }
        return other

    def prepare(self, resource_type: str) -> None:
        """Make what is needed of a type now."""
        if resource_type not in self._extractions:
            self._extractions[resource_type] = self._maker.extraction(resource_type)

    def extract(
        self, resource_type: str, resource: Mapping[str, Any], texts: Mapping[str, str | bytes] | None = None
    ) -> tuple[Fields, Fields]:
        """The `index` and the `sort` of a valid resource; `texts` are those of its elements, where the caller has them."""
        extraction = self._extractions.get(resource_type)
        if extraction is None:
            extraction = self._extractions[resource_type] = self._maker.extraction(resource_type)
        elements = tuple(resource)
        reading = extraction.known(elements) or self._reading(extraction, elements)
        found = self._of_elements(extraction, reading, resource, texts_of(resource) if texts is None else texts)
        index, sort = self._of_parameters(extraction, reading, resource, found)
        _gather(extraction, resource, index)
        if found.written and (content := words.stored(found.written.values())) is not None:
            index["_content"] = content
        if "contained" in resource:
            index.update(contained.gathered(self._inside, self._circumstances.resource_types, resource, index))
        elif resource_type == bundles.BUNDLE:
            index.update(bundles.opened(self._inside, self._circumstances.resource_types, resource))
        return index, sort

    def _of_elements(
        self,
        extraction: Extraction,
        reading: Reading,
        resource: Mapping[str, Any],
        texts: Mapping[str, str | bytes],
    ) -> Found:
        """What is read of the elements one by one: most are known."""
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
        return found

    def _of_parameters(
        self, extraction: Extraction, reading: Reading, resource: Mapping[str, Any], found: Found
    ) -> tuple[Fields, Fields]:
        """The values and scalars of each parameter, with what needs the whole resource: composites, and what is not R4's."""
        values, scalars, slots, _ = found
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
            # A tuple: large resources are read on threads, which may add to them meanwhile.
            self._left += sum(len(known) + _KEPT for known in tuple(element.known))
            extraction.remember_no_more(element.key)
        elif element.keeps(text):
            self._left -= len(text) + _KEPT
            if self._left < 0:
                self._forget()
            element.known[text] = found
        return found

    def _reading(self, extraction: Extraction, elements: tuple[str, ...]) -> Reading:
        """How resources with these elements are read: a client may send each in another order."""
        weight = extraction.weight(elements)
        self._left_for_orders -= weight
        if self._left_for_orders < 0:
            self._forget()
            self._left_for_orders -= weight
        return extraction.reading(elements)

    def _forget(self) -> None:
        self._left, self._left_for_orders = REMEMBERED, ORDERS
        for each in tuple(self._extractions.values()):
            each.forget()

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


def _gather(extraction: Extraction, resource: Mapping[str, Any], index: Fields) -> None:
    """Add what one index serves several parameters with, and what modifiers and `_text` ask for."""
    if extraction.paired and "code" in index:
        _pair(index, extraction.paired)
    if extraction.has_endings and (name := index.get("name")) is not None:
        index[string.ENDINGS] = string.endings(name["f"])
    if resource.get("doNotPerform") is True:
        index[PROHIBITS] = True
    if extraction.has_narrative and "text" in resource and (narrative := words.narrative(resource)) is not None:
        index["_text"] = narrative


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
