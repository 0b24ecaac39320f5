"""A small world behind the gate: two patients, doctors with and without consent, a laboratory, and a token for each."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from fhirserver.access.bearer import Grant, issue_token
from fhirserver.settings import Settings
from tests.integration.serving import Server, serving

RECIPIENT = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}
PRIVACY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}


@dataclass(frozen=True)
class World:
    """The two doors onto one database, and the tokens."""

    open: Server
    gated: Server

    async def token(self, user: str, scope: str, **more: Any) -> str:
        """An access token, as `token issue` makes it."""
        services = self.gated.application.services
        assert services is not None
        minutes, may = more.pop("minutes", 60), frozenset(more.pop("may", ()))
        grant = Grant(user, scope, may=may, **more)
        return await issue_token(services.store.documents("tokens"), grant, minutes=minutes, now=datetime.now(UTC))

    async def asks(self, token: str | None, method: str, path: str, **options: Any) -> httpx.Response:
        """A request through the gate."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return await self.gated(method, path, headers=headers, **options)


def consent(id: str, patient: str, actor: str | None, **changes: Any) -> dict[str, Any]:
    """An active Consent of the patient that permits the actor; `provision` changes are merged in."""
    provision: dict[str, Any] = {"type": "permit"}
    if actor is not None:
        provision["actor"] = [{"role": RECIPIENT, "reference": {"reference": actor}}]
    provision.update(changes.pop("provision", {}))
    return {
        "resourceType": "Consent",
        "id": id,
        "status": "active",
        "scope": PRIVACY,
        "category": [{"text": "card"}],
        "patient": {"reference": f"Patient/{patient}"},
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
        "provision": provision,
        **changes,
    }


def observation(id: str, patient: str, **changes: Any) -> dict[str, Any]:
    """A laboratory result of the patient."""
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2026-01-02",
        "valueQuantity": {"value": 118, "unit": "g/L"},
        **changes,
    }


@pytest.fixture(scope="session")
def _settings(mongo_url: str) -> Iterator[Settings]:
    database = f"access{uuid.uuid4().hex[:12]}"
    yield Settings(mongo_url, database=database, auth="none", log_requests=False)
    client: MongoClient[dict[str, Any]] = MongoClient(mongo_url)
    client.drop_database(database)
    client.close()


@pytest.fixture(scope="session")
async def world(_settings: Settings) -> AsyncIterator[World]:
    """Records put in by the operator: `anna` permits the organisation of `doctor`, `boris` permits nobody.

    `doctor` works in a department of the clinic; `stranger` works elsewhere. Each has a role of the same name.
    """
    async with serving(_settings) as open_door, serving(replace(_settings, auth="smart")) as gated:
        for resource in _records():
            await open_door.put(resource)
        yield World(open_door, gated)


def _records() -> Iterator[dict[str, Any]]:
    yield {"resourceType": "Organization", "id": "clinic", "active": True, "name": "Clinic"}
    yield {
        "resourceType": "Organization",
        "id": "department",
        "active": True,
        "name": "Department",
        "partOf": {"reference": "Organization/clinic"},
    }
    yield {"resourceType": "Organization", "id": "elsewhere", "active": True, "name": "Elsewhere"}
    yield {"resourceType": "Organization", "id": "laboratory", "active": True, "name": "Laboratory"}
    for name, organization in (("doctor", "department"), ("stranger", "elsewhere")):
        yield {"resourceType": "Practitioner", "id": name, "active": True, "name": [{"family": name}]}
        yield {
            "resourceType": "PractitionerRole",
            "id": name,
            "active": True,
            "practitioner": {"reference": f"Practitioner/{name}"},
            "organization": {"reference": f"Organization/{organization}"},
        }
    for name in ("anna", "boris"):
        yield {"resourceType": "Patient", "id": name, "active": True, "name": [{"family": name}]}
        for number in range(3):
            yield observation(f"{name}-{number}", name)
    yield consent("anna-clinic", "anna", "Organization/clinic")


@pytest.fixture(scope="session")
async def doctor(world: World) -> str:
    """The doctor whom Anna's consent reaches, by her organisation."""
    return await world.token("Practitioner/doctor", "user/*.cruds", role="PractitionerRole/doctor")


@pytest.fixture(scope="session")
async def stranger(world: World) -> str:
    """A doctor whom nobody permits."""
    return await world.token("Practitioner/stranger", "user/*.cruds", role="PractitionerRole/stranger")


@pytest.fixture(scope="session")
async def anna(world: World) -> str:
    """Anna herself."""
    return await world.token("Patient/anna", "patient/*.cruds", patient="anna")


@pytest.fixture(scope="session")
async def laboratory(world: World) -> str:
    """The laboratory: it may create results and read back its own."""
    return await world.token("Organization/laboratory", "system/Observation.crus")
