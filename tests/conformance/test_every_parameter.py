"""Every search parameter of R4 is stored and asked, and finds in HL7's own examples the very values that it selects there.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from fhirserver.definitions import SearchParameter, load
from fhirserver.fhirpath import compile_path
from fhirserver.search.endings import branches
from fhirserver.search.index.extract import Extractor
from fhirserver.search.match import match
from fhirserver.search.parameters.string import fold
from fhirserver.search.query.parse import parse_search
from fhirserver.search.registry import registry
from fhirserver.search.request import Bounds
from tests.data.examples import example_resources

BASE = "https://fhir.example.org/r4"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOT_VALUES = {("Bundle", "composition"), ("Bundle", "message")}
"""Parameters whose expression leads to a whole resource within."""
_MARKS = re.compile(r"[,|$\\]")

Node = tuple[str, Any]


def _escaped(text: str) -> str:
    return _MARKS.sub(r"\\\g<0>", text)


def parameters() -> Iterator[tuple[str, SearchParameter]]:
    """Every parameter with an expression, under every type that it is for."""
    for resource_type in load().resource_types:
        for parameter in load().search_parameters(resource_type).values():
            if parameter.expression and (resource_type, parameter.code) not in NOT_VALUES:
                yield resource_type, parameter


def test_every_parameter_is_stored_and_asked() -> None:
    pairs = list(parameters())
    assert len(pairs) > 2_200
    for resource_type, parameter in pairs:
        found = registry(load(), resource_type).searchable[parameter.code]
        assert found.is_indexed or found.united or parameter.code in ("_id", "_lastUpdated"), (resource_type, parameter)
        assert all(part.is_indexed for part in found.united)
        assert len(found.parts) == len(parameter.components)


def test_every_type_is_extracted_without_a_word_in_it() -> None:
    extractor = Extractor(load(), BASE)
    for resource_type in load().resource_types:
        index, _ = extractor.extract(resource_type, {"resourceType": resource_type})
        assert set(index) <= {"deceased"}, resource_type


def _tokens(kind: str, value: Any) -> Iterator[str]:
    match kind:
        case "CodeableConcept":
            for coding in value.get("coding", ()):
                yield from _tokens("Coding", coding)
        case "Coding" | "Identifier":
            code = value.get("code" if kind == "Coding" else "value")
            if code:
                yield _escaped(code)
                yield f"{_escaped(value.get('system', ''))}|{_escaped(code)}"
            elif value.get("system"):
                yield f"{_escaped(value['system'])}|"
        case "ContactPoint":
            yield from (_escaped(value["value"]),) if value.get("value") else ()
        case "boolean":
            yield str(value).lower()
        case _ if not isinstance(value, dict):
            yield _escaped(str(value))


def _texts(_: str, value: Any) -> Iterator[str]:
    # The use of a name is no part of it.
    texts = [value] if isinstance(value, str) else [value[key] for key in value if key not in ("use", "type", "id")]
    for text in texts:
        for each in text if isinstance(text, list) else [text]:
            if isinstance(each, str) and fold(each[:200]):
                yield _escaped(each[:200])


def _references(kind: str, value: Any) -> Iterator[str]:
    text = value.get("reference") if kind == "Reference" else value
    # A canonical that is no address reads as an id.
    if isinstance(text, str) and not text.startswith("#") and (kind != "canonical" or ":" in text):
        yield _escaped(text.partition("#")[0])


def _dates(kind: str, value: Any) -> Iterator[str]:
    match kind:
        case "Period":
            yield from (f"ge{value['start']}",) if "start" in value else ()
            yield from (f"le{value['end']}",) if "end" in value else ()
        case "Timing":
            yield from (f"ge{event}" for event in value.get("event", ()))
        case "date" | "dateTime" | "instant":
            yield value


def _numbers(kind: str, value: Any) -> Iterator[str]:
    if kind == "Range":
        yield from (f"ge{value[end]['value']}" for end in ("low",) if "value" in value.get(end, {}))
    else:
        yield str(value)


_COMPARED = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", None: ""}


def _quantities(kind: str, value: Any) -> Iterator[str]:
    match kind:
        case "Range":
            for end, prefix in (("low", "ge"), ("high", "le")):
                if "value" in value.get(end, {}) and value.get("low") != value.get("high"):
                    yield from (prefix + each for each in _quantities("Quantity", value[end]))
        case "Money":
            yield f"{value['value']}||{value['currency']}"
        case "SampledData":
            yield from (
                f"ap{each}" for each in _quantities("Quantity", value["origin"]) if "0" in value["data"].split()
            )
        case _ if "value" in value:
            number = _COMPARED[value.get("comparator")] + str(value["value"])
            yield number
            if value.get("unit"):
                yield f"{number}||{_escaped(value['unit'])}"
            if value.get("code"):
                yield f"{number}|{_escaped(value.get('system', ''))}|{_escaped(value['code'])}"


def _places(_: str, value: Any) -> Iterator[str]:
    yield f"{value['latitude']}|{value['longitude']}|1|m"


ASKED: dict[str, Callable[[str, Any], Iterator[str]]] = {
    "token": _tokens,
    "string": _texts,
    "reference": _references,
    "date": _dates,
    "number": _numbers,
    "quantity": _quantities,
    "uri": lambda _, value: iter((_escaped(value),)),
    "special": _places,
}


@cache
def _path(expression: str, focus: str) -> Callable[..., list[Node]]:
    return compile_path(load(), expression, focus)


def values(resource_type: str, parameter: SearchParameter, resource: dict[str, Any]) -> Iterator[str]:
    """The values that the parameter's expression selects of the resource, as a client would ask for them."""
    if parameter.type == "composite":
        for branch in branches(parameter.expression):
            for kind, element in _path(branch, resource_type)(resource):
                yield from _together(resource_type, parameter, kind, element, resource)
        return
    for kind, value in _path(parameter.expression, resource_type)(resource):
        if kind != "Extension":
            yield from ASKED[parameter.type](kind, value)


def _together(
    resource_type: str, parameter: SearchParameter, kind: str, element: Any, resource: dict[str, Any]
) -> Iterator[str]:
    parts = []
    for part in registry(load(), resource_type).searchable[parameter.code].parts:
        nodes = _path(part.expression, kind)(element, resource)
        asked = [value for type, inner in nodes for value in ASKED[part.type](type, inner)]
        if not asked:
            return
        parts.append(asked[0])
    yield "$".join(parts)


def test_each_value_of_the_examples_is_found_by_itself() -> None:
    extractor = Extractor(load(), BASE)
    asked: dict[tuple[str, str], int] = {}
    for name, resource in example_resources():
        resource_type = resource["resourceType"]
        index, sort = extractor.extract(resource_type, resource)
        for parameter in load().search_parameters(resource_type).values():
            code = parameter.code
            if code in ("_id", "_lastUpdated") or (resource_type, code) in NOT_VALUES or not parameter.expression:
                continue
            for value in dict.fromkeys(values(resource_type, parameter, resource)):
                request = parse_search(
                    load(), resource_type, [(code, value)], lenient=False, base_url=BASE, now=NOW, bounds=Bounds()
                )
                assert match(request.expression, {"index": index, "sort": sort}), (name, code, value, index.get(code))
                asked[resource_type, code] = asked.get((resource_type, code), 0) + 1
    assert len(asked) > 1_200
    assert sum(asked.values()) > 12_000
