"""Tags that are put on while others update: none is lost, whoever comes first.

https://hl7.org/fhir/R4/resource.html#tag-updates
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.integration.serving import Server

WRITERS = 12


def patient(id: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, **more}


async def test_a_tag_that_is_put_on_meanwhile_is_carried_forward_too(server: Server, new_id: str) -> None:
    """Each writer tags the resource with a name of its own, and says nothing of those of the others."""
    await server.put(patient(new_id))

    async def write(number: int) -> httpx.Response:
        tagged = patient(new_id, meta={"tag": [{"code": f"t{number}"}]})
        if number % 3:
            return await server("PUT", f"/Patient/{new_id}", json=tagged)
        entry = {"resource": tagged, "request": {"method": "PUT", "url": f"Patient/{new_id}"}}
        return await server("POST", "", json={"resourceType": "Bundle", "type": "transaction", "entry": [entry]})

    answers = await asyncio.gather(*(write(number) for number in range(WRITERS)))
    assert {answer.status_code for answer in answers} == {200}
    tags = (await server("GET", f"/Patient/{new_id}")).json()["meta"]["tag"]
    assert sorted(tag["code"] for tag in tags) == sorted(f"t{number}" for number in range(WRITERS))


async def test_a_transaction_carries_forward_what_each_of_its_updates_leaves_out(server: Server, new_id: str) -> None:
    ids = [f"{new_id}-{number}" for number in range(40)]
    await server.put_all(
        patient(id, **({"meta": {"tag": [{"code": id}]}} if number % 2 else {})) for number, id in enumerate(ids)
    )
    await server.put_all(patient(id, active=True, meta={"tag": [{"code": "new"}]}) for id in ids)
    for number, id in enumerate(ids):
        found = (await server("GET", f"/Patient/{id}")).json()
        assert found["active"]
        assert [tag["code"] for tag in found["meta"]["tag"]] == (["new", id] if number % 2 else ["new"])
        assert found["meta"]["versionId"] == "2"
