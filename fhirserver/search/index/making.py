"""How a type's resources are read for search, worked out from the definitions: which expressions are evaluated, and what is made of
what they select.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from fhirserver.definitions import Definitions
from fhirserver.fhirpath import Plan, compile_path
from fhirserver.search.custom import STEPS
from fhirserver.search.endings import branches, elements_at
from fhirserver.search.index.coded import Encoder, value_sets, with_extensions, with_systems
from fhirserver.search.index.extraction import Component, Composite, Elements, Extraction, Reader, Stored
from fhirserver.search.parameters import TYPES, string, words
from fhirserver.search.parameters.composite import PLACES
from fhirserver.search.parameters.term import Circumstances, Part
from fhirserver.search.registry import Searchable, registry

_TEXTS = frozenset({"string", "markdown"})
_APART_NEVER = frozenset({"id", "text", "contained"})
"""Elements that hardly come again, or belong to the whole."""
_START = re.compile(r"[A-Z]\w*\.\w+")


class Maker:
    """Makes the Extraction of each type."""

    def __init__(self, definitions: Definitions, circumstances: Circumstances) -> None:
        self.written, self.wordless = _written(definitions), _wordless(definitions)
        self._definitions = definitions
        self._circumstances = circumstances
        self._numbers: dict[Any, int] = {}
        self._number = count(1)  # threads that make at once never get one number for two

    def extended(self, definitions: Definitions) -> Maker:
        """The same for definitions with other further parameters."""
        other = copy.copy(self)
        other._definitions = definitions
        other._numbers = dict(self._numbers)  # a copy: this may happen on a thread, while ours grow in another
        return other

    def extraction(self, resource_type: str) -> Extraction:
        """How resources of this type are read."""
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
        wordless = {key for key in plain if key not in self.written and (plain[key] or key in self.wordless)}
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
        return Stored(self._numbers.setdefault(same, next(self._number)), encoder, type == "token")


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


def _is_of_people(definitions: Definitions, expression: str) -> bool:
    """Whether the values are names of people, or family names."""
    elements = [element for branch in branches(expression) for element in elements_at(definitions, branch)]
    return bool(elements) and all(
        element.path.endswith("HumanName.family") or {type.code for type in element.types} == {"HumanName"}
        for element in elements
    )
