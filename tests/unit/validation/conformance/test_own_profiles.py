"""This server's own profiles: the demonstration keeps them, and a table of records that leave one of their rules each.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fhirserver.cli.demo import bundles
from fhirserver.definitions import load, load_terminology, own_profiles, shipped
from fhirserver.model.json import parse
from fhirserver.model.json_patch import JsonPatch
from fhirserver.model.outcome import Issue
from fhirserver.terminology import Catalogue, Parsed
from fhirserver.terminology.knowledge import Known
from fhirserver.validation import Validator

ROWS = json.loads(Path(__file__).with_name("own.json").read_text("utf-8"))["rows"]
SITE = "https://fhirserver.example/"
VALIDATOR = Validator(load())
PARSED = Parsed()
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FILES = sorted(shipped("profiles").glob("*/*.json"))
LIKE_ANOTHER = 25
"""One slot in so many is looked at: there are two thousand, and they differ in little."""

Resource = dict[str, Any]


@cache
def seed() -> dict[str, Resource]:
    return {entry["request"]["url"]: entry["resource"] for bundle in bundles() for entry in bundle["entry"]}


def profile_for(resource: Resource) -> str:
    """The profile on the type; of the two on Observation, the one of its category."""
    found = own_profiles(resource["resourceType"])
    if len(found) > 1:
        lab = resource["category"][0]["coding"][0]["code"] == "laboratory"
        found = [each for each in found if each.endswith("lab") == lab]
    (url,) = found
    return url


def judged(resource: Resource, url: str) -> list[Issue]:
    known = Known(Catalogue(load_terminology(), PARSED, alone=True))
    return VALIDATOR.conformance(resource, [], known, [url], NOW)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_shipped_is_valid_and_found_by_its_url(path: Path) -> None:
    resource = parse(path.read_bytes())
    assert [each for each in VALIDATOR.validate(resource) if each.severity == "error"] == []
    kind, id = resource["resourceType"], resource["id"]
    assert (path.stem, resource["url"]) == (f"{kind}-{id}", f"{SITE}{kind}/{id}")
    assert load_terminology().of(kind)[resource["url"]] == resource
    errors = [
        each for each in judged(resource, f"http://hl7.org/fhir/StructureDefinition/{kind}") if each.severity == "error"
    ]
    assert errors == []


def test_the_eight_types_have_profiles() -> None:
    eight = (
        "Appointment",
        "Consent",
        "Coverage",
        "Immunization",
        "MedicationRequest",
        "Observation",
        "Patient",
        "Slot",
    )
    assert [each for each in eight if not own_profiles(each)] == []
    assert own_profiles("Basic") == []


def test_the_demonstration_keeps_them() -> None:
    """Nothing of it is an error, and no rule is left undecided."""
    chosen = [each for each in seed().values() if own_profiles(each["resourceType"])]
    slots = [each for each in chosen if each["resourceType"] == "Slot"]
    others = [each for each in chosen if each["resourceType"] != "Slot"]
    for each in [*others, *slots[::LIKE_ANOTHER], *(slot for slot in slots if "extension" in slot)]:
        found = judged(each, profile_for(each))
        assert [one for one in found if one.severity == "error" or one.code == "not-supported"] == [], each["id"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_rule_that_is_left_is_said(row: dict[str, Any]) -> None:
    resource = JsonPatch.read(row["patch"]).apply(deepcopy(seed()[row["of"]]))
    assert [each for each in VALIDATOR.validate(resource) if each.severity == "error"] == []
    url = f"{SITE}StructureDefinition/{row['profile']}" if "profile" in row else profile_for(seed()[row["of"]])
    found = [each for each in judged(resource, url) if f"the profile {SITE}" in each.diagnostics]
    said = sorted(((each.severity, each.expression, each.diagnostics) for each in found), key=str)
    assert [[severity, place] for severity, place, _ in said] == [each[:2] for each in sorted(row["issues"])]
    for (_, _, sentence), (_, _, text) in zip(said, sorted(row["issues"]), strict=True):
        assert text in sentence


def test_every_rule_has_a_row() -> None:
    """Each key of a rule is met by the table."""
    elements = [
        element for path in FILES for element in parse(path.read_bytes()).get("differential", {}).get("element", ())
    ]
    keys = {rule["key"] for element in elements for rule in element.get("constraint", ())}
    met = {text for row in ROWS for _, _, text in row["issues"]}
    assert keys - met == {"ru-app-3"}  # R4 itself refuses a booked appointment without its beginning
