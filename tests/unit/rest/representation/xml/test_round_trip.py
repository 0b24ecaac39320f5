"""JSON to XML to JSON gives the same resource, its digits included.

https://hl7.org/fhir/R4/formats.html
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.model.json import Number, parse
from fhirserver.rest.representation.xml import read, write
from fhirserver.rest.representation.xml.layouts import Field, layouts_of
from tests.data.examples import LIMIT, example_resources

LAYOUTS = layouts_of(load())


def exact(value: Any) -> Any:
    """A value in which numbers are their own digits and nothing else compares equal to them."""
    if isinstance(value, dict):
        return {name: exact(each) for name, each in value.items()}
    if isinstance(value, list):
        return [exact(each) for each in value]
    return ("number", value.text) if isinstance(value, Number) else (type(value).__name__, value)


def check(resource: dict[str, Any], *, pretty: bool = False) -> None:
    """There and back."""
    assert exact(read(load(), write(load(), resource, pretty=pretty), limit=LIMIT)) == exact(resource)


def test_the_official_examples_come_back_as_they_were() -> None:
    count = 0
    for name, resource in example_resources():
        count += 1
        assert name
        check(resource, pretty=count % 2 == 0)
    assert count > 700


@pytest.mark.slow
def test_every_official_example_comes_back_as_it_was() -> None:
    count = 0
    for _, resource in example_resources(bulk=True):
        count += 1
        check(resource)
        check(resource, pretty=True)
    assert count > 5_000


text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32))) + "\ufffe\uffff")
    | st.sampled_from("\t\n\r <>&\"'"),
    min_size=1,
    max_size=8,
)
number = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000).map(str),
    st.sampled_from(("-0", "0.00", "1e3", "1E-22", "-1.50e+7")),
).map(lambda each: parse(each.encode()))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31),
    "positiveInt": st.integers(1, 2**31),
    "unsignedInt": st.integers(0, 2**31),
    "decimal": number,
    "string": text,
    "markdown": text,
}
divs = text.map(
    lambda each: (
        '<div xmlns="http://www.w3.org/1999/xhtml">'
        + each.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "")
        + "<br/></div>"
    )
)


@st.composite
def objects(draw: st.DrawFn, layout: str, depth: int) -> dict[str, Any]:
    """What may stand in an element, whether or not it is valid: never empty, in any order."""
    table = LAYOUTS[layout]
    made: dict[str, Any] = {name: draw(text) if name == "id" else "urn:u" for name in table.attributes}
    names = sorted(name for name, field in table.fields.items() if depth > 0 or field.kind in ("primitive", "xhtml"))
    for name in draw(st.permutations(draw(st.lists(st.sampled_from(names), max_size=4, unique=True)) if names else [])):
        made.update(draw(properties(table.fields[name], depth)))
    return made


@st.composite
def properties(draw: st.DrawFn, field: Field, depth: int) -> dict[str, Any]:
    """One element, or a list of them, with what stands beside a primitive."""
    count = draw(st.integers(1, 3)) if field.is_list else 1
    if field.kind != "primitive":
        values = [draw(inner(field, depth)) for _ in range(count)]
        return {field.name: values if field.is_list else values[0]}
    pairs = [
        draw(
            st.tuples(
                VALUES.get(field.type, st.just("a b")) | st.just(None),
                st.none() | objects("Element", min(depth - 1, 1)).filter(bool),
            ).filter(lambda pair: pair != (None, None))
        )
        for _ in range(count)
    ]
    found = {field.name: [value for value, _ in pairs], field.sibling: [sibling for _, sibling in pairs]}
    return {
        name: values if field.is_list else values[0]
        for name, values in found.items()
        if any(value is not None for value in values)
    }


def inner(field: Field, depth: int) -> st.SearchStrategy[Any]:
    """What stands in an element that is no primitive."""
    if field.kind == "xhtml":
        return divs
    if field.kind == "resource":
        return resources(depth - 1)
    return objects(field.content, depth - 1).filter(bool)


@st.composite
def resources(draw: st.DrawFn, depth: int) -> dict[str, Any]:
    """A resource of any type."""
    type = draw(st.sampled_from(load().concrete_types))
    return {"resourceType": type} | draw(objects(type, depth))


@given(resources(2), st.booleans())
@settings(max_examples=400, deadline=None)
def test_whatever_the_definitions_allow_comes_back_as_it_was(resource: dict[str, Any], pretty: bool) -> None:
    check(resource, pretty=pretty)


@given(text)
@settings(max_examples=500)
def test_every_character_that_xml_has_comes_back(value: str) -> None:
    check({"resourceType": "Patient", "name": [{"text": value, "id": value}]})


@pytest.mark.parametrize("type", load().concrete_types)
def test_every_type_has_a_layout_down_to_the_last_element(type: str) -> None:
    seen: set[str] = set()
    waiting = [type]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            layout = LAYOUTS[name]
            assert layout.fields or layout.attributes, name
            waiting += [field.content for field in layout.fields.values() if field.kind in ("complex", "primitive")]
