"""What a laboratory sends: a transaction with a specimen, its results and the report, each created under the laboratory's own number.

The patient is named by her insurance number; sent twice, the Bundle changes nothing; a correction is a conditional update.

https://hl7.org/fhir/R4/http.html#transaction and https://hl7.org/fhir/R4/diagnosticreport.html
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fhirserver.bench import data

SNILS = "https://fhir.ru/ig/core/systems/snils"
SCOPE = "system/Specimen.crus system/DiagnosticReport.crus system/Observation.crus"
"""What the laboratory's token needs: to write, and to search for its own numbers."""


def numbers(laboratory: int) -> str:
    """The system of a laboratory's own numbers."""
    return f"https://laboratory-{laboratory}.example/numbers"


def snils(number: int) -> str:
    """An invented insurance number with its control number."""
    digits = f"{900_000_000 + number:09d}"
    control = sum(int(digit) * weight for digit, weight in zip(digits, range(9, 0, -1), strict=True)) % 101 % 100
    return f"{digits}{control:02d}"


def patient(number: int) -> dict[str, Any]:
    """A patient with an insurance number."""
    return data.patient(number) | {"identifier": [{"system": SNILS, "value": snils(number)}]}


def reference(number: int) -> dict[str, str]:
    """The reference to a patient by her insurance number."""
    return {"reference": f"Patient?identifier={SNILS}|{snils(number)}"}


def order(laboratory: int, serial: int, patient_number: int, results: int) -> dict[str, Any]:
    """The transaction of one order."""
    subject = reference(patient_number)
    specimen = _full_url(laboratory, serial, 0)
    made = [
        _entry(
            laboratory,
            f"{serial}-specimen",
            specimen,
            {"resourceType": "Specimen", "status": "available", "type": {"text": "Blood"}, "subject": subject},
        )
    ]
    for place in range(1, results + 1):
        resource = result(laboratory, serial, place, patient_number) | {"specimen": {"reference": specimen}}
        made.append(_entry(laboratory, f"{serial}-{place}", _full_url(laboratory, serial, place), resource))
    report = {
        "resourceType": "DiagnosticReport",
        "status": "final",
        "code": {"text": "Blood count"},
        "subject": subject,
        "specimen": [{"reference": specimen}],
        "result": [{"reference": _full_url(laboratory, serial, place)} for place in range(1, results + 1)],
    }
    made.append(_entry(laboratory, f"{serial}-report", _full_url(laboratory, serial, results + 1), report))
    return {"resourceType": "Bundle", "type": "transaction", "entry": made}


def result(laboratory: int, serial: int, place: int, patient_number: int) -> dict[str, Any]:
    """One result, as the laboratory sends it: with its range, and without an interpretation."""
    made = data.observation(patient_number, serial * 100 + place)
    del made["interpretation"]
    return made | {
        "identifier": [{"system": numbers(laboratory), "value": f"{serial}-{place}"}],
        "subject": reference(patient_number),
        "performer": [{"reference": f"Organization/laboratory-{laboratory}"}],
    }


def correction(laboratory: int, serial: int, place: int, patient_number: int) -> dict[str, Any]:
    """The transaction that corrects one result."""
    made = result(laboratory, serial, place, patient_number) | {"status": "corrected"}
    made["valueQuantity"] = made["valueQuantity"] | {"value": 99.5}
    url = f"Observation?identifier={numbers(laboratory)}|{serial}-{place}"
    entry = {"resource": made, "request": {"method": "PUT", "url": url}}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


def broken(bundle: dict[str, Any], place: int) -> dict[str, Any]:
    """The same transaction with one entry that is against the rules."""
    entries = list(bundle["entry"])
    entries[place] = entries[place] | {"resource": {**entries[place]["resource"], "status": "nonsense"}}
    return bundle | {"entry": entries}


def _entry(laboratory: int, value: str, full_url: str, resource: dict[str, Any]) -> dict[str, Any]:
    resource_type = resource["resourceType"]
    return {
        "fullUrl": full_url,
        "resource": {**resource, "identifier": [{"system": numbers(laboratory), "value": value}]},
        "request": {
            "method": "POST",
            "url": resource_type,
            "ifNoneExist": f"identifier={numbers(laboratory)}|{value}",
        },
    }


def _full_url(laboratory: int, serial: int, place: int) -> str:
    return UUID(int=laboratory << 64 | serial << 16 | place, version=4).urn
