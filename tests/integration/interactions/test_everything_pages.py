"""Pages of `$everything`: they hold as much as was asked for, and together what is there, each resource once.

https://hl7.org/fhir/R4/operation-patient-everything.html
"""

from __future__ import annotations

import pytest

from tests.integration.serving import BASE, Server

CODED = {"text": "x"}
OF_TYPE = {"Communication": 1, "CommunicationRequest": 2, "Condition": 3, "DetectedIssue": 2, "Observation": 3}
"""Neighbours, which are looked at side by side, and one far from them."""


async def _record(server: Server, patient: str) -> None:
    await server.put({"resourceType": "Patient", "id": patient})
    reference = {"reference": f"Patient/{patient}"}
    rest = {
        "Communication": {"subject": reference, "status": "completed"},
        "CommunicationRequest": {"subject": reference, "status": "active"},
        "Condition": {"subject": reference},
        "DetectedIssue": {"patient": reference, "status": "final"},
        "Observation": {"subject": reference, "status": "final", "code": CODED},
    }
    for resource_type, count in OF_TYPE.items():
        for number in range(count):
            await server.put({"resourceType": resource_type, "id": f"{patient}-{number}", **rest[resource_type]})


async def _pages(server: Server, path: str) -> list[list[str]]:
    pages = []
    while path:
        answer = await server("GET", path)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        found = [each for each in bundle.get("entry", ()) if each["search"]["mode"] == "match"]
        pages.append([f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in found])
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        path = links.get("next", "").removeprefix(f"{BASE}/fhir")
    return pages


@pytest.mark.parametrize("count", range(1, 14))
async def test_pages_are_full_and_hold_each_resource_once(server: Server, new_id: str, count: int) -> None:
    await _record(server, new_id)
    (whole,) = await _pages(server, f"/Patient/{new_id}/$everything")
    assert len(whole) == len(set(whole)) == 1 + sum(OF_TYPE.values())
    pages = await _pages(server, f"/Patient/{new_id}/$everything?_count={count}")
    assert [resource for page in pages for resource in page] == whole
    assert all(len(page) == count for page in pages[:-1])
    assert 0 < len(pages[-1]) <= count
