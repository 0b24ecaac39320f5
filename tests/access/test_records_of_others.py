"""What belongs to others than the patient who is asked about: old versions, and resources that only mention her.

Each is judged by what its own owners permit: what they all permit is there, and what one of them does not permit is as if it had
never been.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from tests.access.conftest import World, consent, observation
from tests.access.worlds import found, told


@dataclass(frozen=True)
class Family:
    """Two patients who permit the clinic, and one who permits nobody; their ids are no other test's."""

    world: World
    token: str
    carl: str
    dora: str
    emil: str

    def id(self, name: str) -> str:
        """An id of this family's."""
        return f"{name}-{self.carl}"

    async def put(self, *resources: dict[str, Any]) -> None:
        """Write as the operator."""
        for each in resources:
            await self.world.open.put(each)

    async def asks(self, path: str, **options: Any) -> Any:
        """A request of the doctor's."""
        return await self.world.asks(self.token, "GET", path, **options)


@pytest.fixture
async def family(world: World, doctor: str) -> Family:
    mark = uuid.uuid4().hex[:8]
    them = Family(world, doctor, f"carl-{mark}", f"dora-{mark}", f"emil-{mark}")
    for name in (them.carl, them.dora, them.emil):
        await them.put({"resourceType": "Patient", "id": name, "name": [{"family": mark}]})
    for name in (them.carl, them.dora):
        await them.put(consent(f"{name}-clinic", name, "Organization/clinic"))
    return them


async def test_an_old_version_is_shown_where_its_owner_permits_it_too(family: Family) -> None:
    """Each version by its own facts, and the current one by its own."""
    id = family.id("moved")
    await family.put(observation(id, family.carl), observation(id, family.dora))
    assert (await family.asks(f"/Observation/{id}/_history/1")).json()["subject"]["reference"] == (
        f"Patient/{family.carl}"
    )
    history = (await family.asks(f"/Observation/{id}/_history")).json()
    assert (history["total"], len(history["entry"])) == (2, 2)
    await family.put(consent(f"{family.carl}-clinic", family.carl, "Organization/clinic", status="inactive"))
    assert (await family.asks(f"/Observation/{id}/_history/1")).status_code == 404
    assert (await family.asks(f"/Observation/{id}/_history")).json()["total"] == 1


async def test_an_old_version_of_one_who_does_not_permit_is_as_if_it_had_never_been(family: Family) -> None:
    """SC-14: the version is answered like one that does not exist, and the history counts one."""
    hidden, other = family.id("was-emils"), family.id("was-doras")
    await family.put(observation(hidden, family.emil), observation(hidden, family.dora))
    await family.put(observation(other, family.dora), observation(other, family.dora))
    answers = [
        told(await family.asks(f"/Observation/{id}/_history/{number}")) for id, number in ((hidden, 1), (other, 7))
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 404
    history = (await family.asks(f"/Observation/{hidden}/_history")).json()
    assert (history["total"], len(history["entry"])) == (1, 1)


async def test_what_both_own_needs_both_in_each_version(family: Family) -> None:
    """An old version that Emil shared with Carl stays hidden, whoever permits the rest."""
    id = family.id("shared")
    await family.put(
        observation(id, family.carl, focus=[{"reference": f"Patient/{family.emil}"}]),
        observation(id, family.carl, focus=[{"reference": f"Patient/{family.dora}"}]),
        observation(id, family.carl),
    )
    history = (await family.asks(f"/Observation/{id}/_history")).json()
    assert [entry["response"]["etag"] for entry in history["entry"]] == ['W/"3"', 'W/"2"']


async def test_a_history_of_a_hidden_record_is_one_of_an_absent_record(family: Family) -> None:
    """SC-01, where an old version belongs to one who permits."""
    id = family.id("now-emils")
    await family.put(observation(id, family.carl), observation(id, family.emil))
    for path in ("_history", "_history/1", "_history/2"):
        hidden = told(await family.asks(f"/Observation/{id}/{path}"))
        absent = told(await family.asks(f"/Observation/absent-{family.carl}/{path}"))
        assert hidden == absent
        assert hidden[0] == 404


ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}
MENTIONING: dict[str, dict[str, Any]] = {
    "Observation": {"status": "final", "code": {"text": "t"}, "performer": "one of several"},
    "Condition": {"asserter": "one"},
    "AllergyIntolerance": {"recorder": "one", "patient": "owner", "clinicalStatus": ACTIVE},
    "CommunicationRequest": {"status": "active", "sender": "one", "recipient": "one of several"},
    "DocumentReference": {"status": "current", "content": [{"attachment": {"title": "t"}}], "author": "one of several"},
    "ServiceRequest": {"status": "active", "intent": "order", "performer": "one of several"},
}
"""Elements in which a resource of another's names a patient, so that it is in her compartment."""


def mentioning(resource_type: str, id: str, owner: str, mentioned: str) -> dict[str, Any]:
    """A resource of the owner's that mentions a patient."""
    made: dict[str, Any] = {"resourceType": resource_type, "id": id}
    if "patient" not in MENTIONING[resource_type]:
        made["subject"] = {"reference": f"Patient/{owner}"}
    for name, value in MENTIONING[resource_type].items():
        one = {"reference": f"Patient/{owner if value == 'owner' else mentioned}"}
        of_others = {"one": one, "owner": one, "one of several": [one]}
        made[name] = of_others.get(value, value) if isinstance(value, str) else value
    return made


@pytest.mark.parametrize("resource_type", MENTIONING)
async def test_a_compartment_holds_what_mentions_the_patient_if_its_own_owner_permits(
    family: Family, resource_type: str
) -> None:
    """compartmentdefinition-patient: by any of its parameters; each by its own owner's permit."""
    path = f"/Patient/{family.carl}/{resource_type}?_total=accurate"
    permitted = mentioning(resource_type, family.id("doras"), family.dora, family.carl)
    await family.put(permitted)
    before = await family.asks(path)
    assert found(before) == [f"{resource_type}/{permitted['id']}"]
    hidden = mentioning(resource_type, family.id("emils"), family.emil, family.carl)
    await family.put(hidden)
    after = await family.asks(path)
    assert told(after) == told(before)
    await family.put(consent(f"{family.dora}-clinic", family.dora, "Organization/clinic", status="inactive"))
    assert found(await family.asks(path)) == []


async def test_a_compartment_of_a_hidden_patient_holds_what_others_permit(family: Family) -> None:
    """Emil permits nobody; Dora, who is mentioned beside him, does."""
    await family.put(
        mentioning("Observation", family.id("doras"), family.dora, family.emil),
        observation(family.id("his"), family.emil),
    )
    assert found(await family.asks(f"/Patient/{family.emil}/Observation")) == [f"Observation/{family.id('doras')}"]


async def test_the_patient_herself_finds_only_what_is_hers(family: Family) -> None:
    """A mention shows nobody the record of somebody else."""
    hers = observation(family.id("hers"), family.carl)
    await family.put(hers, mentioning("Observation", family.id("doras"), family.dora, family.carl))
    token = await family.world.token(f"Patient/{family.carl}", "patient/*.cruds", patient=family.carl)
    answer = await family.world.asks(token, "GET", f"/Patient/{family.carl}/Observation")
    assert found(answer) == [f"Observation/{hers['id']}"]


async def test_a_binary_is_found_by_its_id_where_its_context_is_visible(family: Family) -> None:
    """As it is read, so it is found, and not otherwise."""
    shown, hidden = (
        {
            "resourceType": "DocumentReference",
            "id": family.id(name),
            "status": "current",
            "subject": {"reference": f"Patient/{owner}"},
            "content": [{"attachment": {"title": "t"}}],
        }
        for name, owner in (("shown", family.carl), ("hidden", family.emil))
    )
    await family.put(shown, hidden)
    for each in (shown, hidden):
        context = {"reference": f"DocumentReference/{each['id']}"}
        await family.put(
            {"resourceType": "Binary", "id": each["id"], "contentType": "text/plain", "securityContext": context}
        )
    ids = f"{shown['id']},{hidden['id']}"
    assert found(await family.asks(f"/Binary?_id={ids}&_total=accurate")) == [f"Binary/{shown['id']}"]
    gone, absent = family.id("hidden"), family.id("absent")
    alone, none = [told(await family.asks(f"/Binary?_id={id}")) for id in (gone, absent)]
    assert alone[1].replace(gone.encode(), absent.encode()) == none[1]


async def test_a_day_of_appointments_is_that_of_who_takes_part(family: Family) -> None:
    """The patients of the Appointments that are asked about are weighed, and no others; a deny still hides."""

    def appointment(name: str, patient: str, who: str, day: int) -> dict[str, Any]:
        people = [{"actor": {"reference": each}, "status": "accepted"} for each in (f"Patient/{patient}", who)]
        times = {"start": f"2031-03-0{day}T09:00:00Z", "end": f"2031-03-0{day}T10:00:00Z"}
        return {
            "resourceType": "Appointment",
            "id": family.id(name),
            "status": "booked",
            "participant": people,
            **times,
        }

    hers, other = "Practitioner/doctor", "Practitioner/stranger"
    await family.put(appointment("mine", family.emil, hers, 1), appointment("later", family.emil, hers, 2))
    path = "/Appointment?date=2031-03-01&_total=accurate"
    before = await family.asks(path)
    assert f"Appointment/{family.id('mine')}" in found(before)
    assert f"Appointment/{family.id('later')}" not in found(before)
    await family.put(appointment("not", family.emil, other, 1))
    assert told(await family.asks(path)) == told(before)
    denies = {"type": "deny"}
    await family.put(consent(family.id("no"), family.emil, "Practitioner/doctor", provision=denies))
    assert f"Appointment/{family.id('mine')}" not in found(await family.asks(path))
