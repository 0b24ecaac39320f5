"""R4's own value sets against HL7's expansions of them, which travel with the official examples.

HL7's tool left out codes that only group others, and codes that were deprecated by then; this server leaves them in unless the
request says otherwise, and says of each what it is. Every other difference stands in a list with its reason.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from fhirserver.definitions import load_terminology
from fhirserver.model.outcome import FhirError
from fhirserver.terminology import Catalogue, Member, Parsed, value_set
from fhirserver.terminology.expansion import display_of

EXAMPLES = os.environ.get("FHIRSERVER_EXAMPLES")
PARSED = Parsed()

ELSEWHERE = {
    "http://snomed.info/sct": "SNOMED CT is not in R4's package",
    "http://loinc.org": "LOINC is not in R4's package",
    "http://hl7.org/fhir/sid/cvx": "vaccine codes are not in R4's package",
    "http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem": "IHE's format codes are not in R4's package",
    "http://hl7.org/fhir/CodeSystem/task-code|3.6.0": "R4 names a version that it does not have",
    "http://terminology.hl7.org/CodeSystem/program": "R4 has examples of it only",
    "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason": "R4 has examples of it only",
    "http://terminology.hl7.org/CodeSystem/service-category": "R4 has examples of it only",
    "http://terminology.hl7.org/CodeSystem/service-type": "R4 has examples of it only",
    "http://terminology.hl7.org/CodeSystem/insurance-plan-type": "R4 has a fragment of it only",
    "http://unitsofmeasure.org": "units are made by a grammar; HL7 lists some",
    "urn:ietf:bcp:13": "media types are made by a grammar",
    "http://dicom.nema.org/medical/dicom/current/output/chtml/part16/sect_CID_29.html": "the value set is not in R4's package",
}
DIFFERENT = {
    "http://hl7.org/fhir/ValueSet/c80-doc-typecodes": "HL7 shows the first 1,000 of 6,401",
    "http://hl7.org/fhir/ValueSet/detectedissue-category": "second parents, stated by the property `child`, count here",
    "http://terminology.hl7.org/ValueSet/v3-ActPharmacySupplyType": "second parents, stated by the property `child`, count here",
    "http://hl7.org/fhir/ValueSet/currencies": "currencies that were made or withdrawn since R4",
}

pytestmark = pytest.mark.skipif(EXAMPLES is None, reason="FHIRSERVER_EXAMPLES does not name HL7's examples")


@cache
def official() -> dict[str, dict[tuple[str, str], dict[str, Any]]]:
    """The expansions by the value set's URL: each code with its entry."""
    assert EXAMPLES is not None
    with tarfile.open(EXAMPLES) as archive:
        source = archive.extractfile("package/Bundle-valueset-expansions.json")
        assert source is not None
        bundle = json.load(source)
    resources = [each["resource"] for each in bundle["entry"]]
    return {
        each["url"]: {(entry["system"], entry["code"]): entry for entry in flat(each["expansion"].get("contains", []))}
        for each in resources
    }


def flat(contains: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in contains:
        if "code" in each:
            yield each
        yield from flat(each.get("contains", []))


def members(url: str) -> dict[tuple[str, str], Member]:
    found = value_set(Catalogue(load_terminology(), PARSED, alone=True), url).members()
    return {(each.system, each.code): each for each in found}


def expanded(url: str) -> tuple[dict[tuple[str, str], Member], str | None]:
    """The codes, or why there are none."""
    try:
        return members(url), None
    except FhirError as error:
        return {}, error.issues[0].diagnostics


def is_left_out(member: Member) -> bool:
    concept = member.concept
    return concept is not None and (concept.is_abstract or concept.is_inactive or concept.has("status", "deprecated"))


def test_r4s_value_sets_expand_as_hl7_expanded_them() -> None:
    equal = missing = 0
    for url, entries in official().items():
        found, reason = expanded(url)
        if reason is not None:
            missing += 1
            assert [system for system in ELSEWHERE if f"'{system}'" in reason], (url, reason)
            continue
        if url in DIFFERENT:
            continue
        # Nothing is lost, save for the order; what HL7 left out is only what is said above.
        assert entries.keys() <= found.keys(), url
        assert [key for key, each in found.items() if key not in entries and not is_left_out(each)] == [], url
        assert [key for key in found if key in entries] == list(entries), url
        equal += 1
    assert (len(official()), equal, missing) == (553, 488, 61)


def test_they_are_shown_as_hl7_shows_them() -> None:
    for url, entries in official().items():
        found, _ = expanded(url)
        shown = {key: display_of(each) for key, each in found.items() if key in entries}
        assert [
            (key, display)
            for key, display in shown.items()
            # Displays of other publishers' codes are not shipped.
            if display is not None and display != entries[key].get("display", key[1])
        ] == [], url


def test_the_differences_are_what_is_said_of_them() -> None:
    assert len(members("http://hl7.org/fhir/ValueSet/c80-doc-typecodes")) == 6_401
    for url in list(DIFFERENT)[1:3]:
        extra = [each for key, each in members(url).items() if key not in official()[url] and not is_left_out(each)]
        assert extra
        for each in extra:
            catalogue = Catalogue(load_terminology(), PARSED, alone=True)
            system = catalogue.code_system(each.system)
            assert system is not None
            above = system.hierarchy.ancestors(each.code)
            assert any(
                child in above
                for code in above
                if (concept := system.concepts.get(code)) is not None
                for child in concept.values("child")
            ), each.code
