"""What narrows a search of quantities or of names is true of everything that the search itself finds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.model.json import Number
from fhirserver.search.expression import Expression, In, Some
from fhirserver.search.index.extract import Extractor
from fhirserver.search.match import match
from fhirserver.search.query.parse import parse_search
from fhirserver.search.request import Bounds
from fhirserver.store.layout.quantities import QUANTITIES, among, gathered

EXTRACTOR = Extractor(load())
UCUM = "http://unitsofmeasure.org"
NOW = datetime(2026, 1, 1, tzinfo=UTC)

numbers = st.decimals(-50, 50, places=1).map(lambda value: Number(str(value)))
units = st.sampled_from(["g", "mg", "kg", "mm[Hg]"])
quantities = st.fixed_dictionaries(
    {"value": numbers, "system": st.just(UCUM), "code": units},
    optional={"comparator": st.sampled_from(["<", "<=", ">=", ">"])},
)
codes = st.sampled_from(["a", "b"])


def _coded(code: str) -> dict[str, Any]:
    return {"coding": [{"system": "urn:s", "code": code}]}


@st.composite
def observations(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": _coded(draw(codes))}
    if draw(st.booleans()):
        made["valueQuantity"] = draw(quantities)
    made["component"] = [
        {"code": _coded(draw(codes)), "valueQuantity": draw(quantities)} for _ in range(draw(st.integers(0, 2)))
    ]
    return made


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, str]:
    prefix = draw(st.sampled_from(["", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]))
    unit = draw(st.sampled_from(["", f"|{UCUM}|g", f"|{UCUM}|mg", "||g"]))
    value = f"{prefix}{draw(numbers)}{unit}"
    if draw(st.booleans()):
        return draw(st.sampled_from(["value-quantity", "component-value-quantity", "combo-value-quantity"])), value
    name = draw(st.sampled_from(["code-value-quantity", "component-code-value-quantity", "combo-code-value-quantity"]))
    return name, f"{draw(codes)}${value}"


def _asked(resource_type: str, name: str, value: str) -> Expression:
    read = parse_search(load(), resource_type, [(name, value)], lenient=False, base_url="", now=NOW, bounds=Bounds())
    return read.expression


@given(observations(), queries())
def test_what_a_search_of_quantities_finds_is_among_what_the_index_gives(
    observation: dict[str, Any], query: tuple[str, str]
) -> None:
    index, sort = EXTRACTOR.extract("Observation", observation)
    document = {"index": {**index, QUANTITIES: gathered(index)}, "sort": sort}
    expression = _asked("Observation", *query)
    narrow = among(expression)
    assert (narrow is None) == (query[1].partition("$")[2] or query[1]).startswith("ne")
    if narrow is not None and match(expression, document):
        assert match(narrow, document)


def test_the_strings_of_quantities_narrow() -> None:
    quantity = {"value": Number("5"), "system": UCUM, "code": "g"}
    index, _ = EXTRACTOR.extract("Observation", {"resourceType": "Observation", "valueQuantity": quantity})
    document = {"index": {**index, QUANTITIES: gathered(index)}}
    for value, finds in ((f"gt4000|{UCUM}|mg", True), (f"gt6000|{UCUM}|mg", False), ("lt5.1", True), ("lt5", False)):
        narrow = among(_asked("Observation", "value-quantity", value))
        assert narrow is not None
        assert match(narrow, document) is finds, value


def test_what_is_no_quantity_narrows_nothing() -> None:
    assert among(In("index.code", frozenset({"x"}))) is None
    assert among(Some("index.date", In("lo", frozenset({1})))) is None


texts = st.text(st.sampled_from("аbВ ё'-é"), max_size=12)


@given(st.lists(texts, max_size=3), texts.filter(bool), st.sampled_from(["name", "family", "given"]))
def test_what_a_name_contains_begins_one_of_its_endings(names: list[str], part: str, code: str) -> None:
    resource = {"resourceType": "Patient", "name": [{"family": name, "given": [name]} for name in names if name]}
    index, sort = EXTRACTOR.extract("Patient", resource)
    expression = _asked("Patient", f"{code}:contains", part.replace("\\", ""))
    plain = any(part == name or part.casefold() in name.casefold() for name in names)
    assert not plain or match(expression, {"index": index, "sort": sort})


def test_names_with_too_many_endings_are_found_all_the_same() -> None:
    name = "".join(chr(0x4E00 + number) for number in range(600))
    index, _ = EXTRACTOR.extract("Patient", {"resourceType": "Patient", "name": [{"family": name}]})
    assert match(_asked("Patient", "name:contains", name[500:510]), {"index": index})
    assert not match(_asked("Patient", "name:contains", "x"), {"index": index})
