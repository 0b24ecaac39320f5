"""The main job: a laboratory posts a result, an allowed doctor reads it, another sees nothing, the patient revokes."""

from __future__ import annotations

from tests.access.conftest import World, consent, observation


async def test_a_revoked_consent_is_in_force_on_the_very_next_request(
    world: World, doctor: str, stranger: str, laboratory: str
) -> None:
    """Read from the primary in the same request."""
    await world.open.put({"resourceType": "Patient", "id": "vera", "name": [{"family": "vera"}]})
    vera = await world.token("Patient/vera", "patient/*.cruds", patient="vera")
    given = consent("vera-doctor", "vera", "PractitionerRole/doctor")
    created = await world.asks(vera, "POST", "/Consent", json=given)
    assert created.status_code == 201, created.text
    id = created.json()["id"]

    posted = await world.asks(laboratory, "POST", "/Observation", json=observation("ignored", "vera"))
    assert posted.status_code == 201, posted.text
    result = f"/Observation/{posted.json()['id']}"

    assert (await world.asks(doctor, "GET", result)).status_code == 200
    assert (await world.asks(stranger, "GET", result)).status_code == 404
    found = await world.asks(doctor, "GET", "/Observation?patient=vera")
    assert len(found.json()["entry"]) == 1
    assert "entry" not in (await world.asks(stranger, "GET", "/Observation?patient=vera")).json()

    revoked = await world.asks(vera, "PUT", f"/Consent/{id}", json=given | {"id": id, "status": "inactive"})
    assert revoked.status_code == 200, revoked.text

    assert (await world.asks(doctor, "GET", result)).status_code == 404
    assert "entry" not in (await world.asks(doctor, "GET", "/Observation?patient=vera")).json()
    assert (await world.asks(laboratory, "GET", result)).status_code == 200
    assert (await world.asks(vera, "GET", result)).status_code == 200
