"""A Consent that would not do what it says is refused, by every way it could come in; what the operator brings in fails closed.

https://hl7.org/fhir/R4/consent.html
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Any

import httpx
import pytest

from fhirserver.settings import Settings
from tests.access.conftest import World, consent, observation
from tests.access.worlds import told
from tests.integration.serving import FHIR, Server, serving
from tests.unit.access.security.test_consent import OPT_OUT

PATCH = {"Content-Type": "application/json-patch+json"}
ACTOR = "Practitioner/stranger"
HL7 = "http://terminology.hl7.org/CodeSystem"
RESEARCH = {"purpose": [{"system": f"{HL7}/v3-ActReason", "code": "HRESCH"}]}
WIDER: dict[str, dict[str, Any]] = {
    "purpose": RESEARCH,
    "class": {"class": [{"system": "http://hl7.org/fhir/resource-types", "code": "Observation"}]},
    "code": {"code": [{"coding": [{"system": "http://loinc.org", "code": "718-7"}]}]},
    "securityLabel": {"securityLabel": [{"system": f"{HL7}/v3-Confidentiality", "code": "N"}]},
    "data": {"data": [{"meaning": "instance", "reference": {"reference": "Observation/1"}}]},
    "dataPeriod": {"dataPeriod": {"start": "2024"}},
    "action": {"action": [{"coding": [{"system": f"{HL7}/consentaction", "code": "correct"}]}]},
    "provision": {"provision": [{"type": "permit", **RESEARCH}]},
    "modifierExtension": {"modifierExtension": [{"url": "http://example.org/x", "valueBoolean": True}]},
}
"""Elements of R4 that are not evaluated."""


def made(patient: str, id: str = "x", **changes: Any) -> dict[str, Any]:
    """A Consent of hers, without an id where it is to be created."""
    found = consent(id, patient, ACTOR, **changes)
    return found if id != "x" else {name: value for name, value in found.items() if name != "id"}


def bundle(type: str, *entries: tuple[str, str, Any]) -> dict[str, Any]:
    """A Bundle of these requests."""
    each = [{"request": {"method": method, "url": url}, "resource": body} for method, url, body in entries]
    return {"resourceType": "Bundle", "type": type, "entry": each}


async def herself(world: World, name: str) -> str:
    """A patient's token."""
    return await world.token(f"Patient/{name}", "patient/*.cruds", patient=name)


@pytest.mark.parametrize("effect", ["permit", "deny"])
@pytest.mark.parametrize("element", WIDER)
async def test_what_is_not_evaluated_is_refused_with_its_place(world: World, element: str, effect: str) -> None:
    """D5, CS-25: from the patient and from the registry alike; without effect it is stored."""
    given = made("consenting", provision={"type": effect, **WIDER[element]})
    registry = await world.token("Organization/laboratory", "system/Consent.cruds")
    for token in (await herself(world, "consenting"), registry):
        refused = await world.asks(token, "POST", "/Consent", json=given)
        assert refused.status_code == 422
        [issue] = refused.json()["issue"]
        assert (issue["code"], issue["expression"]) == ("not-supported", [f"Consent.provision.{element}"])
        for status in ("proposed", "inactive"):
            kept = await world.asks(token, "POST", "/Consent", json=given | {"status": status})
            assert kept.status_code == 201, kept.text


async def test_no_door_lets_it_in(world: World) -> None:
    """From no effect to effect by whatever way; the answer of each is the same refusal."""
    patient = await herself(world, "doors")
    bad = made("doors", "doors-1", provision=RESEARCH)
    await world.open.put(bad | {"status": "inactive"})
    activate = [{"op": "replace", "path": "/status", "value": "active"}]
    new = {name: value for name, value in bad.items() if name != "id"}
    for method, path, options in (
        ("POST", "/Consent", {"json": new}),
        ("POST", "/Consent", {"json": new, "headers": {"If-None-Exist": "identifier=urn:x|none"}}),
        ("PUT", "/Consent/doors-1", {"json": bad}),
        ("PUT", "/Consent?_id=doors-1", {"json": bad}),
        ("PUT", "/Consent?identifier=urn:x|none", {"json": new}),
        ("PATCH", "/Consent/doors-1", {"json": activate, "headers": PATCH}),
        ("PATCH", "/Consent?_id=doors-1", {"json": activate, "headers": PATCH}),
        ("POST", "", {"json": bundle("transaction", ("POST", "Consent", new))}),
        ("POST", "", {"json": bundle("transaction", ("PUT", "Consent/doors-1", bad))}),
    ):
        answer = await world.asks(patient, method, path, **options)
        assert answer.status_code == 422, (method, path, answer.text)
        assert answer.json()["issue"][0]["expression"][0].endswith("provision.purpose")
    batch = (await world.asks(patient, "POST", "", json=bundle("batch", ("POST", "Consent", new)))).json()
    assert batch["entry"][0]["response"]["status"].startswith("422")
    rehearsed = await world.asks(patient, "POST", "/Consent/$validate?mode=create", json=new)
    assert [each["code"] for each in rehearsed.json()["issue"] if each["severity"] == "error"] == ["not-supported"]
    hers = await world.asks(patient, "GET", "/Consent?patient=Patient/doors")
    assert [each["resource"]["status"] for each in hers.json()["entry"]] == ["inactive"]


async def test_what_is_in_force_and_over_or_not_yet_given_is_refused(world: World) -> None:
    patient = await herself(world, "dates")
    for given, expression in (
        (made("dates", dateTime="2099-01-01"), "Consent.dateTime"),
        (made("dates", provision={"period": {"end": "2025-12-31"}}), "Consent.provision.period.end"),
    ):
        refused = await world.asks(patient, "POST", "/Consent", json=given)
        assert refused.status_code == 422
        assert refused.json()["issue"][0]["expression"] == [expression]
        kept = await world.asks(patient, "POST", "/Consent", json=given | {"status": "inactive"})
        assert kept.status_code == 201


@pytest.mark.parametrize("element", WIDER)
async def test_what_the_operator_brings_in_fails_closed(world: World, stranger: str, element: str) -> None:
    """CS-25: a permit with it permits nobody, a deny with it denies whom it may mean, and then the permit beside it."""
    await world.open.put(observation("closed-1", "closed"))
    bad = made("closed", "closed-bad", provision=WIDER[element])
    good = made("closed", "closed-good")
    for stored, status in (
        ([bad, good | {"status": "inactive"}], 404),
        ([bad | {"status": "inactive"}, good], 200),
        ([made("closed", "closed-bad", provision={"type": "deny", **WIDER[element]}), good], 404),
    ):
        await world.open.put_all(stored)
        assert (await world.asks(stranger, "GET", "/Observation/closed-1")).status_code == status


async def test_who_opts_out_is_hidden(world: World, stranger: str) -> None:
    """CS-23: the base policy denies, whatever a provision without a type was to say; that one is refused from her."""
    await world.open.put_all([observation("out-1", "out"), made("out", "out-permit")])
    patient = await herself(world, "out")
    assert (await world.asks(stranger, "GET", "/Observation/out-1")).status_code == 200
    opts_out = {name: value for name, value in made("out").items() if name != "provision"} | {"policyRule": OPT_OUT}
    created = await world.asks(patient, "POST", "/Consent", json=opts_out)
    assert created.status_code == 201
    assert (await world.asks(stranger, "GET", "/Observation/out-1")).status_code == 404
    ended = created.json() | {"status": "inactive"}
    assert (await world.asks(patient, "PUT", f"/Consent/{ended['id']}", json=ended)).status_code == 200
    assert (await world.asks(stranger, "GET", "/Observation/out-1")).status_code == 200
    untyped = opts_out | {"provision": {"period": {"start": "2020"}}}
    assert (await world.asks(patient, "POST", "/Consent", json=untyped)).status_code == 422
    await world.open.put(untyped | {"id": "out-untyped"})
    assert (await world.asks(stranger, "GET", "/Observation/out-1")).status_code == 404


SPELLINGS = ("Patient/full", f"{FHIR}/Patient/full", "Patient/full/_history/1")


async def test_no_more_are_in_force_than_may_be(world: World) -> None:
    """CS-30: two hundred of one patient, however she is named; what is hidden from a system is not counted for it."""
    patient = await herself(world, "full")
    first = await world.token("Organization/laboratory", "system/Consent.cruds system/Patient.crus")
    second = await world.token("Organization/elsewhere", "system/Consent.cruds")
    await world.open.put(
        {"resourceType": "Patient", "id": "full", "identifier": [{"system": "urn:x", "value": "full"}]}
    )
    one = made("full")
    by_criteria = one | {"patient": {"reference": "Patient?identifier=urn:x|full"}}
    many = [("POST", "Consent", one | {"patient": {"reference": SPELLINGS[n % 3]}}) for n in range(201)]
    refused = await world.asks(first, "POST", "", json=bundle("transaction", *many))
    assert refused.status_code == 422
    [issue] = refused.json()["issue"]
    assert (issue["code"], issue["expression"]) == ("too-costly", ["Bundle.entry[200].resource.status"])
    assert "200" in issue["diagnostics"]
    done = await world.asks(first, "POST", "", json=bundle("transaction", *many[:200]))
    assert done.status_code == 200
    location = done.json()["entry"][0]["response"]["location"].removeprefix(f"{FHIR}/").split("/_history")[0]
    waiting = (await world.asks(patient, "POST", "/Consent", json=one | {"status": "inactive"})).json()
    activate = [{"op": "replace", "path": "/status", "value": "active"}]

    doors: tuple[tuple[str, str, dict[str, Any]], ...] = (
        *(("POST", "/Consent", {"json": one | {"patient": {"reference": each}}}) for each in SPELLINGS),
        ("POST", "/Consent", {"json": one, "headers": {"If-None-Exist": "identifier=urn:x|none"}}),
        ("PUT", f"/Consent/{waiting['id']}", {"json": waiting | {"status": "active"}}),
        ("PUT", f"/Consent?_id={waiting['id']}", {"json": waiting | {"status": "active"}}),
        ("PATCH", f"/Consent/{waiting['id']}", {"json": activate, "headers": PATCH}),
        ("PATCH", f"/Consent?_id={waiting['id']}", {"json": activate, "headers": PATCH}),
        ("POST", "", {"json": bundle("transaction", many[0])}),
        ("POST", "", {"json": bundle("transaction", ("POST", "Consent", by_criteria))}),
        # Of another scope it has no effect, and is read with the others all the same.
        ("POST", "/Consent", {"json": one | {"scope": {"text": "research"}}}),
    )
    for method, path, options in doors:
        answer = await world.asks(patient, method, path, **options)
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "too-costly"), (method, path)
    batch = await world.asks(patient, "POST", "", json=bundle("batch", many[0], ("POST", "Consent", waiting)))
    assert [each["response"]["status"][:3] for each in batch.json()["entry"]] == ["422", "201"]
    rehearsed = await world.asks(patient, "POST", "/Consent/$validate?mode=create", json=one)
    assert "too-costly" in [each["code"] for each in rehearsed.json()["issue"]]

    # The first is told of its own. To the second her two hundred are as none.
    assert (await world.asks(first, "POST", "/Consent", json=one)).status_code == 422
    of_nobody = await world.asks(second, "POST", "/Consent", json=made("empty"))
    of_her = await world.asks(second, "POST", "/Consent", json=one)
    assert (of_her.status_code, of_nobody.status_code) == (201, 201)
    assert [name for name, _ in told(of_her)[2]] == [name for name, _ in told(of_nobody)[2]]

    # One that is in force may be changed and ended; then there is room for another, twice: she sees the second's as well.
    stored = (await world.asks(first, "GET", f"/{location}")).json()
    assert (await world.asks(first, "PUT", f"/{location}", json=stored | {"language": "ru"})).status_code == 200
    ended = stored | {"status": "inactive"}
    assert (await world.asks(patient, "PUT", f"/{location}", json=ended)).status_code == 200
    assert (await world.asks(patient, "POST", "/Consent", json=one)).status_code == 422
    assert (await world.asks(second, "DELETE", f"/Consent/{of_her.json()['id']}")).status_code == 204
    assert (await world.asks(patient, "POST", "/Consent", json=one)).status_code == 201
    # The operator has no bound.
    await world.open.put(made("full", "full-operator"))


@pytest.fixture
async def bounded(_settings: Settings) -> AsyncIterator[tuple[Server, Server]]:
    """Two servers of one database, in Vladivostok, by whose setting five Consents of a patient may be in force."""
    settings = replace(_settings, auth="smart", consents_per_patient=5, time_zone="Asia/Vladivostok")
    async with serving(settings) as one, serving(settings) as other:
        yield one, other


async def test_writers_at_the_same_time_do_not_pass_the_bound_together(
    world: World, bounded: tuple[Server, Server]
) -> None:
    """By every way in."""
    patient = await herself(world, "crowd")
    given = made("crowd")

    def write(number: int) -> Coroutine[Any, Any, httpx.Response]:
        server, headers = bounded[number % 2], {"Authorization": f"Bearer {patient}"}
        if number % 3 == 0:
            return server("POST", "", json=bundle("transaction", ("POST", "Consent", given)), headers=headers)
        if number % 3 == 1:
            headers["If-None-Exist"] = f"identifier=urn:crowd|{number}"
        return server("POST", "/Consent", json=given, headers=headers)

    answers = await asyncio.gather(*(write(number) for number in range(24)))
    statuses = Counter(answer.status_code for answer in answers)
    assert (statuses[200] + statuses[201], statuses[422]) == (5, 19)
    stored = await world.asks(patient, "GET", "/Consent?patient=Patient/crowd&_summary=count")
    assert stored.json()["total"] == 5


async def test_days_are_those_of_the_servers_place(world: World, bounded: tuple[Server, Server]) -> None:
    """CS-33: where it is day ten hours sooner, this one would be over before it begins."""
    patient = await herself(world, "days")
    given = made("days", provision={"period": {"start": "2099-06-01T22:00:00Z", "end": "2099-06-01"}})
    refused = await bounded[0]("POST", "/Consent", json=given, headers={"Authorization": f"Bearer {patient}"})
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["expression"] == ["Consent.provision.period"]
    assert (await world.asks(patient, "POST", "/Consent", json=given)).status_code == 201
