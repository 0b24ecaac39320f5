"""What reaches widely tells nothing of what is hidden: compartments by mentions, current lists, labels, batches of reads, `$closure`, `$validate`.

Two worlds again: hidden records mention visible patients, carry their labels, define what visible ones claim, and contain what they contain.

https://hl7.org/fhir/R4/security.html#access-denied
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.access.conftest import observation
from tests.access.test_search_leaks import Worlds
from tests.access.test_search_leaks import worlds as worlds
from tests.access.worlds import found, told

WHO = ("doctor", "anna", "laboratory")
TAG = {"system": "urn:tag", "code": "study"}
SECRET = "urn:code:secret"
Record = dict[str, Any]


def labelled(record: Record) -> Record:
    return {**record, "meta": {"tag": [TAG], "profile": ["urn:profile:one"], "source": "urn:source:one"}}


def shown() -> Iterator[Record]:
    yield labelled(observation("wide-anna", "anna", performer=[{"reference": "Patient/anna"}]))
    yield {
        "resourceType": "Condition",
        "id": "wide-anna",
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "subject": {"reference": "Patient/anna"},
        "recorder": {"reference": "Practitioner/doctor"},
    }


def kept_back() -> Iterator[Record]:
    for number in range(4):
        yield labelled(observation(f"wide-boris-{number}", "boris", performer=[{"reference": "Patient/anna"}]))
    yield {
        "resourceType": "Condition",
        "id": "wide-boris",
        "clinicalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
        },
        "code": {"coding": [{"system": SECRET, "code": "x"}]},
        "subject": {"reference": "Patient/boris"},
        "asserter": {"reference": "Patient/anna"},
    }
    yield {
        "resourceType": "AllergyIntolerance",
        "id": "wide-boris",
        "clinicalStatus": {
            "coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}
            ]
        },
        "patient": {"reference": "Patient/boris"},
        "recorder": {"reference": "Patient/anna"},
    }
    yield {
        "resourceType": "Provenance",
        "id": "wide-boris",
        "target": [{"reference": "Observation/wide-boris-0"}],
        "recorded": "2026-01-02T00:00:00Z",
        "agent": [{"who": {"reference": "Patient/anna"}}],
    }


@pytest.fixture(scope="module")
async def wide(worlds: Worlds) -> Worlds:
    """The two worlds with what reaches from one patient to another."""
    for record in (*shown(), *kept_back()):
        await worlds.full.open.put(record)
    for record in shown():
        await worlds.bare.open.put(record)
    return worlds


SEARCHES = [
    "/Patient/anna/Observation?_count=1",
    "/Patient/anna/Observation?_total=accurate&_summary=count",
    "/Patient/anna/Observation?_sort=-_lastUpdated&_count=2",
    "/Patient/anna/*?_count=3",
    "/Patient/anna/*?_type=Condition,AllergyIntolerance,Provenance",
    "/Patient/boris/*",
    "/Patient/boris/Observation?performer=Patient/anna",
    "/Observation?performer=Patient/anna&_count=1",
    "/Observation?performer:Patient.name=Karenina",
    "/AllergyIntolerance?recorder=Patient/anna",
    "/Condition?asserter=Patient/anna&_total=accurate",
    "/Patient?_has:Condition:asserter:code=x",
    "/Patient?_has:AllergyIntolerance:recorder:_list=$current-allergies",
    "/Condition?_list=$current-problems&_count=1",
    "/AllergyIntolerance?_list=$current-allergies",
    "/Patient?_has:Condition:patient:_list=$current-problems",
    "/Patient?_id=anna&_revinclude=*&_count=1",
    "/Patient?_id=anna&_revinclude:iterate=*&_include:iterate=*",
    "/Observation?_tag=urn:tag|study&_count=1",
    "/Observation?_tag:not=urn:tag|study&_summary=count",
    "/Observation?_profile=urn:profile:one&_summary=count",
    "/Observation?_source=urn:source:one&_sort=_id",
    "/Observation?_tag=study&_profile:below=urn:profile&_count=1",
    "/?_tag=study&_type=Observation,Condition&_count=1",
    "/Observation?_contained=both&_tag=study&_count=1",
    "/Observation?_contained=true&_containedType=contained&performer=Patient/anna",
    "/Observation?_filter=performer eq Patient/anna and _tag eq study",
    "/Observation/$lastn?patient=Patient/boris&max=1",
    "/Observation?code:in=urn:none",
    "/Observation/$validate?mode=profile&profile=urn:profile:one",
]


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("path", SEARCHES)
async def test_wide_searches_are_the_same_with_and_without_the_hidden(wide: Worlds, who: str, path: str) -> None:
    await wide.same(who, path)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("type", ["batch", "transaction"])
async def test_reads_in_a_bundle_are_the_same_too(wide: Worlds, who: str, type: str) -> None:
    urls = [
        "metadata",
        *(path[1:] for path in SEARCHES if "$" not in path),
        "Observation/wide-boris-0",
        "Patient/boris",
    ]
    full, bare = wide.tokens[who]
    for chosen in [urls] if type == "batch" else [[url] for url in urls[::3]]:
        bundle = {
            "resourceType": "Bundle",
            "type": type,
            "entry": [{"request": {"method": "GET", "url": each}} for each in chosen],
        }
        answers = [
            told(await world.asks(token, "POST", "", json=bundle))
            for world, token in ((wide.full, full), (wide.bare, bare))
        ]
        assert answers[0] == answers[1]


async def test_what_is_hidden_is_there(wide: Worlds) -> None:
    """The worlds do differ, for those who may see it."""
    answer = await wide.full.open("GET", "/Patient/anna/Observation?_tag=study")
    assert "Observation/wide-boris-0" in found(answer)
