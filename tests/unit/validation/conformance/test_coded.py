"""Codes beyond what refuses a write, and what R4's pages ask besides: tables of resources, and what is said of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhirserver.definitions import load, load_terminology
from fhirserver.terminology import Asked, Catalogue, Parsed
from fhirserver.terminology.catalogue import MAX_WANTED
from fhirserver.terminology.knowledge import Known
from fhirserver.validation import Validator
from fhirserver.validation.conformance import Nothing

ROWS = json.loads(Path(__file__).with_name("coded.json").read_text("utf-8"))["rows"]
PROSE = json.loads(Path(__file__).with_name("prose.json").read_text("utf-8"))["rows"]
VALIDATOR = Validator(load())
PARSED = Parsed()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_codes_are_judged_by_what_is_known_of_them(row: dict[str, Any]) -> None:
    known = Known(Catalogue(load_terminology(), PARSED, alone=True))
    found = VALIDATOR.conformance(row["resource"], [], known)
    assert [[each.severity, each.expression] for each in found] == [each[:2] for each in row["issues"]]
    for issue, (_, _, text) in zip(found, row["issues"], strict=True):
        assert text in issue.diagnostics


@pytest.mark.parametrize("row", PROSE, ids=lambda row: row["name"])
def test_bundles_and_attachments_are_judged_by_what_r4s_pages_ask(row: dict[str, Any]) -> None:
    assert [each for each in VALIDATOR.validate(row["resource"]) if each.severity == "error"] == []
    found = VALIDATOR.conformance(row["resource"], [], Nothing())
    assert [[each.severity, each.expression] for each in found] == [each[:2] for each in row["issues"]]
    for issue, (_, _, text) in zip(found, row["issues"], strict=True):
        assert text in issue.diagnostics


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_without_knowledge_nothing_is_said_of_codes(row: dict[str, Any]) -> None:
    found = VALIDATOR.conformance(row["resource"], [], Nothing())
    assert [each for each in found if "has no code with its system" not in each.diagnostics] == []


def test_a_store_is_asked_once_for_what_is_not_r4s_own_and_no_more_than_its_bound() -> None:
    asked: list[str] = []

    def find(each: Asked) -> None:
        asked.append(each.url)

    def observation(count: int) -> dict[str, Any]:
        coding = [{"system": f"urn:{number}", "code": "x"} for number in range(count)]
        return {"resourceType": "Observation", "status": "final", "code": {"coding": [*coding, *coding]}}

    known = Known(Catalogue(load_terminology(), PARSED, find=find))
    assert VALIDATOR.conformance(observation(3), [], known) == []
    assert asked == ["urn:0", "urn:1", "urn:2"]
    assert not known.is_exhausted
    VALIDATOR.conformance(observation(2 * MAX_WANTED), [], known)
    assert len(asked) == MAX_WANTED
    assert known.is_exhausted
