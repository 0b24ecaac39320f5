"""Profiles: a table of them, of resources, and of what is said; and HL7's own, whose snapshots HL7 made.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fhirserver.definitions import load, load_terminology
from fhirserver.terminology import Catalogue, Parsed
from fhirserver.terminology.knowledge import Known
from fhirserver.validation import Validator
from fhirserver.validation.conformance import session

TABLE = json.loads(Path(__file__).with_name("profiles.json").read_text("utf-8"))
ROWS = TABLE["rows"]
VALIDATOR = Validator(load())
PARSED = Parsed()


class Shelf(Known):
    """What R4 knows, and profiles besides."""

    def __init__(self, profiles: Mapping[str, Any]) -> None:
        super().__init__(Catalogue(load_terminology(), PARSED, alone=True))
        self._shelf = {each["url"]: each for each in profiles.values()}

    def profile(self, canonical: str) -> Mapping[str, Any] | None:
        return self._shelf.get(canonical) or super().profile(canonical)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_resource_is_held_against_its_profiles(row: dict[str, Any]) -> None:
    name, resource = row["profile"], row["resource"]
    asked = [] if name is None else [name if ":" in name else f"urn:p:{name}"]
    assert [each for each in VALIDATOR.validate(resource) if each.severity == "error"] == []
    found = VALIDATOR.conformance(resource, [], Shelf(TABLE["profiles"]), asked)
    assert [[each.severity, each.expression] for each in found] == [each[:2] for each in row["issues"]]
    for issue, (_, _, text) in zip(found, row["issues"], strict=True):
        assert text in issue.diagnostics


@pytest.mark.parametrize("name", [name for name in TABLE["profiles"] if name != "no-ids"])  # which R4 wants to have ids
def test_a_profile_of_the_table_is_one_that_can_be_stored(name: str) -> None:
    issues = VALIDATOR.validate(TABLE["profiles"][name], resource_type="StructureDefinition")
    assert [each for each in issues if each.severity == "error"] == []


def identifiers(count: int) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:none"}] * count}


def profile_of(*elements: dict[str, Any]) -> dict[str, Any]:
    name = TABLE["profiles"]["slices"]
    return {**name, "url": "urn:p:costly", "differential": {"element": list(elements)}}


def slices(count: int) -> list[dict[str, Any]]:
    path, by = "Patient.identifier", {"type": "value", "path": "system"}
    made: list[dict[str, Any]] = [{"id": path, "path": path, "slicing": {"discriminator": [by], "rules": "open"}}]
    for each in range(count):
        made.append({"id": f"{path}:s{each}", "path": path, "sliceName": f"s{each}"})
        made.append({"id": f"{path}:s{each}.system", "path": f"{path}.system", "fixedUri": f"urn:{each}"})
    return made


def rules(count: int) -> list[dict[str, Any]]:
    expression = "%resource.identifier.count() > 0"
    asked = [{"key": f"k-{each}", "severity": "error", "expression": expression} for each in range(count)]
    return [{"id": "Patient.identifier", "path": "Patient.identifier", "constraint": asked}]


PATTERN = {"given": [f"g{each}" for each in range(1_000)]}
COSTLY = {
    "slices": (slices(400), identifiers(1_000)),
    "invariants": (rules(20), identifiers(2_000)),
    "patterns": (
        [{"id": "Patient.name", "path": "Patient.name", "patternHumanName": PATTERN}],
        {"resourceType": "Patient", "name": [{"given": ["x"] * 999 + ["g0"]}] * 200},
    ),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_what_takes_too_much_is_ended_and_said(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "MAX_STEPS", session.MAX_STEPS // 20)
    elements, resource = COSTLY[kind]
    found = VALIDATOR.conformance(resource, [], Shelf({"costly": profile_of(*elements)}), ["urn:p:costly"])
    assert [(each.severity, each.code) for each in found if each.code == "too-costly"] == [("warning", "too-costly")]
    # The end is the end: it is not come to again and again.
    assert len([each for each in found if "could not be evaluated" in each.diagnostics]) <= 1


def test_names_are_given_once() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS)
