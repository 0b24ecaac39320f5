"""Synthetic records for the benchmark: patients with a consent each, and laboratory Observations of about 1.6 kB."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

ORGANIZATION = "bench-clinic"
DOCTOR = "bench-doctor"
ROLE = "bench-role"
LABORATORY = "bench-laboratory"
CODE = "http://loinc.org|718-7"


def patient_id(number: int) -> str:
    """The id of the n-th patient."""
    return f"bench-{number:06d}"


def directory() -> list[dict[str, Any]]:
    """The clinic, its doctor with her role, and the laboratory."""
    return [
        {"resourceType": "Organization", "id": ORGANIZATION, "active": True, "name": "Bench Clinic"},
        {"resourceType": "Organization", "id": LABORATORY, "active": True, "name": "Bench Laboratory"},
        {"resourceType": "Practitioner", "id": DOCTOR, "active": True, "name": [{"family": "Bench"}]},
        {
            "resourceType": "PractitionerRole",
            "id": ROLE,
            "active": True,
            "practitioner": {"reference": f"Practitioner/{DOCTOR}"},
            "organization": {"reference": f"Organization/{ORGANIZATION}"},
        },
    ]


def patient(number: int) -> dict[str, Any]:
    """One patient."""
    return {
        "resourceType": "Patient",
        "id": patient_id(number),
        "active": True,
        "identifier": [{"system": "urn:oid:1.2.3.4.5", "value": f"{number:09d}"}],
        "name": [{"family": f"Family{number % 997}", "given": [f"Given{number % 89}"]}],
        "gender": "female" if number % 2 else "male",
        "birthDate": f"{1940 + number % 70}-0{1 + number % 9}-1{number % 9}",
    }


def consent(number: int) -> dict[str, Any]:
    """The patient's active consent to the whole clinic."""
    return {
        "resourceType": "Consent",
        "id": f"consent-{patient_id(number)}",
        "status": "active",
        "scope": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]
        },
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient_id(number)}"},
        "policyRule": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
        "provision": {
            "type": "permit",
            "actor": [
                {
                    "role": {
                        "coding": [
                            {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "IRCP"}
                        ]
                    },
                    "reference": {"reference": f"Organization/{ORGANIZATION}"},
                }
            ],
        },
    }


def observation(patient_number: int, serial: int) -> dict[str, Any]:
    """One laboratory result of that patient; the serial moves its date."""
    taken = datetime(2025, 1, 1, 8, tzinfo=UTC) + timedelta(hours=7 * serial, minutes=patient_number % 60)
    unit = {"unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"}
    return {
        "resourceType": "Observation",
        "identifier": [{"system": "https://bench.example/results", "value": f"{patient_number}-{serial}"}],
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "laboratory",
                        "display": "Laboratory",
                    }
                ],
                "text": "Laboratory",
            }
        ],
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": "718-7", "display": "Hemoglobin [Mass/volume] in Blood"},
                {"system": "urn:oid:1.2.643.5.1.13.13.11.1080", "code": "1017128", "display": "Hemoglobin"},
            ],
            "text": "Hemoglobin",
        },
        "subject": {"reference": f"Patient/{patient_id(patient_number)}", "display": f"Family{patient_number % 997}"},
        "effectiveDateTime": taken.isoformat(),
        "issued": (taken + timedelta(hours=3)).isoformat(),
        "performer": [{"reference": f"Organization/{LABORATORY}", "display": "Bench Laboratory"}],
        "valueQuantity": {"value": 110 + serial % 40 + 0.5, **unit},
        "interpretation": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
                        "code": "N",
                        "display": "Normal",
                    }
                ]
            }
        ],
        "note": [{"text": "Measured on the analyser of the second line; the control was within its limits."}],
        "method": {"coding": [{"system": "http://snomed.info/sct", "code": "115341008"}], "text": "Cyanmethaemoglobin"},
        "referenceRange": [
            {
                "low": {"value": 120, **unit},
                "high": {"value": 160, **unit},
                "appliesTo": [
                    {"coding": [{"system": "http://snomed.info/sct", "code": "248153007", "display": "Male"}]}
                ],
                "text": "120 to 160 g/L",
            }
        ],
    }


def transaction(results: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """A transaction that creates these results, each a patient's number and a serial."""
    entries = [
        {"resource": observation(*each), "request": {"method": "POST", "url": "Observation"}} for each in results
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def encode(resource: dict[str, Any]) -> bytes:
    """Compact JSON, one line."""
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()
