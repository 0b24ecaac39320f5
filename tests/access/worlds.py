"""Two worlds: one database with records that a doctor, a patient and a laboratory may not see, and one where these never were.

Whatever they ask, both worlds give the same bytes, times and the sealed parts of page links apart. Hidden records share names,
codes, values and references with visible ones, and point to them and are pointed to by them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx

from tests.access.conftest import World, consent, observation

LOINC = "http://loinc.org"
NUMBER = "urn:oid:1.2.643.100.3"
_TIMES = re.compile(rb'"lastUpdated":"[^"]*"|<lastUpdated value="[^"]*"')
_CURSORS = re.compile(rb"_cursor=[^\"&]*")
_UNTOLD = ("date", "x-request-id", "content-length")


def visible() -> Iterator[dict[str, Any]]:
    """The clinic, its doctor, and Anna, who permits the clinic."""
    yield {"resourceType": "Organization", "id": "trust", "name": "Trust"}
    yield {"resourceType": "Organization", "id": "clinic", "name": "Clinic", "partOf": _to("Organization/trust")}
    yield {"resourceType": "Organization", "id": "laboratory", "name": "Laboratory"}
    yield {"resourceType": "Practitioner", "id": "doctor", "name": [{"family": "Doctor"}]}
    yield {"resourceType": "Practitioner", "id": "surgeon", "name": [{"family": "Surgeon"}]}
    yield {
        "resourceType": "PractitionerRole",
        "id": "doctor",
        "active": True,
        "practitioner": _to("Practitioner/doctor"),
        "organization": _to("Organization/clinic"),
    }
    yield {
        "resourceType": "Patient",
        "id": "anna",
        "name": [{"family": "Karenina", "given": ["Anna"]}],
        "gender": "female",
        "birthDate": "1980-05-01",
        "identifier": [{"system": NUMBER, "value": "1"}],
        "managingOrganization": _to("Organization/clinic"),
        "generalPractitioner": [_to("Practitioner/doctor")],
        "link": [{"other": _to("Patient/boris"), "type": "seealso"}],
    }
    yield consent("anna-clinic", "anna", "Organization/clinic")
    for number, value in enumerate((118, 7.2, 140)):
        yield _result(f"anna-{number}", "anna", value, number)
    yield _result("anna-panel", "anna", 1, 4, hasMember=[_to("Observation/anna-0"), _to("Observation/boris-0")])
    yield {
        "resourceType": "DiagnosticReport",
        "id": "anna-report",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "58410-2"}]},
        "subject": _to("Patient/anna"),
        "performer": [_to("Organization/laboratory")],
        "result": [_to(f"Observation/{each}") for each in ("anna-0", "boris-0", "boris-2", "both-0")],
        "effectiveDateTime": "2026-01-05",
    }
    yield {
        "resourceType": "Encounter",
        "id": "anna-visit",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": _to("Patient/anna"),
        "participant": [{"individual": _to("Practitioner/doctor")}],
        "period": {"start": "2026-01-02"},
    }


def hidden() -> Iterator[dict[str, Any]]:
    """Boris, who permits nobody; what belongs to both; lists and groups of the operator's."""
    yield {
        "resourceType": "Patient",
        "id": "boris",
        "name": [{"family": "Karenina", "given": ["Boris"]}, {"family": "Godunov"}],
        "gender": "male",
        "birthDate": "1970-01-01",
        "identifier": [{"system": NUMBER, "value": "2"}],
        "managingOrganization": _to("Organization/clinic"),
        "generalPractitioner": [_to("Practitioner/surgeon"), _to("Practitioner/doctor")],
        "link": [{"other": _to("Patient/anna"), "type": "seealso"}],
    }
    for number, value in enumerate((7.2, 118, 500)):
        more = {"performer": [_to("Practitioner/surgeon")], "encounter": _to("Encounter/boris-visit")}
        yield _result(f"boris-{number}", "boris", value, number, **more)
    yield _result("boris-panel", "boris", 2, 5, hasMember=[_to("Observation/anna-0"), _to("Observation/anna-1")])
    yield _result("both-0", "anna", 7.2, 6, performer=[_to("Patient/boris")], focus=[_to("Patient/boris")])
    yield {
        "resourceType": "Condition",
        "id": "boris-ill",
        "subject": _to("Patient/boris"),
        "code": {"coding": [{"system": "urn:icd", "code": "B20"}]},
    }
    yield {
        "resourceType": "Encounter",
        "id": "boris-visit",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": _to("Patient/boris"),
        "participant": [{"individual": _to("Practitioner/surgeon")}],
        "period": {"start": "2026-01-03"},
    }
    members = ("Patient/anna", "Patient/boris", "Observation/anna-0", "Observation/boris-0", "Practitioner/surgeon")
    yield {
        "resourceType": "List",
        "id": "secret",
        "status": "current",
        "mode": "working",
        "title": "secret",
        "entry": [{"item": _to(each)} for each in members],
    }
    yield {
        "resourceType": "Group",
        "id": "secret",
        "type": "person",
        "actual": True,
        "member": [{"entity": _to("Patient/anna")}, {"entity": _to("Patient/boris")}],
    }
    yield {
        "resourceType": "Provenance",
        "id": "boris-made",
        "target": [_to("Observation/boris-0"), _to("Patient/boris")],
        "recorded": "2026-01-02T00:00:00Z",
        "agent": [{"who": _to("Practitioner/surgeon")}],
    }


def told(answer: httpx.Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that an answer tells, times and the sealed parts of its links apart."""
    headers = sorted((name, value) for name, value in answer.headers.items() if name not in _UNTOLD)
    return answer.status_code, _CURSORS.sub(b"_cursor=", _TIMES.sub(b"", answer.content)), headers


def found(answer: httpx.Response) -> list[str]:
    """`Type/id` of every resource of a searchset, outcomes apart."""
    assert answer.status_code == 200, answer.text
    resources = [each["resource"] for each in answer.json().get("entry", ()) if each["search"]["mode"] != "outcome"]
    return [f"{each['resourceType']}/{each['id']}" for each in resources]


async def pages(
    world: World, token: str, path: str, *, most: int = 6
) -> list[tuple[int, bytes, list[tuple[str, str]]]]:
    """What the pages tell, one after the other as their links lead."""
    answers = []
    following: str | None = path
    while following is not None and len(answers) < most:
        answer = await world.asks(token, "GET", following)
        answers.append(told(answer))
        is_json = answer.status_code == 200 and answer.headers["content-type"].startswith("application/fhir+json")
        links = answer.json().get("link", ()) if is_json else ()
        following = next((each["url"].partition("/fhir")[2] for each in links if each["relation"] == "next"), None)
    return answers


def _to(reference: str) -> dict[str, str]:
    return {"reference": reference}


def _result(id: str, patient: str, value: float, day: int, **more: Any) -> dict[str, Any]:
    given = {
        "valueQuantity": {"value": value, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"},
        "effectiveDateTime": f"2026-01-0{day + 1}",
        "performer": [_to("Organization/laboratory")],
    }
    return observation(id, patient, **(given | more))
