"""The setting `referential_integrity`: what a resource refers to exists, and what is referred to stays.

It is off unless it is asked for: a laboratory's results do not wait for the patient's record.

https://hl7.org/fhir/R4/references.html and https://hl7.org/fhir/R4/http.html#delete
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from fhirserver.settings import Settings
from tests.integration.serving import FHIR, Server, serving

Row = dict[str, Any]


@pytest.fixture(scope="module")
async def strict(settings: Settings) -> AsyncIterator[Server]:
    """A server with the setting on."""
    async with serving(replace(settings, referential_integrity=True)) as running:
        yield running


def to(reference: str) -> Row:
    return {"reference": reference}


def observation(id: str, **elements: Any) -> Row:
    return {"resourceType": "Observation", "id": id, "status": "final", "code": {"text": "a"}, **elements}


def patient(id: str, **elements: Any) -> Row:
    return {"resourceType": "Patient", "id": id, **elements}


REFERRING: list[tuple[str, Row]] = [
    ("in an element", {"subject": to("Patient/{id}")}),
    ("on our own base", {"subject": to(f"{FHIR}/Patient/{{id}}")}),
    ("to a version", {"subject": to("Patient/{id}/_history/1")}),
    ("in a list", {"performer": [to("Patient/{id}")]}),
    ("in an extension", {"extension": [{"url": "http://x.example", "valueReference": to("Patient/{id}")}]}),
    (
        "in a contained resource",
        {"contained": [{"resourceType": "Specimen", "id": "s", "subject": to("Patient/{id}")}], "specimen": to("#s")},
    ),
]


def filled(value: Any, id: str) -> Any:
    if isinstance(value, str):
        return value.replace("{id}", id)
    if isinstance(value, list):
        return [filled(each, id) for each in value]
    return {name: filled(each, id) for name, each in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("elements", [row[1] for row in REFERRING], ids=[row[0] for row in REFERRING])
async def test_a_target_has_to_exist_and_then_stays(strict: Server, new_id: str, elements: Row) -> None:
    """On every way to write it; and whatever element holds the reference."""
    sent = observation(new_id, **filled(elements, new_id))
    missing = await strict("PUT", f"/Observation/{new_id}", json=sent)
    assert missing.status_code == 422
    assert missing.json()["issue"][0]["diagnostics"] == "The resource refers to one that does not exist."
    assert (await strict("GET", f"/Observation/{new_id}")).status_code == 404
    assert (await strict("POST", "/Observation", json=sent)).status_code == 422

    await strict.put(patient(new_id))
    await strict.put(sent)
    refused = await strict("DELETE", f"/Patient/{new_id}")
    assert refused.status_code == 409
    assert refused.json()["issue"][0]["diagnostics"] == "Another resource refers to this one; it cannot be deleted."
    assert (await strict("GET", f"/Patient/{new_id}")).headers["etag"] == 'W/"1"'

    assert (await strict("DELETE", f"/Observation/{new_id}")).status_code == 204
    assert (await strict("DELETE", f"/Patient/{new_id}")).status_code == 204
    assert (await strict("PUT", f"/Observation/{new_id}", json=sent)).status_code == 422


@pytest.mark.parametrize(
    "subject",
    [
        to("https://other.example/fhir/Patient/1"),
        to("urn:uuid:7c1d1c3c-3f0a-4d9c-9a46-1d5b6f3c6a11"),
        {"identifier": {"system": "http://x.example", "value": "1"}},
        {"display": "somebody"},
    ],
    ids=["another server's", "a URN", "a logical one", "only a text"],
)
async def test_what_is_not_ours_is_not_asked_for(strict: Server, new_id: str, subject: Row) -> None:
    await strict.put(observation(new_id, subject=subject))


async def test_without_the_setting_nothing_is_asked(server: Server, new_id: str) -> None:
    await server.put(observation(new_id, subject=to(f"Patient/{new_id}")))
    await server.put(patient(new_id))
    assert (await server("DELETE", f"/Patient/{new_id}")).status_code == 204


async def test_a_resource_may_refer_to_itself(strict: Server, new_id: str) -> None:
    link = [{"other": to(f"Patient/{new_id}"), "type": "seealso"}]
    await strict.put(patient(new_id, link=link))
    assert (await strict("DELETE", f"/Patient/{new_id}")).status_code == 204


async def test_an_update_that_carries_tags_forward_is_asked_as_well(strict: Server, new_id: str) -> None:
    path, tag = f"/Observation/{new_id}", {"system": "urn:t", "code": "kept"}
    await strict.put(observation(new_id, meta={"tag": [tag]}))
    changed = await strict("PUT", path, json=observation(new_id, issued="2026-01-01T00:00:00Z"))
    assert (changed.status_code, changed.json()["meta"]["tag"]) == (200, [tag])
    lost = observation(new_id, subject=to(f"Patient/{new_id}"))
    assert (await strict("PUT", path, json=lost)).status_code == 422
    assert (await strict("GET", path)).json()["meta"]["versionId"] == "2"


async def test_a_patch_is_asked_as_well(strict: Server, new_id: str) -> None:
    await strict.put(observation(new_id))
    body = [{"op": "add", "path": "/subject", "value": to(f"Patient/{new_id}")}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert (await strict("PATCH", f"/Observation/{new_id}", json=body, headers=headers)).status_code == 422
    await strict.put(patient(new_id))
    assert (await strict("PATCH", f"/Observation/{new_id}", json=body, headers=headers)).status_code == 200


def bundle(*requests: tuple[str, str, Row | None], type: str = "transaction") -> Row:
    """A Bundle of requests."""
    entries = [
        {"request": {"method": method, "url": url}, **({"resource": resource} if resource else {})}
        for method, url, resource in requests
    ]
    return {"resourceType": "Bundle", "type": type, "entry": entries}


async def test_what_one_transaction_makes_may_refer_to_each_other(strict: Server, new_id: str) -> None:
    about = observation(new_id, subject=to(f"Patient/{new_id}"))
    made = bundle(("PUT", f"Observation/{new_id}", about), ("PUT", f"Patient/{new_id}", patient(new_id)))
    assert (await strict("POST", "", json=made)).status_code == 200
    half = await strict("POST", "", json=bundle(("DELETE", f"Patient/{new_id}", None)))
    assert half.status_code == 409
    assert half.json()["issue"][0]["expression"] == ["Bundle.entry[0]"]
    both = bundle(("DELETE", f"Patient/{new_id}", None), ("DELETE", f"Observation/{new_id}", None))
    assert (await strict("POST", "", json=both)).status_code == 200


async def test_a_transaction_with_a_missing_target_changes_nothing(strict: Server, new_id: str) -> None:
    about = observation(new_id, subject=to(f"Patient/{new_id}"))
    sent = bundle(
        ("PUT", f"Patient/{new_id}-other", patient(f"{new_id}-other")), ("PUT", f"Observation/{new_id}", about)
    )
    refused = await strict("POST", "", json=sent)
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["expression"] == ["Bundle.entry[1]"]
    assert (await strict("GET", f"/Patient/{new_id}-other")).status_code == 404


async def test_a_conditional_delete_is_asked_as_well(strict: Server, new_id: str) -> None:
    system = f"http://x.example/{new_id}"
    await strict.put(patient(new_id, identifier=[{"system": system, "value": "1"}]))
    await strict.put(observation(new_id, subject=to(f"Patient/{new_id}")))
    assert (await strict("DELETE", f"/Patient?identifier={system}|1")).status_code == 409


@pytest.mark.parametrize("rounds", [25, pytest.param(400, marks=pytest.mark.slow)])
async def test_a_deletion_and_a_reference_never_both_win(strict: Server, settings: Settings, rounds: int) -> None:
    """In two processes at once, as far as the database can tell: neither sees in its snapshot what the other writes."""
    async with serving(replace(settings, referential_integrity=True)) as other:
        decided = 0
        for _ in range(rounds):
            id = f"race-{uuid.uuid4().hex[:12]}"
            await strict.put(patient(id))
            about = observation(id, subject=to(f"Patient/{id}"))
            wrote, deleted = await asyncio.gather(
                strict("PUT", f"/Observation/{id}", json=about), other("DELETE", f"/Patient/{id}")
            )
            codes = wrote.status_code, deleted.status_code
            assert codes in {(201, 409), (422, 204)} or 503 in codes
            # Who was told to come again, on a machine that stood still meanwhile, may have won all the same.
            stored = [(await strict("GET", each)).status_code for each in (f"/Observation/{id}", f"/Patient/{id}")]
            assert stored != [200, 410]
            decided += 503 not in codes
        assert decided > rounds * 0.9


async def test_many_may_refer_to_one_at_once(strict: Server, new_id: str) -> None:
    await strict.put(patient(new_id))
    about = [observation(f"{new_id}-{number}", subject=to(f"Patient/{new_id}")) for number in range(60)]
    answers = await asyncio.gather(*(strict("PUT", f"/Observation/{each['id']}", json=each) for each in about))
    assert {answer.status_code for answer in answers} == {201}


async def test_the_statement_says_so(strict: Server, server: Server) -> None:
    for each, enforced in ((strict, True), (server, False)):
        resource = (await each("GET", "/metadata")).json()["rest"][0]["resource"][0]
        assert ("enforced" in resource["referencePolicy"]) is enforced
