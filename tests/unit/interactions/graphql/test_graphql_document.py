"""Queries are read within bounds, and each bound says what it is; hostile ones are refused before they cost anything."""

from __future__ import annotations

import pytest

from fhirserver.definitions import load
from fhirserver.interactions.graphql import document
from fhirserver.interactions.graphql.budget import (
    ERRORS,
    EXPRESSIONS,
    RESOURCES,
    SEARCHES,
    SIZE,
    VALUES,
    Budget,
    Exhausted,
)
from fhirserver.interactions.graphql.document import Document, read_document
from fhirserver.interactions.graphql.schema import schema
from fhirserver.model.outcome import BadRequest, TooCostly


def read(query: str, resource_type: str | None = "Patient") -> Document:
    return read_document(schema(load()), query, resource_type, None)


def nested(depth: int) -> str:
    """Fields inside one another: extensions have extensions."""
    return "{" + "extension{" * (depth - 1) + "url" + "}" * depth


def chained(count: int, *, times: int = 2) -> str:
    """Fragments each of which spreads the next one several times: it doubles with each."""
    parts = [f"fragment F{i} on Patient{{{' '.join(f'...F{i + 1}' for _ in range(times))}}}" for i in range(count)]
    return "{...F0} " + " ".join(parts) + f" fragment F{count} on Patient{{id}}"


TOO_MUCH = {
    "characters": ("{id" + " " * document.TEXT_LIMIT + "}", "characters"),
    "tokens": ("{" + "id " * document.TOKENS + "}", "tokens"),
    "fields inside one another": (nested(document.DEPTH + 1), "deeper"),
    "braces without end": ("{id" * 5_000, "deep"),
    "lists in lists": ("{name(use: " + "[" * 5_000 + "){id}}", "deep"),
    "fields": ("{" + " ".join(f"a{i}: id" for i in range(document.FIELDS + 1)) + "}", "fields"),
    "fields of one name": ("{" + "id " * (document.ALIKE + 1) + "}", "of one name"),
    "fragments": ("{id}" + "".join(f" fragment F{i} on Patient{{id}}" for i in range(101)), "fragments"),
    "fragments that double": (chained(40), "fields"),
    "fragments that spread many": (chained(15, times=15), "fields"),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_what_is_too_much_is_refused_and_said(name: str) -> None:
    query, said = TOO_MUCH[name]
    with pytest.raises(BadRequest) as refusal:
        read(query)
    assert said in refusal.value.issues[0].diagnostics


def test_what_is_just_within_the_bounds_is_read() -> None:
    read(nested(document.DEPTH))
    read("{" + " ".join(f"a{i}: id" for i in range(document.FIELDS)) + "}")
    read("{" + "id " * document.ALIKE + "}")


@pytest.mark.parametrize("count", [1, 2, 30])
def test_fragments_that_come_back_to_themselves_are_refused(count: int) -> None:
    """https://spec.graphql.org/October2021/#sec-Fragment-spreads-must-not-form-cycles"""
    parts = [f"fragment F{i} on Patient{{id ...F{(i + 1) % count}}}" for i in range(count)]
    with pytest.raises(BadRequest) as refusal:
        read("{...F0} " + " ".join(parts))
    assert "within itself" in refusal.value.issues[0].diagnostics


def test_errors_are_counted_and_placed() -> None:
    with pytest.raises(BadRequest) as refusal:
        read("{spam\n ham}")
    said = [issue.diagnostics for issue in refusal.value.issues]
    assert len(said) == 2
    assert "line 2, column 2" in said[1]
    with pytest.raises(BadRequest) as refusal:
        read("{" + " ".join(f"spam{i}" for i in range(500)) + "}")
    assert len(refusal.value.issues) <= 11


@pytest.mark.parametrize(
    "text",
    ["", " ", "#", "{", "}", "{}", "query", "\x00", "{id}}", "{...}", '{name(use: "){id}}', "\ufeff", "type A{b: Int}"],
)
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(BadRequest):
        read(text)


def test_a_query_that_is_asked_again_is_not_read_again() -> None:
    assert read("{id birthDate}") is read("{id birthDate}")
    with pytest.raises(BadRequest):
        read("{id birthDate}", "Observation")


@pytest.mark.parametrize(
    ("spend", "limit"),
    [
        (Budget.value, VALUES),
        (Budget.resource, RESOURCES),
        (Budget.search, SEARCHES),
        (Budget.expression, EXPRESSIONS),
        (Budget.error, ERRORS),
        (lambda budget: budget.text(SIZE // 16), 16),
    ],
    ids=["values", "resources", "searches", "expressions", "errors", "characters"],
)
def test_a_budget_is_spent_to_its_limit(spend: object, limit: int) -> None:
    budget = Budget()
    for _ in range(limit):
        spend(budget)  # type: ignore[operator]
    with pytest.raises(Exhausted) as refusal:
        spend(budget)  # type: ignore[operator]
    assert isinstance(refusal.value, TooCostly)
    assert "more than" in refusal.value.issues[0].diagnostics
