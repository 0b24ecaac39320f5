"""Ways round the gate that were tried through the front door. Each names the attacker and what she hopes for.

Also tried, in process, without a database: `tests/unit/access/gate/test_gate.py` (names in extensions, look-alike actors, floods of
Consents, a record taken or given away) and `test_oracle.py` (generated worlds against the rules said once more).
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.access.conftest import RECIPIENT, World, consent, observation


def ids(answer: httpx.Response) -> set[str]:
    """`Type/id` of every entry that is no outcome."""
    assert answer.status_code == 200, answer.text
    resources = [entry["resource"] for entry in answer.json().get("entry", [])]
    return {f"{each['resourceType']}/{each['id']}" for each in resources if each["resourceType"] != "OperationOutcome"}


async def patient(world: World, name: str) -> str:
    """A new patient with one Observation, and her token."""
    await world.open.put({"resourceType": "Patient", "id": name, "name": [{"family": name}]})
    await world.open.put(observation(f"{name}-1", name))
    return await world.token(f"Patient/{name}", "patient/*.cruds", patient=name)


@pytest.mark.parametrize("status", ["active", "inactive", "rejected", "entered-in-error"])
async def test_a_doctor_forges_a_consent(world: World, stranger: str, doctor: str, status: str) -> None:
    """She writes the patient's permit herself, the patient as performer; with an id that she chose, too."""
    forged = consent(
        "forged", "anna", "Practitioner/stranger", performer=[{"reference": "Patient/anna"}], status=status
    )
    assert (await world.asks(stranger, "POST", "/Consent", json=forged)).status_code == 403
    assert (await world.asks(doctor, "POST", "/Consent", json=forged)).status_code == 403
    assigning = await world.token("Practitioner/stranger", "user/*.cruds", may=("assign-ids",))
    assert (await world.asks(assigning, "PUT", "/Consent/forged", json=forged)).status_code == 403
    assert (await world.asks(stranger, "GET", "/Observation/anna-0")).status_code == 404


async def test_a_doctor_writes_over_a_consent_that_she_cannot_see(world: World, stranger: str) -> None:
    """The id of the patient's deny is known to her: a draft of her own in its place would end it."""
    await patient(world, "clara")
    await world.open.put(consent("clara-1", "clara", "Practitioner/stranger"))
    deny = consent("clara-2", "clara", None, provision={"type": "deny"})
    await world.open.put(deny)
    draft = consent("clara-2", "clara", "Practitioner/stranger", status="draft")
    assigning = await world.token("Practitioner/stranger", "user/*.cruds", may=("assign-ids",))
    for token in (stranger, assigning):
        assert (await world.asks(token, "PUT", "/Consent/clara-2", json=draft)).status_code in (403, 405, 409)
        assert (await world.asks(token, "DELETE", "/Consent/clara-2")).status_code == 204
        assert (await world.asks(token, "GET", "/Observation/clara-1")).status_code == 404
    assert (await world.open("GET", "/Consent/clara-2")).json()["provision"] == {"type": "deny"}


async def test_a_patient_consents_for_another(world: World, anna: str, stranger: str) -> None:
    await patient(world, "dina")
    for candidate in (
        consent("x", "dina", "Practitioner/stranger"),
        consent("x", "dina", "Practitioner/stranger", status="draft"),
        consent(
            "x", "anna", None, extension=[{"url": "http://x.example", "valueReference": {"reference": "Patient/dina"}}]
        ),
    ):
        assert (await world.asks(anna, "POST", "/Consent", json=candidate)).status_code == 403
    assert (await world.asks(stranger, "GET", "/Observation/dina-1")).status_code == 404


async def test_a_system_whose_scope_is_a_star_gives_itself_rights(world: World) -> None:
    await patient(world, "emma")
    star = await world.token("Organization/elsewhere", "system/*.cruds", may=("assign-ids",))
    actor = "Organization/elsewhere"
    assert (await world.asks(star, "POST", "/Consent", json=consent("x", "emma", actor))).status_code == 403
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": "Practitioner/stranger"}}
    role["organization"] = {"reference": "Organization/clinic"}
    assert (await world.asks(star, "POST", "/PractitionerRole", json=role)).status_code == 403
    moved = {"resourceType": "Organization", "id": "elsewhere", "name": "Elsewhere"}
    moved["partOf"] = {"reference": "Organization/clinic"}
    assert (await world.asks(star, "PUT", "/Organization/elsewhere", json=moved)).status_code == 403
    draft = await world.asks(star, "POST", "/Consent", json=consent("x", "emma", actor, status="draft"))
    assert draft.status_code == 201
    made_active = consent(draft.json()["id"], "emma", actor)
    assert (await world.asks(star, "PUT", f"/Consent/{made_active['id']}", json=made_active)).status_code == 403
    assert (await world.asks(star, "GET", "/Observation/emma-1")).status_code == 404


async def test_a_system_that_the_scope_names_gives_effect_until_the_patient_takes_it_over(
    world: World, stranger: str
) -> None:
    fanny = await patient(world, "fanny")
    registry = await world.token("Organization/laboratory", "system/Consent.cruds")
    given = consent("x", "fanny", "Practitioner/stranger")
    created = await world.asks(registry, "POST", "/Consent", json=given)
    assert created.status_code == 201
    id = created.json()["id"]
    assert (await world.asks(stranger, "GET", "/Observation/fanny-1")).status_code == 200
    ended = given | {"id": id, "status": "inactive"}
    assert (await world.asks(fanny, "PUT", f"/Consent/{id}", json=ended)).status_code == 200
    again = await world.asks(registry, "PUT", f"/Consent/{id}", json=given | {"id": id})
    assert again.status_code == 405
    assert (await world.asks(registry, "DELETE", f"/Consent/{id}")).status_code == 204
    assert (await world.asks(fanny, "GET", f"/Consent/{id}")).json()["status"] == "inactive"
    assert (await world.asks(stranger, "GET", "/Observation/fanny-1")).status_code == 404


NOBODY_HERE: list[dict[str, Any]] = [
    {"identifier": {"system": "urn:number", "value": "1"}},
    {"reference": "https://elsewhere.example.org/fhir/Patient/anna"},
    {"reference": "urn:uuid:6f0dd5c4-6f1c-4a6a-8bb2-0d8a2f6b7d11"},
    {"display": "Anna"},
]


@pytest.mark.parametrize("patient", [*NOBODY_HERE, None])
@pytest.mark.parametrize("effect", ["deny", "permit"])
async def test_a_consent_that_would_say_nothing_is_not_taken_for_one_in_force(
    world: World, effect: str, patient: dict[str, Any] | None
) -> None:
    """A registry that thinks it has closed a record, and has not: whose it is cannot be seen."""
    registry = await world.token("Organization/laboratory", "system/Consent.cruds")
    given = consent("x", "anna", None, provision={"type": effect})
    given.pop("id")
    given.pop("patient") if patient is None else given.update(patient=patient)
    refused = await world.asks(registry, "POST", "/Consent", json=given)
    assert refused.status_code == 422
    assert refused.json()["issue"][0]["expression"] == ["Consent.patient"]
    for harmless in ({"status": "draft"}, {"scope": {"text": "research"}}):
        assert (await world.asks(registry, "POST", "/Consent", json=given | harmless)).status_code == 201


@pytest.mark.parametrize(
    "query",
    [
        "/Patient?_id=anna&_revinclude=Consent:patient",
        "/Observation?patient=anna&_include=Observation:performer&_revinclude=Provenance:target",
        "/Patient/anna/Consent",
        "/Consent?patient=anna",
        "/Consent?_id=anna-clinic",
        "/Consent?actor=Organization/clinic",
    ],
)
async def test_a_permitted_doctor_looks_for_the_consents(world: World, doctor: str, query: str) -> None:
    """They say whom else the patient lets in, and whom she does not."""
    assert not any(each.startswith(("Consent/", "Provenance/")) for each in ids(await world.asks(doctor, "GET", query)))


async def test_what_comes_along_is_under_the_permit_of_its_own_type(world: World, doctor: str) -> None:
    """The Observation of a permitted child names its mother, who permits nobody; and then she permits."""
    gala = await patient(world, "gala")
    await world.open.put({"resourceType": "Patient", "id": "child"})
    await world.open.put(consent("child-1", "child", "Organization/clinic"))
    await world.open.put(observation("child-1", "child", performer=[{"reference": "Patient/gala"}]))
    query = "/Observation?patient=child&_include=Observation:performer&_include=Observation:subject"
    assert ids(await world.asks(doctor, "GET", query)) == {"Observation/child-1", "Patient/child"}
    permitted = await world.asks(gala, "POST", "/Consent", json=consent("x", "gala", "Organization/clinic"))
    assert permitted.status_code == 201
    assert ids(await world.asks(doctor, "GET", query)) == {"Observation/child-1", "Patient/child", "Patient/gala"}


async def test_an_old_version_belongs_to_whom_it_belonged(world: World, doctor: str) -> None:
    """A record that was put under the wrong patient first: the doctor of the right one asks for its past."""
    await patient(world, "hanna")
    await world.open.put(observation("moved", "hanna", note=[{"text": "CANARY"}]))
    await world.open.put(observation("moved", "anna"))
    assert (await world.asks(doctor, "GET", "/Observation/moved")).status_code == 200
    assert (await world.asks(doctor, "GET", "/Observation/moved/_history/1")).status_code == 404
    history = await world.asks(doctor, "GET", "/Observation/moved/_history")
    assert history.status_code == 200
    assert b"CANARY" not in history.content
    assert len(history.json()["entry"]) == 1


async def test_a_deleted_consent_and_its_tombstone_permit_nothing(world: World, stranger: str) -> None:
    inga = await patient(world, "inga")
    created = await world.asks(inga, "POST", "/Consent", json=consent("x", "inga", "Practitioner/stranger"))
    assert (await world.asks(stranger, "GET", "/Observation/inga-1")).status_code == 200
    assert (await world.asks(inga, "DELETE", f"/Consent/{created.json()['id']}")).status_code == 204
    assert (await world.asks(stranger, "GET", "/Observation/inga-1")).status_code == 404
    assert ids(await world.asks(stranger, "GET", "/Observation?_count=100")) & {"Observation/inga-1"} == set()


async def test_a_doctor_puts_a_record_under_a_patient_who_does_not_permit(world: World, doctor: str) -> None:
    """By its subject, by an extension, by a contained resource, by our own base, and by moving one that she wrote."""
    wrote = await world.asks(doctor, "POST", "/Observation", json=observation("x", "anna"))
    assert wrote.status_code == 201
    id = wrote.json()["id"]
    base = str(world.gated.application.settings.base_url)
    attempts: list[dict[str, Any]] = [
        observation("x", "boris"),
        observation(
            "x", "anna", extension=[{"url": "http://x.example", "valueReference": {"reference": "Patient/boris"}}]
        ),
        observation("x", "anna", contained=[observation("c", "boris")], hasMember=[{"reference": "#c"}]),
        observation("x", "anna", focus=[{"reference": f"{base}/Patient/boris"}]),
        observation("x", "anna", focus=[{"reference": "Patient/boris/_history/1"}]),
    ]
    for attempt in attempts:
        assert (await world.asks(doctor, "POST", "/Observation", json=attempt)).status_code == 403
        moved = await world.asks(doctor, "PUT", f"/Observation/{id}", json=attempt | {"id": id})
        assert moved.status_code == 403
    assert (await world.asks(doctor, "GET", f"/Observation/{id}")).json()["meta"]["versionId"] == "1"


async def test_a_doctor_acts_in_a_role_that_is_not_hers(world: World) -> None:
    borrowed = await world.token("Practitioner/stranger", "user/*.cruds", role="PractitionerRole/doctor")
    assert (await world.asks(borrowed, "GET", "/Observation/anna-0")).status_code == 404
    assert ids(await world.asks(borrowed, "GET", "/Observation?patient=anna")) == set()


async def test_a_grantee_without_a_role_is_no_member_of_the_organisation(world: World) -> None:
    without = await world.token("Practitioner/doctor", "user/*.rs")
    assert (await world.asks(without, "GET", "/Observation/anna-0")).status_code == 404


async def test_a_role_that_ends_ends_the_access(world: World) -> None:
    role = {
        "resourceType": "PractitionerRole",
        "id": "temporary",
        "active": True,
        "practitioner": {"reference": "Practitioner/stranger"},
        "organization": {"reference": "Organization/clinic"},
    }
    await world.open.put(role)
    acting = await world.token("Practitioner/stranger", "user/*.rs", role="PractitionerRole/temporary")
    assert (await world.asks(acting, "GET", "/Observation/anna-0")).status_code == 200
    await world.open.put(role | {"active": False})
    assert (await world.asks(acting, "GET", "/Observation/anna-0")).status_code == 404
    await world.open.put(role | {"period": {"end": "2020"}})
    assert (await world.asks(acting, "GET", "/Observation/anna-0")).status_code == 404


async def test_the_patient_behind_an_appointment_stays_behind_it(world: World, stranger: str) -> None:
    await patient(world, "jana")
    participants = [
        {"actor": {"reference": each}, "status": "accepted"} for each in ("Patient/jana", "Practitioner/stranger")
    ]
    await world.open.put(
        {
            "resourceType": "Appointment",
            "id": "jana-1",
            "status": "booked",
            "start": "2026-06-01T10:00:00Z",
            "end": "2026-06-01T10:30:00Z",
            "participant": participants,
        }
    )
    assert (await world.asks(stranger, "GET", "/Appointment/jana-1")).status_code == 200
    query = "/Appointment?actor=Practitioner/stranger&_include=Appointment:patient&_include=Appointment:actor"
    assert "Appointment/jana-1" in ids(await world.asks(stranger, "GET", query))
    assert "Patient/jana" not in ids(await world.asks(stranger, "GET", query))
    assert (await world.asks(stranger, "GET", "/Patient/jana")).status_code == 404
    await world.open.put(consent("jana-1", "jana", None, provision={"type": "deny"}))
    assert (await world.asks(stranger, "GET", "/Appointment/jana-1")).status_code == 404
    assert "Appointment/jana-1" not in ids(await world.asks(stranger, "GET", query))


async def test_a_patient_gives_a_stranger_sight_by_a_recipient_of_another_kind(world: World) -> None:
    """A permit that names a Group or a Device permits nobody, and she is told; the members of a Group are not asked."""
    kira = await patient(world, "kira")
    provision = {"type": "permit", "actor": [{"role": RECIPIENT, "reference": {"reference": "Device/x"}}]}
    given = consent("x", "kira", None, provision=provision)
    assert (await world.asks(kira, "POST", "/Consent", json=given)).status_code == 422
    await world.open.put(given | {"id": "kira-device"})
    device = await world.token("Device/x", "system/*.rs")
    assert (await world.asks(device, "GET", "/Observation/kira-1")).status_code == 404
