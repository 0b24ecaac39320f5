"""Criteria of conditional interactions that follow references: decided on what is stored, in the transaction that writes.

https://hl7.org/fhir/R4/http.html#ccreate and https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.integration.serving import Server


def observation(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": subject},
        **more,
    }


def transaction(*entries: tuple[str, str, dict[str, Any] | None, str | None]) -> dict[str, Any]:
    """A transaction of entries: method, address, resource, `ifNoneExist`."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "request": {"method": method, "url": url, **({"ifNoneExist": criteria} if criteria else {})},
                **({"resource": resource} if resource else {}),
            }
            for method, url, resource, criteria in entries
        ],
    }


async def patient(server: Server, id: str) -> None:
    await server.put({"resourceType": "Patient", "id": id, "identifier": [{"system": "urn:x", "value": id}]})


async def create(server: Server, id: str, criteria: str) -> httpx.Response:
    return await server("POST", "/Observation", json=observation(f"Patient/{id}"), headers={"If-None-Exist": criteria})


async def test_a_chained_criterion_makes_one(server: Server, new_id: str) -> None:
    await patient(server, new_id)
    criteria = f"patient.identifier=urn:x|{new_id}&code=718-7"
    assert [(await create(server, new_id, criteria)).status_code for _ in range(3)] == [201, 200, 200]


async def test_a_reverse_chain_says_which_is_updated(server: Server, new_id: str) -> None:
    await patient(server, new_id)
    await server.put({**observation(f"Patient/{new_id}"), "id": new_id})
    answer = await server(
        "PUT", f"/Patient?_has:Observation:patient:_id={new_id}", json={"resourceType": "Patient", "active": True}
    )
    assert (answer.status_code, answer.json()["id"]) == (200, new_id)
    assert (await server("DELETE", f"/Observation?subject:Patient.identifier=urn:x|{new_id}")).status_code == 204
    assert (await server("GET", f"/Observation/{new_id}")).status_code == 200


async def test_two_entries_of_one_criterion_make_one(server: Server, new_id: str) -> None:
    """What the first entry is about to write is seen by the second."""
    await patient(server, new_id)
    entry = ("POST", "Observation", observation(f"Patient/{new_id}"), f"patient.identifier=urn:x|{new_id}")
    answer = await server("POST", "", json=transaction(entry, entry))
    assert answer.status_code == 200, answer.text
    assert [each["response"]["status"][:3] for each in answer.json()["entry"]] == ["201", "200"]
    found = await server("GET", f"/Observation?patient={new_id}&_total=accurate")
    assert found.json()["total"] == 1


async def test_a_chained_conditional_reference_leads_to_one(server: Server, new_id: str) -> None:
    await server.put({"resourceType": "Organization", "id": new_id, "name": new_id})
    await server.put(
        {"resourceType": "Patient", "id": new_id, "managingOrganization": {"reference": f"Organization/{new_id}"}}
    )
    entry = ("POST", "Observation", observation(f"Patient?organization.name={new_id}"), None)
    answer = await server("POST", "", json=transaction(entry))
    assert answer.status_code == 200, answer.text
    found = await server("GET", f"/Observation?patient={new_id}&_summary=count")
    assert found.json()["total"] == 1


@pytest.mark.parametrize(
    "entries",
    [
        [
            ("POST", "Patient", {"resourceType": "Patient"}, None),
            ("POST", "Observation", observation("Patient/x"), "patient.identifier=urn:x|none"),
        ],
        [
            ("DELETE", "Patient/none", None, None),
            ("DELETE", "Observation?patient.identifier=urn:x|none", None, None),
        ],
        [("POST", "Observation", observation("Patient?_has:Observation:patient:code=none"), None)],
    ],
    ids=["created", "deleted", "its own"],
)
async def test_what_a_step_goes_through_is_not_written_beside(server: Server, entries: list[Any]) -> None:
    """It would be decided by what is there before, and not by the state that the transaction makes."""
    answer = await server("POST", "", json=transaction(*entries))
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0]["code"] == "not-supported"
