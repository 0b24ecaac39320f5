"""Where a client finds the server, and records for it to work with."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

SYSTEM = "https://clients.example/number"


@dataclass(frozen=True)
class Place:
    """The FHIR base, and an access token where one is needed."""

    base: str
    token: str | None


def number() -> str:
    """A number that nobody has used before."""
    return uuid.uuid4().hex


def patient(family: str = "Proba", **more: Any) -> dict[str, Any]:
    """A Patient with a number of its own."""
    return {
        "resourceType": "Patient",
        "identifier": [{"system": SYSTEM, "value": number()}],
        "name": [{"family": family, "given": ["Anna"]}],
        "gender": "female",
        **more,
    }


def observation(subject: str, value: float = 5.1) -> dict[str, Any]:
    """A result of that patient."""
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "14771-0"}]},
        "subject": {"reference": subject},
        "valueQuantity": {"value": value, "unit": "mmol/L"},
    }


def bundle(type: str, *entries: dict[str, Any]) -> dict[str, Any]:
    """A Bundle to be done."""
    return {"resourceType": "Bundle", "type": type, "entry": list(entries)}
