"""Contained resources tell nothing of what is hidden: who does not see the container does not see, count or find what is in it.

Two worlds again: in one there are containers, of visible and of hidden patients, in the other the visible ones alone. What is contained
has the same codes, names and numbers in both.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.access.conftest import observation
from tests.access.test_search_leaks import Worlds
from tests.access.test_search_leaks import worlds as worlds
from tests.access.worlds import NUMBER, found, told

Record = dict[str, Any]
WHO = ("doctor", "anna", "laboratory")


def drug(id: str, code: str, maker: str = "Organization/laboratory") -> Record:
    coding = {"coding": [{"system": "urn:drug", "code": code}]}
    return {"resourceType": "Medication", "id": id, "code": coding, "manufacturer": {"reference": maker}}


def prescription(id: str, patient: str, *inside: Record, type: str = "MedicationRequest") -> Record:
    intent = {"intent": "order"} if type == "MedicationRequest" else {}
    return {
        "resourceType": type,
        "id": id,
        "status": "completed",
        **({"effectiveDateTime": "2026-01-02"} if type == "MedicationAdministration" else {}),
        **intent,
        "subject": {"reference": f"Patient/{patient}"},
        "medicationReference": {"reference": f"#{inside[0]['id']}"},
        "contained": list(inside),
    }


def panel(id: str, patient: str, inner: str, **more: Any) -> Record:
    """An Observation of a patient with an Observation of a patient in it."""
    return observation(id, patient, hasMember=[{"reference": "#part"}], contained=[observation("part", inner, **more)])


def shown() -> Iterator[Record]:
    yield prescription("anna-0", "anna", drug("m", "x"))
    yield prescription(
        "anna-1", "anna", drug("m", "y", "#o"), {"resourceType": "Organization", "id": "o", "name": "Own"}
    )
    yield prescription("anna-2", "anna", drug("m", "x"), type="MedicationStatement")
    yield panel("anna-in", "anna", "anna", hasMember=[{"reference": "Observation/boris-0"}])
    yield {"resourceType": "Medication", "id": "whole", "code": {"coding": [{"system": "urn:drug", "code": "x"}]}}


def kept_back() -> Iterator[Record]:
    """Boris's; Anna's in which something is Boris's; what is nobody's; and a type of which there is nothing else."""
    for number in range(3):
        yield prescription(f"boris-{number}", "boris", drug("m", "x"))
    yield prescription(
        "boris-3", "boris", drug("m", "z", "#o"), {"resourceType": "Organization", "id": "o", "name": "Own"}
    )
    yield prescription("boris-4", "boris", drug("m", "x"), type="MedicationAdministration")
    yield panel("boris-in", "boris", "boris")
    yield panel("both-in", "anna", "boris")
    named = {
        "resourceType": "Patient",
        "id": "p",
        "name": [{"family": "Godunov"}],
        "identifier": [{"system": NUMBER, "value": "2"}],
    }
    yield {**observation("nobody-in", "anna", contained=[named]), "subject": {"reference": "#p"}}
    yield {
        "resourceType": "List",
        "id": "in-list",
        "status": "current",
        "mode": "working",
        "entry": [{"item": {"reference": "#m"}}],
        "contained": [drug("m", "x")],
    }


@pytest.fixture(scope="module")
async def filled(worlds: Worlds) -> Worlds:
    for world, records in ((worlds.full, (*shown(), *kept_back())), (worlds.bare, tuple(shown()))):
        for record in records:
            await world.open.put(record)
    for world in (worlds.full, worlds.bare):
        gone = prescription("gone", "anna", drug("m", "x"))
        await world.open.put(gone)
        assert (await world.open("DELETE", "/MedicationRequest/gone")).status_code == 204
    return worlds


CASES = {
    "SC-03": [
        *(f"/Medication?code=x&_contained={which}&_count=1" for which in ("true", "both")),
        *(f"/Medication?code=x&_contained={which}&_containedType=contained&_count=1" for which in ("true", "both")),
        "/Observation?_contained=true&_count=1",
    ],
    "SC-04": [
        "/Medication?code=x&_contained=true&_summary=count",
        "/Medication?code=x,z&_contained=both&_containedType=contained&_summary=count",
        "/Medication?_contained=both&_total=accurate&_count=2",
        "/Medication?_contained=true&_total=estimate&_count=0",
    ],
    "SC-05": [
        "/Medication?_contained=true&_sort=-_lastUpdated&_count=1",
        "/Medication?_contained=both&_containedType=contained&_sort=_lastUpdated&_count=2",
        "/Observation?_contained=both&_sort=-_lastUpdated&_count=3",
    ],
    "SC-08": [
        "/Medication?code=z&_contained=both",
        "/Patient?name=Godunov&_contained=true",
        f"/Patient?identifier={NUMBER}|2&_contained=true&_containedType=contained",
        "/Patient?_has:MedicationRequest:patient:medication.code=x",
        "/Patient?_has:Observation:patient:has-member.code=718-7",
        "/Patient?_has:MedicationAdministration:patient:medication.code=x",
    ],
    "SC-10": [
        "/MedicationRequest?medication.code=x",
        "/MedicationRequest?medication.code=z",
        "/MedicationRequest?medication.manufacturer.name=own",
        "/MedicationAdministration?medication.code=x",
        "/Observation?has-member.code=718-7&_total=accurate",
        "/Observation?has-member.subject:Patient.name=Godunov",
        "/Observation?subject:Patient.name=Godunov",
        "/Observation?has-member.has-member.code=718-7",
        "/Observation?has-member.code=718-7&_contained=true",
        "/Observation?has-member.code:not=718-7&_contained=true",
        "/Observation?patient.name=Godunov&_contained=true",
        "/Organization?name=own&_contained=true&_total=accurate",
        "/Medication?manufacturer.name=own&_contained=both",
        "/Medication?manufacturer.name=laboratory&_contained=true&_count=1",
    ],
    "SC-11": [
        "/Medication?_filter=code eq x or manufacturer.name eq own&_contained=true",
        "/Medication?_filter=not (code eq y)&_contained=true&_containedType=contained",
        "/MedicationRequest?_filter=not (medication.code eq x)",
        "/MedicationRequest?_filter=medication[code eq z].manufacturer.name eq own",
        *(f"/Observation?value-quantity={each}&_contained=true" for each in ("gt100", "118", "lt5")),
    ],
    "SC-34": [
        "/Observation?subject=Patient/boris&_contained=true",
        "/Observation?patient=boris&code=718-7&_contained=both",
        "/Observation?patient=anna&_contained=both&_containedType=contained",
        "/Patient?_contained=both",
        "/Patient?_contained=true&_containedType=contained&_elements=name",
        "/Patient/anna/Observation?has-member.code=718-7",
        "/Patient/boris/MedicationRequest?medication.code=x",
    ],
    "SC-36": [
        "/Medication?code=x&_contained=true&_containedType=contained&_elements=code",
        "/Medication?code=x&_contained=both&_summary=text",
        "/Medication?code=x&_contained=both&_summary=true&_format=xml",
        "/Medication?code=x&_contained=true&_lastUpdated=ge2020",
    ],
    "SC-40": [
        "/Medication?_contained=true&_sort=code",
        "/Medication?_contained=true&_has:List:item:_id=in-list",
        "/Medication?_contained=nonsense",
        "/Slot?_contained=true",
        "/Patient/boris/Observation?_contained=true",
    ],
}


@pytest.mark.parametrize("row", CASES)
async def test_what_is_hidden_changes_no_byte(filled: Worlds, row: str) -> None:
    """By the rows of the matrix of leaks."""
    for who in WHO:
        for path in CASES[row]:
            assert await filled.same(who, path) in (200, 400, 403), path


async def test_the_cases_would_find_what_is_hidden(filled: Worlds) -> None:
    """The operator finds more in the full world than in the bare one, nearly everywhere."""
    paths = [path for row, paths in CASES.items() if row != "SC-40" for path in paths if "xml" not in path]
    more = 0
    for path in paths:
        counts = []
        for world in (filled.full, filled.bare):
            answer = await world.open("GET", f"{path}&_total=accurate" if "_total" not in path else path)
            assert answer.status_code == 200, (path, answer.text)
            counts.append(answer.json()["total"])
        more += counts[0] > counts[1]
    assert more > 0.7 * len(paths)


async def test_what_is_visible_is_found(filled: Worlds) -> None:
    token = filled.tokens["doctor"][0]
    hers = ["MedicationRequest/anna-0", "MedicationStatement/anna-2"]
    assert found(await filled.full.asks(token, "GET", "/Medication?code=x&_contained=true")) == hers
    assert found(await filled.full.asks(token, "GET", "/MedicationRequest?medication.code=x")) == hers[:1]
    alone = await filled.full.asks(token, "GET", "/Observation?patient=anna&_contained=true&_containedType=contained")
    assert [each["fullUrl"].rpartition("/fhir/")[2] for each in alone.json()["entry"]] == ["Observation/anna-in#part"]


async def test_a_type_out_of_reach_contains_nothing_and_is_contained_by_nothing(filled: Worlds) -> None:
    """SC-09: the token has to reach what is contained, and what is not reached holds nothing."""
    world = filled.full
    paths = {
        "user/Medication.rs user/MedicationStatement.rs": ["MedicationStatement/anna-2"],
        "user/Medication.rs user/MedicationRequest.r": [],
        "user/Medication.rs user/MedicationRequest.s": [],
        "user/Medication.rs": [],
        "user/MedicationRequest.rs": None,
        "user/Medication.r user/MedicationRequest.rs": None,
    }
    for scope, hers in paths.items():
        token = await world.token("Practitioner/doctor", scope, role="PractitionerRole/doctor")
        answer = await world.asks(token, "GET", "/Medication?code=x&_contained=true")
        if hers is None:
            assert answer.status_code == 403, scope
        else:
            assert found(answer) == hers, scope


@pytest.mark.parametrize("path", ["/Medication?code=x&_contained=true", "/Organization?_contained=both"])
async def test_a_search_that_the_gate_narrowed_is_refused(
    filled: Worlds, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Less would be found, and nobody told."""
    services = filled.full.gated.application.services
    assert services is not None
    monkeypatch.setattr(services.gate, "_max_owners", 0)
    answer = await filled.full.asks(filled.tokens["doctor"][0], "GET", path)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "too-costly")


async def test_a_page_of_one_is_no_page_of_another(filled: Worlds) -> None:
    """SC-37, and SC-38: the next page is decided anew."""
    world = filled.full
    answer = await world.asks(filled.tokens["doctor"][0], "GET", "/Medication?code=x&_contained=true&_count=1")
    following = next(each["url"] for each in answer.json()["link"] if each["relation"] == "next").partition("/fhir")[2]
    assert (await world.asks(filled.tokens["anna"][0], "GET", following)).status_code == 400
    consent = (await world.open("GET", "/Consent/anna-clinic")).json()
    await world.open.put({**consent, "status": "inactive"})
    try:
        assert found(await world.asks(filled.tokens["doctor"][0], "GET", following)) == []
    finally:
        await world.open.put(consent)


async def test_criteria_do_not_go_into_what_is_hidden(filled: Worlds) -> None:
    """SC-18: as zero matches, and nothing is done to what is hidden."""
    for path in ("/MedicationRequest?medication.code=z", "/Observation?has-member.subject:Patient._id=boris"):
        for who in ("doctor", "laboratory"):
            tokens = filled.tokens[who]
            answers = [
                told(await world.asks(token, "DELETE", path))
                for world, token in zip((filled.full, filled.bare), tokens, strict=True)
            ]
            assert answers[0] == answers[1], path
    assert (await filled.full.open("GET", "/MedicationRequest/boris-3")).status_code == 200
    assert (await filled.full.open("GET", "/Observation/boris-in")).status_code == 200


# By chance

TYPES = {
    "Medication": ("code=x", "code=z", "code:not=x", "code:missing=false", "manufacturer.name=own", "_id=m", ""),
    "Observation": (
        "code=718-7",
        "patient=boris",
        "patient.name=Godunov",
        "value-quantity=gt7",
        "has-member.code=718-7",
    ),
    "Organization": ("name=own", "name:contains=o", "_id=o", "partof.name=Trust"),
    "Patient": ("name=Godunov", "identifier=2", "gender:missing=true", "_filter=name co odun"),
}


async def test_made_up_searches_tell_nothing(filled: Worlds) -> None:
    chance = random.Random(7)
    for _ in range(20):
        resource_type = chance.choice(list(TYPES))
        asked = [each for each in chance.sample(TYPES[resource_type], chance.randint(1, 2)) if each]
        asked.append(f"_contained={chance.choice(('true', 'both'))}")
        asked += chance.sample(
            (
                "_containedType=contained",
                "_count=1",
                "_count=2",
                "_total=accurate",
                "_sort=-_lastUpdated",
                "_summary=true",
            ),
            2,
        )
        if sum(each.startswith("_count") for each in asked) > 1:
            asked.pop()
        path = f"/{resource_type}?{'&'.join(asked)}"
        assert await filled.same(chance.choice((*WHO, "narrow")), path) in (200, 403), path
