"""What is stored of contained resources, and how much of them is looked at.

https://hl7.org/fhir/R4/references.html#contained
"""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.search.expression import And, Expression, In, Not, Or, Prefixed, Range, Some, all_of, any_of
from fhirserver.search.index.contained import INSIDE, MOST, WEIGHT, led, within
from fhirserver.search.index.extract import Extractor
from fhirserver.search.parameters import string, words

BASE = "https://fhir.example.org/r4"
Resource = dict[str, Any]


def stored(*contained: Resource, **more: Any) -> Resource:
    resource = {"resourceType": "Observation", "id": "o", "status": "final", "contained": list(contained), **more}
    return Extractor(load(), BASE).extract("Observation", resource)[0]


def patient(id: str, **more: Any) -> Resource:
    return {"resourceType": "Patient", "id": id, **more}


def test_each_has_its_own_values_and_what_refers_to_it() -> None:
    index = stored(
        patient("p", gender="female", managingOrganization={"reference": "#o"}),
        {"resourceType": "Organization", "id": "o", "name": "Clinic"},
        subject={"reference": "#p"},
        performer=[{"reference": "#o"}, {"reference": "#absent"}],
    )
    person, clinic = index["_contained"]
    assert (person["_id"], person["type"], person["n"], person["by"]) == ("p", "Patient", 0, ["subject", "patient"])
    assert (clinic["_id"], clinic["type"], clinic["n"], clinic["by"]) == ("o", "Organization", 1, ["performer"])
    assert "=female" in person["index"]["gender"]
    (employer,) = person["index"]["_contained"]
    assert (employer["type"], employer["by"], employer["index"]["name"]["f"]) == (
        "Organization",
        ["organization"],
        ["clinic"],
    )
    assert "_contained" not in clinic["index"]
    assert {"Patient", "<subject|Patient", "<patient|Patient", "Organization", "<performer|Organization"} <= set(
        index["_inside"]
    )
    assert "Organization|index.name.f|clinic" in index["_inside"]
    assert "<organization|Organization" not in index["_inside"]


def test_a_reference_to_the_container_is_its_address() -> None:
    (made,) = stored({"resourceType": "Provenance", "id": "v", "target": [{"reference": "#"}]})["_contained"]
    assert made["index"]["target"]["r"] == ["Observation/o"]


@pytest.mark.parametrize(
    "inside",
    [
        {"resourceType": "Nonsense", "id": "x"},
        {"resourceType": "Patient"},
        {"resourceType": "Patient", "id": 5},
        "Patient",
        None,
    ],
)
def test_what_is_no_resource_is_passed_over(inside: Any) -> None:
    assert "_contained" not in stored(inside)
    assert [each["n"] for each in stored(inside, patient("p"))["_contained"]] == [1]


def test_what_is_contained_in_the_contained_is_not_looked_at() -> None:
    (outer,) = stored({**patient("p"), "contained": [patient("q")]})["_contained"]
    assert "_contained" not in outer["index"]


def test_no_more_are_looked_at_than_the_bounds_say() -> None:
    assert len(stored(*(patient(f"p{number}") for number in range(MOST + 1)))["_contained"]) == MOST
    long = [
        patient(f"p{number}", name=[{"text": f"{letter}" * 1_000} for letter in "abcdefghij"]) for number in range(100)
    ]
    assert len(stored(*long)["_contained"]) == pytest.approx(WEIGHT / 10_000, abs=2)
    data = [{"resourceType": "Binary", "id": f"b{number}", "data": "A" * 100_000} for number in range(100)]
    assert len(stored(*data)["_contained"]) == 100


def test_of_a_great_many_words_no_more_are_read_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(words, "_stem", lambda word: read.append(word) or word)
    codings = [{"display": f"a{number}x b{number}y c{number}z"} for number in range(5_000)]
    index = stored(patient("p"), code={"coding": codings})
    assert len(index["_content"]["w"]) == 300
    assert len(read) < 1_500


def test_a_great_many_names_are_read_in_their_number() -> None:
    """Not in its square, which takes minutes."""
    names = [{"family": f"a{number} b{number} c{number} d{number}"} for number in range(20_000)]
    found = string.indexed_names([("HumanName", name) for name in names], Extractor(load(), BASE)._circumstances)
    assert found is not None
    assert {"a7 b7 c7 d7", "d7", "b19999"} <= set(found[0]["f"])


# What leads to them

CODE, NAME = In("index.code", frozenset({"=x"})), Prefixed("index.name.f", "an")
BY_CODE, BY_NAME = In(INSIDE, frozenset({"T|index.code|=x"})), Prefixed(INSIDE, "T|index.name.f|an")
BY_TYPE = In(INSIDE, frozenset({"T"}))


@pytest.mark.parametrize(
    ("term", "lead"),
    [
        (CODE, BY_CODE),
        (NAME, BY_NAME),
        (And((NAME, CODE)), BY_CODE),
        (And((CODE, In("index.identifier", frozenset({"~1"})))), In(INSIDE, frozenset({"T|index.identifier|~1"}))),
        (And((CODE, In("index.subject.r", frozenset({"P/1"})))), In(INSIDE, frozenset({"T|index.subject.r|P/1"}))),
        (In("index._pair", frozenset({"Patient/p|=x"})), In(INSIDE, frozenset({"T|index._pair|Patient/p|=x"}))),
        (Or((CODE, NAME)), Or((BY_CODE, BY_NAME))),
        (Or((CODE, Not(NAME))), BY_TYPE),
        (Not(CODE), BY_TYPE),
        (In("index._content.w", frozenset({"x"})), BY_TYPE),
        (In("index.name.s", frozenset({"x"})), BY_TYPE),
        (Prefixed("index.code", "x|"), BY_TYPE),
        (Range("sort.date.lo", 1, 2), BY_TYPE),
        (within("U", NAME, "maker"), Prefixed(INSIDE, "U|index.name.f|an")),
        (within("U", Not(NAME), "maker"), BY_TYPE),
        (In("index.code", frozenset({"=" + "x" * 200})), In(INSIDE, frozenset({"T|index.code|=" + "x" * 99}))),
    ],
)
def test_a_search_is_led_by_what_few_have(term: Expression, lead: Expression) -> None:
    assert led("T", term) == all_of(lead, within("T", term))


def test_what_a_parameter_refers_to_is_led_by_that_where_nothing_else_leads() -> None:
    assert led("T", Not(CODE), "maker") == all_of(
        In(INSIDE, frozenset({"<maker|T"})),
        Some("index._contained", And((In("type", frozenset({"T"})), In("by", frozenset({"maker"})), Not(CODE)))),
    )
    assert led("T", any_of(CODE), "maker").terms[0] == BY_CODE  # type: ignore[union-attr]
