"""`_filter` and chains as Expressions: what the same question asks in other words is the same, and no text breaks the reader.

https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.model.outcome import BadRequest, TooCostly
from fhirserver.search.expression import And, Chain, Exists, Expression, Has, In, Not, Or, Within
from fhirserver.search.pending import steps
from fhirserver.search.query.filtering.language import OPERATORS, Both, Comparison, Either, Negation, Step, parse
from fhirserver.search.query.parse import parse_search
from fhirserver.search.request import Bounds


def read(resource_type: str, *pairs: tuple[str, str]) -> Expression:
    return parse_search(
        load(),
        resource_type,
        pairs,
        lenient=False,
        base_url="https://fhir.example.org/r4",
        now=datetime(2026, 1, 1, tzinfo=UTC),
        bounds=Bounds(),
    ).expression


SAME = [
    ("Patient", "gender eq male", ("gender", "male")),
    ("Patient", "identifier eq urn:x|1", ("identifier", "urn:x|1")),
    ("Patient", "birthdate ge 1980", ("birthdate", "ge1980")),
    ("Patient", "birthdate ne 1980", ("birthdate", "ne1980")),
    ("Patient", 'name sw "Пёт"', ("name", "Пет")),
    ("Patient", "name co halm", ("name:contains", "halm")),
    ("Patient", "_lastUpdated gt 2026-01-01", ("_lastUpdated", "gt2026-01-01")),
    ("Patient", "organization pr false", ("organization:missing", "true")),
    ("Observation", "patient re Patient/p", ("patient", "Patient/p")),
    ("Observation", "patient.gender eq male", ("patient.gender", "male")),
    ("Observation", "subject.name sw a", ("subject.name", "a")),
    ("Observation", "patient.organization.name sw a", ("patient.organization.name", "a")),
    ("Patient", "not (gender eq male)", ("gender:not", "male")),
    ("Patient", "gender eq male or gender eq female", ("_filter", "(gender eq male) or (gender eq female)")),
]


@pytest.mark.parametrize(("resource_type", "text", "pair"), SAME)
def test_a_filter_asks_what_the_parameter_asks(resource_type: str, text: str, pair: tuple[str, str]) -> None:
    assert read(resource_type, ("_filter", text)) == read(resource_type, pair)


def test_brackets_and_what_follows_are_said_of_one_resource() -> None:
    found = read("Observation", ("_filter", "patient[gender eq male].active eq true"))
    male, active = (read("Patient", pair) for pair in (("gender", "male"), ("active", "true")))
    assert found == Chain("index.patient", "Patient", And((male, active)))


def test_a_unit_with_brackets_is_one_value_and_closes_no_step() -> None:
    quantity = ("component-value-quantity", "gt130||mm[Hg]")
    assert read("Observation", ("_filter", "component-value-quantity gt 130||mm[Hg]")) == read("Observation", quantity)
    found = read("DiagnosticReport", ("_filter", "result[component-value-quantity gt 130||mm[Hg]].status eq final"))
    asked = tuple(read("Observation", pair) for pair in (quantity, ("status", "final")))
    assert found == Chain("index.result", "Observation", And(asked))


def test_an_untyped_step_is_one_chain_for_each_type() -> None:
    found = read("Observation", ("subject.identifier", "x"))
    assert isinstance(found, Or)
    assert {term.resource_type for term in found.terms if isinstance(term, Chain)} == {
        "Patient",
        "Group",
        "Device",
        "Location",
    }


def test_a_list_is_a_reverse_chain() -> None:
    assert read("Patient", ("_list", "a,b")) == Has("List", "index.item", In("_id", frozenset({"a", "b"})))
    assert read("Patient", ("_list", "a,b")) == read("Patient", ("_has:List:item:_id", "a,b"))


def test_steps_are_found_at_every_depth() -> None:
    found = read(
        "Patient", ("_has:Observation:patient:performer:Practitioner.name", "x"), ("_filter", "not (link pr true)")
    )
    assert [type(each) for each in steps(found)] == [Chain, Has]


def test_unequal_is_some_other_value() -> None:
    found = read("Patient", ("_filter", "family ne Smith"))
    assert found == And((Exists("index.family.f"), Not(Within("index.family.f", frozenset({"smith"})))))


def test_words_bind_from_left_to_right() -> None:
    def one(name: str, place: int) -> Comparison:
        return Comparison((), name, "eq", "1", place)

    assert parse("a eq 1 or b eq 1 and c eq 1") == Both(Either(one("a", 1), one("b", 11)), one("c", 22))
    assert parse("not(a eq 1)") == Negation(one("a", 5))
    assert parse("and eq 1") == one("and", 1)
    assert parse("not eq 1") == one("not", 1)
    assert parse("a[b eq 1].c eq 1") == Comparison((Step("a", one("b", 3)),), "c", "eq", "1", 1)


PLACES = [
    ("", 1),
    ("name", 5),
    ("name  eq", 9),
    ("name is x", 6),
    ("name eq x or", 13),
    ('name eq "x', 9),
    ('name eq "\\q"', 9),
    ("(name eq x", 11),
    ("name eq x)", 10),
    ("name[a eq x] eq y", 13),
    ("1name eq x", 1),
]


@pytest.mark.parametrize(("text", "place"), PLACES)
def test_a_refusal_says_where(text: str, place: int) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse(text)
    assert f"at character {place}:" in refusal.value.issues[0].diagnostics


words = st.sampled_from(
    [
        *sorted(OPERATORS),
        "and",
        "or",
        "not",
        "(",
        ")",
        "[",
        "]",
        ".",
        '"',
        '"a"',
        "name",
        "gender",
        "link",
        "2020",
        "male",
        " ",
        "\\",
        "é",
        "\n",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60), st.lists(words, max_size=25).map(" ".join), st.lists(words, max_size=25).map("".join)
    )
)
def test_no_text_breaks_the_reader(text: str) -> None:
    if not text:
        return
    try:
        found = read("Patient", ("_filter", text))
    except (BadRequest, TooCostly):
        return
    assert isinstance(found, Expression)


names = st.lists(
    st.sampled_from(
        ["_has", "Observation", "Patient", "patient", "subject", "link", "name", "code", "_id", "exact", "not", "", "é"]
    ),
    max_size=8,
).flatmap(
    lambda parts: st.lists(st.sampled_from([".", ":"]), min_size=len(parts), max_size=len(parts)).map(
        lambda marks: "".join(f"{a}{b}" for a, b in zip(parts, marks, strict=True))
    )
)


@settings(max_examples=300, deadline=None)
@given(names, st.sampled_from(["x", "1", "a|b", "2020"]), st.booleans())
def test_no_name_breaks_the_reader(name: str, value: str, trimmed: bool) -> None:
    with suppress(BadRequest, TooCostly):
        read("Patient", (name[:-1] if trimmed else name, value))
