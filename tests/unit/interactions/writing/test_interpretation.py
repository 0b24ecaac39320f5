"""The interpretation that the server derives: only where there is nothing to weigh.

https://hl7.org/fhir/R4/observation.html#interpretation
"""

from __future__ import annotations

from typing import Any

import pytest

from fhirserver.interactions.writing.interpretation import TAG, interpreted
from fhirserver.model.json import dump, parse

GL = {"unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"}
NORMAL = "http://terminology.hl7.org/CodeSystem/referencerange-meaning"


def quantity(value: Any, **more: Any) -> dict[str, Any]:
    return {"value": value, **GL, **more}


def result(value: Any, *ranges: dict[str, Any], **more: Any) -> dict[str, Any]:
    sent = {"resourceType": "Observation", "id": "o", "status": "final", "code": {}, "referenceRange": list(ranges)}
    made: dict[str, Any] = parse(dump(sent | {"valueQuantity": value} | more))
    return made


def code(resource: dict[str, Any]) -> str | None:
    found = interpreted(resource)
    if found is resource:
        return None
    assert found["meta"]["tag"][-1] == TAG
    [concept] = found["interpretation"]
    return str(concept["coding"][0]["code"])


RANGE = {"low": quantity(120), "high": quantity(160)}
TABLE = [
    (119.9, RANGE, "L"),
    (120, RANGE, "N"),
    (140.55, RANGE, "N"),
    (160, RANGE, "N"),
    (160.01, RANGE, "H"),
    (1, {"low": quantity(2)}, "L"),
    (3, {"low": quantity(2)}, "N"),
    (1, {"high": quantity(2)}, "N"),
    (-3, {"low": quantity(-2.5)}, "L"),
    (5, {"high": quantity(2), "type": {"coding": [{"system": NORMAL, "code": "normal"}]}}, "H"),
]


@pytest.mark.parametrize(("value", "range", "expected"), TABLE)
def test_a_plain_number_beside_a_range_in_its_unit_is_interpreted(value: Any, range: Any, expected: str) -> None:
    assert code(result(quantity(value), range)) == expected


def test_units_without_a_code_are_compared_as_they_are_written() -> None:
    assert code(result({"value": 5, "unit": "U"}, {"high": {"value": 4, "unit": "U"}})) == "H"
    assert code(result({"value": 5, "unit": "U"}, {"high": {"value": 4, "unit": "mU"}})) is None


LEFT_ALONE: dict[str, dict[str, Any]] = {
    "no range": result(quantity(5)),
    "a range in words": result(quantity(5), {"text": "below 4"}),
    "two ranges": result(quantity(5), RANGE, RANGE),
    "a range for treatment": result(
        quantity(5), RANGE | {"type": {"coding": [{"system": NORMAL, "code": "treatment"}]}}
    ),
    "a range of a meaning in words": result(quantity(5), RANGE | {"type": {"text": "normal"}}),
    "a range with a modifier": result(quantity(5), RANGE | {"modifierExtension": [{"url": "x"}]}),
    "another unit": result({"value": 5, "code": "mg/L", "system": GL["system"]}, RANGE),
    "a bound without a unit": result(quantity(5), {"low": {"value": 3}}),
    "a comparator": result(quantity(5, comparator="<"), RANGE),
    "a bound with a comparator": result(quantity(5), {"high": quantity(4, comparator="<")}),
    "a range the wrong way round": result(quantity(5), {"low": quantity(9), "high": quantity(3)}),
    "no number": result({"unit": "g/L"}, RANGE),
    "one of the laboratory's": result(quantity(5), RANGE, interpretation=[{"text": "as expected"}]),
    "one that is absent with a reason": result(quantity(5), RANGE, _interpretation=[{"extension": []}]),
    "a cancelled result": result(quantity(5), RANGE, status="cancelled"),
    "a result entered in error": result(quantity(5), RANGE, status="entered-in-error"),
}


@pytest.mark.parametrize("what", LEFT_ALONE)
def test_everything_else_is_left_alone(what: str) -> None:
    assert code(LEFT_ALONE[what]) is None


def test_what_was_derived_is_derived_anew_and_other_tags_stay() -> None:
    other = {"system": "urn:x", "code": "y"}
    first = interpreted(result(quantity(170), RANGE, meta={"tag": [other]}))
    assert first["meta"]["tag"] == [other, TAG]
    again = interpreted(first | {"valueQuantity": quantity(150)})
    assert again["interpretation"][0]["coding"][0]["code"] == "N"
    assert again["meta"]["tag"] == [other, TAG]
    without = interpreted(first | {"referenceRange": []})
    assert "interpretation" not in without
    assert without["meta"] == {"tag": [other]}
    alone = interpreted(result(quantity(170), RANGE)) | {"referenceRange": []}
    assert "meta" not in interpreted(alone)
