"""Any expression on any input: an answer or the engine's own error, and no run past the bounds.

https://hl7.org/fhirpath/N1/
"""

from __future__ import annotations

import copy
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.fhirpath import Engine, FhirPathError, Host
from fhirserver.fhirpath.functions import GENERAL, JUDGING, SELECTING
from fhirserver.fhirpath.language.lexer import MAX_LENGTH
from tests.unit.fhirpath.test_table import RESOURCES

ENGINE = Engine(load(), Host(resolve=lambda address: None))
NOW = datetime(2026, 1, 2, tzinfo=UTC)
STEPS = 20_000

LITERALS = [
    "true",
    "false",
    "{}",
    "0",
    "1",
    "2",
    "-1",
    "1.50",
    "2147483647",
    "0.000000001",
    "''",
    "'a'",
    "'Anna'",
    "'2012-01'",
    "'1'",
    "@2012",
    "@2012-01-31",
    "@2012-01-01T10:00:00Z",
    "@T10:30",
    "4'g'",
    "2'mg'",
    "1year",
    "3days",
    "5'[degF]'",
    "$this",
    "$index",
    "$total",
    "%resource",
    "%context",
    "%ucum",
    "%one",
    "%texts",
    "%none",
]
NAMES = [
    "name",
    "given",
    "family",
    "birthDate",
    "extension",
    "value",
    "url",
    "contained",
    "id",
    "active",
    "telecom",
    "system",
    "component",
    "code",
    "coding",
    "text",
    "referenceRange",
    "low",
    "high",
    "status",
    "effective",
    "subject",
    "reference",
    "generalPractitioner",
    "nonsense",
    "Patient",
]
TYPES = ["Patient", "string", "String", "Quantity", "boolean", "System.Integer", "FHIR.code", "HumanName", "Element"]
OPERATORS = [
    "=",
    "!=",
    "~",
    "!~",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "div",
    "mod",
    "&",
    "|",
    "in",
    "contains",
    "and",
    "or",
    "xor",
    "implies",
]
FUNCTIONS = {
    name: function.arguments
    for table in (GENERAL, JUDGING, SELECTING)
    for name, function in table.items()  # type: ignore[attr-defined]
}


@st.composite
def call(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """A function with as many arguments as it takes."""
    name = draw(st.sampled_from(sorted(FUNCTIONS)))
    if name in ("is", "as", "ofType"):
        return f"{name}({draw(st.sampled_from(TYPES))})"
    allowed = FUNCTIONS[name]
    count = draw(st.integers(allowed.start, min(allowed.stop - 1, allowed.start + 2)))
    return f"{name}({', '.join(draw(inner) for _ in range(count))})"


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("{}.{}".format, inner, st.sampled_from(NAMES)),
        st.builds("({}).{}".format, inner, call(inner)),
        st.builds("({}).{}".format, inner, call(inner)),
        call(inner),
        st.builds("({}) {} ({})".format, inner, st.sampled_from(OPERATORS), inner),
        st.builds("({})[{}]".format, inner, inner),
        st.builds("({}) {} {}".format, inner, st.sampled_from(["is", "as"]), st.sampled_from(TYPES)),
        st.builds("-({})".format, inner),
    )


EXPRESSIONS = st.recursive(st.sampled_from([*LITERALS, *NAMES]), larger, max_leaves=12)
NONSENSE = st.text(alphabet=st.sampled_from("().[]{}'\"`$%@|&=<>!~+-*/,:; abT019\\\n"), max_size=30)
WRONG: list[Any] = [None, True, 0, "", "x", [], {}, [None], [[]], ["x"], {"x": 1}, {"resourceType": "Patient"}, 10**30]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


@st.composite
def inputs(draw: st.DrawFn) -> Any:
    """A resource, whole or with something wrong in it; or none."""
    resource = copy.deepcopy(draw(st.sampled_from(list(RESOURCES.values()))))
    if resource is not None and draw(st.booleans()):
        place = draw(st.sampled_from([each for each in places(resource) if each and each != ("resourceType",)]))
        owner = resource
        for key in place[:-1]:
            owner = owner[key]
        owner[place[-1]] = draw(st.sampled_from(WRONG))
    return resource


def run(expression: str, resource: Any) -> None:
    """Nothing but an answer or the engine's own error comes out."""
    try:
        found = ENGINE.evaluate(
            expression, resource, now=NOW, variables={"one": 1, "texts": ["a", "b"], "none": []}, steps=STEPS
        )
    except FhirPathError as error:
        at = error.position
    else:
        at = 0
        assert isinstance(found, list)
        assert len(found) <= STEPS * 2
    assert 0 <= at <= len(expression)


@given(EXPRESSIONS, inputs())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_expression_gives_an_answer_or_the_engines_error(expression: str, resource: Any) -> None:
    run(expression, resource)


@given(NONSENSE)
def test_a_text_that_is_no_expression_is_refused_with_its_place(text: str) -> None:
    run(text, RESOURCES["patient"])


@pytest.mark.slow
@given(EXPRESSIONS | NONSENSE, inputs())
@settings(deadline=None, max_examples=100_000, suppress_health_check=list(HealthCheck))
def test_a_hundred_thousand_expressions_give_an_answer_or_the_engines_error(expression: str, resource: Any) -> None:
    run(expression, resource)


HARD = [
    "('a'.aggregate($this & $this))" + ".select($this & $this)" * 20,
    "(1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9)" + ".select($this.combine($this).combine($this))" * 20,
    "1.repeat($this + 1)",
    "1.repeat($this | $this + 1)",
    "descendants()" + ".select(%resource.descendants())" * 10,
    "descendants().where(%resource.descendants().where(%resource.descendants().count() > $this.count()).exists())",
    "'" + "a" * 3000 + "'.matches('(a*)*b')",
    "'" + "a" * 3000 + "'.replaceMatches('(a|aa)+$', '$1$1')",
    "'a'.replaceMatches('', 'b')",
    "'a'.matches('((a{1,1000}){1,1000}){1,1000}')",
    "('aaaa'" + ".replace('a', 'aaaa')" * 20 + ")",
    "(9.99" + ".power(9)" * 30 + ")",
    "(2" + " * 1.0000001" * 40 + ")",
    "10.power(999999).power(999999)",
    "1000000.0.exp()",
    "iif(true, " * 60 + "1" + ")" * 60,
    "1" + ".iif(true, 1, 2)" * 50,
    "1.iif(true, " * 15 + "1" + ")" * 15,
    "extension.value" + ".extension.value" * 25,
    "extension.value.select(" * 25 + "1" + ")" * 25,
    "(" * 1000 + "1" + ")" * 1000,
    "-" * 5000 + "1",
    "not()" * 3000,
    "'" + "(" * 200 + "'",
    "5 '" + "(" * 120 + "m" + ")" * 120 + "' = 5 'm'",
    "5 'm99999999' = 5 'm'",
    "1 '10*9999999' = 2 'm'",
    "x" * (MAX_LENGTH + 1),
    "@2012" + " + 1 year" * 40,
    "(1 | 2).combine(1 | 2)" + ".combine($this)" * 50,
    "("
    + " | ".join(str(number) for number in range(2000))
    + ").intersect("
    + " | ".join(str(number) for number in range(1000))
    + ")",
    "9999999999999999999.9" + " * 9999999999999999999.9" * 30,
]


@pytest.mark.parametrize("expression", HARD, ids=range(len(HARD)))
def test_a_hard_expression_ends_soon(expression: str) -> None:
    started = time.monotonic()
    run(expression, RESOURCES["patient"])
    assert time.monotonic() - started < 5
