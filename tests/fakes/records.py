"""Resources for the tests of access, as small as they can be."""

from __future__ import annotations

from typing import Any

RECIPIENT = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}]}
WITNESS = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "WIT"}]}
PRIVACY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
ACCESS = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentaction", "code": "access"}]}


def reference(text: str) -> dict[str, Any]:
    """A literal Reference."""
    return {"reference": text}


def actor(text: str, role: dict[str, Any] = RECIPIENT) -> dict[str, Any]:
    """An actor of a provision."""
    return {"role": role, "reference": reference(text)}


def provision(effect: str | None, *actors: str, **more: Any) -> dict[str, Any]:
    """A provision with recipients."""
    found: dict[str, Any] = {} if effect is None else {"type": effect}
    if actors:
        found["actor"] = [actor(each) for each in actors]
    return found | more


def consent(id: str, patient: str, stated: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    """An active Consent."""
    found = {
        "resourceType": "Consent",
        "id": id,
        "status": "active",
        "scope": PRIVACY,
        "category": [{"text": "card"}],
        "patient": reference(f"Patient/{patient}"),
    }
    if stated is not None:
        found["provision"] = stated
    return found | more


def resource(resource_type: str, id: str, **elements: Any) -> dict[str, Any]:
    """Any resource."""
    return {"resourceType": resource_type, "id": id} | elements


def observation(id: str, *patients: str, **elements: Any) -> dict[str, Any]:
    """An Observation of the first patient, with the others in its focus."""
    found = resource("Observation", id, status="final", code={"text": "test"})
    if patients:
        found["subject"] = reference(f"Patient/{patients[0]}")
    if patients[1:]:
        found["focus"] = [reference(f"Patient/{each}") for each in patients[1:]]
    return found | elements


def appointment(id: str, *actors: str, **elements: Any) -> dict[str, Any]:
    """An Appointment of these participants."""
    participants = [{"actor": reference(each), "status": "accepted"} for each in actors]
    return resource("Appointment", id, status="booked", participant=participants) | elements


def practitioner_role(id: str, practitioner: str, organization: str | None = None, **elements: Any) -> dict[str, Any]:
    """An active PractitionerRole."""
    found = resource("PractitionerRole", id, active=True, practitioner=reference(practitioner))
    if organization is not None:
        found["organization"] = reference(organization)
    return found | elements


def organization(id: str, part_of: str | None = None) -> dict[str, Any]:
    """An Organization."""
    found = resource("Organization", id, active=True, name=id)
    return found if part_of is None else found | {"partOf": reference(part_of)}
