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


def test_names_are_given_once() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS)
