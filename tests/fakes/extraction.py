"""Search values read the simple way: each expression by itself, of the whole resource, and nothing remembered.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from fhirserver.definitions import load
from fhirserver.fhirpath import Node, compile_path
from fhirserver.search.endings import branches, elements_at
from fhirserver.search.index.coded import value_sets, with_extensions, with_systems
from fhirserver.search.index.extract import Extractor
from fhirserver.search.parameters import TYPES, string, token, words
from fhirserver.search.parameters.composite import PLACES
from fhirserver.search.parameters.term import Circumstances, Indexed
from fhirserver.search.registry import PAIR, PROHIBITS, Searchable, registry, resource_types

BASE = "https://fhir.example.org/r4"
DEFINITIONS = load()
CIRCUMSTANCES = Circumstances(BASE, DEFINITIONS.case_sensitive_systems, resource_types(DEFINITIONS))
PRIMITIVES = frozenset(name for name in DEFINITIONS.structures if name[0].islower())
ELSEWHERE = frozenset({"_contained", "_inside", "composition", "message"})
"""What is stored of contained resources and of the first of a Bundle: they are extracted by themselves."""

Fields = dict[str, Any]
Encode = Callable[[list[Node], Circumstances], Indexed | None]


def extract(resource: Mapping[str, Any]) -> tuple[Fields, Fields]:
    """The `index` and the `sort` of a resource."""
    type = resource["resourceType"]
    known = registry(DEFINITIONS, type)
    index: Fields = {}
    sort: Fields = {}
    for code, each in known.searchable.items():
        if each.is_indexed and not each.parts:
            _simple(resource, code, each, index, sort)
        elif each.is_indexed and (found := list(_together(resource, each))):
            index[code] = [one for place, one in enumerate(found) if one not in found[:place]]
    for code, each in known.searchable.items():
        if scalars := [sort[part.code] for part in each.united if part.code in sort]:
            sort[code] = {"lo": min(one["lo"] for one in scalars), "hi": max(one["hi"] for one in scalars)}
    patients = {
        reference: None
        for code in known.paired
        for reference in index.get(code, {}).get("r", ())
        if reference.startswith("Patient/")
    }
    if patients and "code" in index:
        index[PAIR] = [f"{patient}|{each}" for patient in patients for each in index["code"]]
    if known.ended and "name" in index:
        index[string.ENDINGS] = string.endings(index["name"]["f"])
    if resource.get("doNotPerform") is True:
        index[PROHIBITS] = True
    return index | _words(resource, "_text" in known.searchable), sort


def _simple(resource: Mapping[str, Any], code: str, parameter: Searchable, index: Fields, sort: Fields) -> None:
    expression = parameter.definition.expression
    nodes = _path(expression, resource["resourceType"])(resource, resource)
    if not nodes:
        return
    assert parameter.stored is not None
    stored = _encoder(parameter.type, expression, parameter.stored.indexed)(nodes, CIRCUMSTANCES)
    if stored is not None:
        index[code] = stored[0]
        if stored[1] is not None:
            sort[code] = {"lo": stored[1], "hi": stored[2]}
    if parameter.type == "token" and nodes[0][0] in token.TOLD:
        index.update((code + suffix, strings) for suffix, strings in token.beside(nodes, CIRCUMSTANCES).items())


def _together(resource: Mapping[str, Any], parameter: Searchable) -> Iterator[Fields]:
    for branch in branches(parameter.definition.expression):
        type = resource["resourceType"]
        focus = type if branch == type else {each.path for each in elements_at(DEFINITIONS, branch)}.pop()
        for _, element in _path(branch, type)(resource, resource):
            entry = {}
            for place, part in zip(PLACES, parameter.parts, strict=False):
                nodes = _path(part.expression, focus)(element, resource)
                encode = _encoder(part.type, f"{branch}.{part.expression}", TYPES[part.type].indexed)
                stored = encode(nodes, CIRCUMSTANCES) if nodes else None
                if stored is not None:
                    entry[place] = stored[0]
            if len(entry) == len(parameter.parts):
                yield entry


def _words(resource: Mapping[str, Any], has_narrative: bool) -> Fields:
    found: Fields = {}
    if has_narrative and (narrative := words.narrative(resource)) is not None:
        found["_text"] = narrative
    written: dict[str, words.Read] = {}
    # Which elements people write is not what is tried here.
    words.collect(resource, _EXTRACTOR._written, _EXTRACTOR._wordless, written)
    if (content := words.stored(written.values())) is not None:
        found["_content"] = content
    return found


@cache
def _path(expression: str, type: str) -> Callable[..., list[Node]]:
    return compile_path(DEFINITIONS, expression, type)


@cache
def _encoder(type: str, expression: str, encode: Encode) -> Encode:
    if type == "token" and (bound := value_sets(DEFINITIONS, expression)):
        encode = with_systems(encode, bound, CIRCUMSTANCES)
    elements = [element for branch in branches(expression) for element in elements_at(DEFINITIONS, branch)]
    if encode is string.indexed and elements and all(map(_is_of_people, elements)):
        encode = string.indexed_names
    return with_extensions(encode, PRIMITIVES) if "extension(" in expression else encode


def _is_of_people(element: Any) -> bool:
    return element.path.endswith("HumanName.family") or [type.code for type in element.types] == ["HumanName"]


_EXTRACTOR = Extractor(DEFINITIONS, BASE)
