"""What an expression may do is counted by what it takes: long texts, large elements and regular expressions are more than one step."""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.fhirpath import Engine, FhirPathError

STEPS = 1_000
LONG = "x" * 400_000
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "text": {
        "status": "generated",
        "div": '<div xmlns="http://www.w3.org/1999/xhtml">' + "<b>x</b>" * 40_000 + "</div>",
    },
    "address": [{"text": LONG}, {"text": LONG, "extension": [{"url": "x", "valueString": str(n)} for n in range(300)]}],
    "name": [{"family": "Karenina"}],
}
COSTLY = (
    "address[0].text.upper()",
    "address[0].text.indexOf('xy')",
    "address[0].text.startsWith('y')",
    "address[0].text.matches('[a-z]*y')",
    "address[0].text.replaceMatches('x', 'y')",
    "('" + "a" * 2_000 + "').matches('(a?){1000}y')",
    "('" + "a" * 2_000 + "').replaceMatches('a', 'b')",
    "address[0].text & address[0].text",
    "address[0].text = address[1].text",
    "address[0].text ~ address[1].text",
    "address[0].text < address[1].text",
    "address[1] ~ address[1]",
    "address[1] = address[1]",
    "address.isDistinct()",
    "address.exclude(address)",
    "text.`div`.htmlChecks()",
)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(load())


@pytest.mark.parametrize("expression", COSTLY, ids=range(len(COSTLY)))
def test_what_takes_long_counts_for_many_steps(engine: Engine, expression: str) -> None:
    with pytest.raises(FhirPathError, match="more than one evaluation may do"):
        engine.evaluate(expression, PATIENT, steps=STEPS)


@pytest.mark.parametrize(
    "expression", ["name.family.matches('^K[a-z]+$')", "name.family.upper() = 'KARENINA'", "name ~ name"]
)
def test_what_does_not_take_long_does_not(engine: Engine, expression: str) -> None:
    assert [item for _, item in engine.evaluate(expression, PATIENT, steps=STEPS)] == [True]
