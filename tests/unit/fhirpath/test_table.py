"""Expressions and their results, written from the specification's rules.

https://hl7.org/fhirpath/N1/ and https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.fhirpath import Engine, FhirPathError, Node
from fhirserver.fhirpath.values.nodes import KINDS, Kind, plain
from fhirserver.model.json import dump, parse

CASES = Path(__file__).parent / "cases"
ENGINE = Engine(load())
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
RESOURCES: dict[str, Any] = {
    "": None,
    "patient": parse(
        b"""{"resourceType": "Patient", "id": "p", "text": {"status": "generated",
        "div": "<div xmlns=\\"http://www.w3.org/1999/xhtml\\">Anna</div>"}, "contained": [{"resourceType":
        "Practitioner", "id": "doc", "name": [{"family": "Petrov"}]}], "extension": [{"url": "http://example.org/a",
        "valueString": "x"}, {"url": "http://example.org/a", "valueInteger": 5}], "active": true, "name":
        [{"use": "official", "family": "Ivanova", "given": ["Anna", "Maria"]}, {"use": "nickname", "family": "Anyuta",
        "given": ["Anya"]}], "telecom": [{"system": "email", "value": "2", "rank": 2}, {"system": "phone", "value": "1",
        "rank": 1}], "gender": "female", "birthDate": "1980-05", "_birthDate": {"id": "b", "extension":
        [{"url": "http://example.org/time", "valueDateTime": "1980-05-01T08:00:00Z"}]}, "maritalStatus": {"_text":
        {"extension": [{"url": "http://example.org/why", "valueCode": "unknown"}]}}, "multipleBirthInteger": 2,
        "contact": [{"relationship": [{"coding": [{"code": "N"}]}], "name": {"family": "Sidorova"}}],
        "generalPractitioner": [{"reference": "#doc"}], "managingOrganization": {"reference": "Organization/1"}}"""
    ),
    "observation": parse(
        b"""{"resourceType": "Observation", "id": "o", "status": "final", "code": {"coding": [{"system":
        "http://loinc.org", "code": "718-7"}]}, "subject": {"reference": "Patient/p"}, "effectiveDateTime":
        "2026-01-02T08:30:00+03:00", "issued": "2026-01-02T10:00:00.000Z", "valueQuantity": {"value": 1.50, "unit": "g",
        "system": "http://unitsofmeasure.org", "code": "g"}, "referenceRange": [{"low": {"value": 1.0, "unit": "g"},
        "high": {"value": 2.5, "unit": "g"}}], "component": [{"code": {"text": "a"}, "valueString": "high"},
        {"code": {"text": "b"}, "valueInteger": 3}, {"code": {"text": "c"}, "valueBoolean": true}]}"""
    ),
}
RESOURCES["spans"] = parse(
    b"""{"resourceType": "Observation", "status": "final", "code": {"text": "t"}, "valueQuantity": {"value": 2, "code": "a",
    "system": "http://unitsofmeasure.org"}, "component": [{"code": {"text": "m"}, "valueQuantity": {"value": 3, "unit":
    "minutes", "code": "min", "system": "http://unitsofmeasure.org"}}, {"code": {"text": "f"}, "valueQuantity":
    {"value": 3, "unit": "drops", "code": "min", "system": "http://example.org/units"}}]}"""
)
VARIABLES = {"one": 1, "texts": ["a", "b"], "nothing": [], "patient": RESOURCES["patient"]}


def written(node: Node) -> str:
    """A result as the tables write it."""
    type, value = node
    value = plain(value)
    if isinstance(value, dict):
        return dump(value).decode()
    match KINDS[type]:
        case Kind.STRING:
            escaped = value.replace("\\", "\\\\").replace("'", "\\'")
            return f"'{escaped}'"
        case Kind.BOOLEAN:
            return "true" if value else "false"
        case Kind.DATE:
            return f"@{value}"
        case Kind.DATETIME:
            return f"@{value}" if "T" in value else f"@{value}T"
        case Kind.TIME:
            return f"@T{value}"
        case Kind.DECIMAL:
            return f"{value:f}"
    return str(value)


def rows() -> Iterator[Any]:
    for file in ("operators.txt", "functions.txt", "resources.txt"):
        for number, line in enumerate((CASES / file).read_text(encoding="utf-8").splitlines(), 1):
            if not line or line.startswith(("#", "//")):
                continue
            expression, _, result = line.rpartition(" -> ")
            name, colon, rest = expression.partition(": ")
            resource, expression = (name, rest) if colon and name in RESOURCES else ("", expression)
            yield pytest.param(resource, expression, result, id=f"{file}:{number}: {expression}")


ROWS = list(rows())


def result_of(resource: str, expression: str) -> str:
    found = nodes_or_error(resource, expression)
    if isinstance(found, FhirPathError):
        assert 0 <= found.position <= len(expression)
        assert found.message[-1] in ".?"
        return "error"
    return ", ".join(written(node) for node in found) or "{}"


def nodes_or_error(resource: str, expression: str) -> list[Node] | FhirPathError:
    try:
        return ENGINE.evaluate(expression, RESOURCES[resource], now=NOW, variables=VARIABLES)
    except FhirPathError as error:
        return error


def test_the_tables_are_as_long_as_promised() -> None:
    assert len(ROWS) >= 500
    assert len({(row.values[0], row.values[1]) for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize(("resource", "expression", "result"), ROWS)
def test_an_expression_has_its_result(resource: str, expression: str, result: str) -> None:
    assert result_of(resource, expression) == result
