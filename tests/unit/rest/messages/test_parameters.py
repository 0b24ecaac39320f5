"""https://hl7.org/fhir/R4/http.html#parameters: read once, decoded once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirserver.model.outcome import BadRequest, TooCostly
from fhirserver.rest.messages.parameters import as_query, form_of, parse_query, part

text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", []),
        (b"a=1&b=2", [("a", "1"), ("b", "2")]),
        (b"a=1&a=2", [("a", "1"), ("a", "2")]),
        (b"&&a=1&", [("a", "1")]),
        (b"a", [("a", "")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"a=x+y%2Bz", [("a", "x y+z")]),
        (b"a=%2541", [("a", "%41")]),
        (b"code%3Anot=a%7Cb", [("code:not", "a|b")]),
        (b"name=%D0%98%D0%B2%D0%B0%D0%BD", [("name", "Иван")]),
        ("name=Иван".encode(), [("name", "Иван")]),
        (b"a=%zz", [("a", "%zz")]),
        (b"a=1;b=2", [("a", "1;b=2")]),
    ],
)
def test_a_query_is_decoded_once(query: bytes, expected: list[tuple[str, str]]) -> None:
    assert parse_query(query) == expected


@pytest.mark.parametrize("query", [b"a=%ff", b"\xff=a", b"a=%00"])
def test_what_is_not_text_is_refused(query: bytes) -> None:
    with pytest.raises(BadRequest):
        parse_query(query)


def test_more_parameters_than_the_bound_are_refused() -> None:
    with pytest.raises(TooCostly):
        parse_query(b"&".join([b"a=1"] * 65))


@given(st.lists(st.tuples(text.filter(bool), text), max_size=8))
def test_links_read_as_they_were_meant(pairs: list[tuple[str, str]]) -> None:
    query = as_query(pairs)
    assert query.isascii()
    assert not set(query) & set(' "<>#+|\\^`{}')
    assert parse_query(query.encode()) == pairs


def test_the_search_does_not_see_what_is_not_its_own() -> None:
    pairs = [("_format", "json"), ("a", "1"), ("_cursor", "x"), ("_pretty", "true"), ("a", "2")]
    assert part(pairs) == ([("a", "1"), ("a", "2")], "x")
    assert form_of(pairs, "_format") == "json"
    with pytest.raises(BadRequest):
        part([("_cursor", "x"), ("_cursor", "y")])
    with pytest.raises(BadRequest):
        form_of([("_format", "json"), ("_format", "xml")], "_format")
