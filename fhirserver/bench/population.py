"""A population to search in: patients with an encounter and twenty Observations each, the same at every call and at every size.

Most of it grows with the number of patients; what a selective search looks for (a rare name, a rare code, an extreme value) is
there a fixed number of times, so that a search for it finds as much among 64,000 patients as among 1,000.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

EACH = 20
"""Observations of one patient."""
CLINICS = 20
RARE = 3
"""Patients with the rare name; Observations with the rare code, an extreme value, or an amendment are as many."""
RARE_FAMILY = "Qwyzhenko"
IDENTIFIERS = "urn:oid:1.2.3.4.5"
LOINC = "http://loinc.org"
HEMOGLOBIN, RARE_CODE, PRESSURE = "718-7", "99999-9", "85354-9"
SYSTOLIC, DIASTOLIC = "8480-6", "8462-4"
EXTREME = 900
"""No other value of hemoglobin is near it, in g/L."""

_UNITS = "http://unitsofmeasure.org"
_CATEGORIES = "http://terminology.hl7.org/CodeSystem/observation-category"
_CODES = (HEMOGLOBIN, "2345-7", "2160-0", "2951-2", "2823-3", "1742-6", "1920-8", "4548-4", "2093-3", "3094-0")
_BEGINNING = datetime(2023, 1, 1, 6, tzinfo=UTC)
_DAYS = 1_000
_FAMILIES, _GIVEN = 1_900, 300
_SYLLABLES = ("an", "be", "ko", "li", "ma", "no", "pe", "ro", "sa", "tu", "vi", "zo", "da", "fe", "gu", "ha")


def patient_id(number: int) -> str:
    """The id of the n-th patient."""
    return f"p{number:06d}"


def encounter_id(number: int) -> str:
    """The id of her encounter."""
    return f"e{number:06d}"


def practitioner_id(number: int, patients: int) -> str:
    """The id of the doctor of the n-th patient: one for about fifty."""
    return f"d{number % max(patients // 50, 1):06d}"


def identifier(number: int) -> str:
    """The value of her identifier, in the system `IDENTIFIERS`."""
    return f"{number:09d}"


def family(number: int) -> str:
    """Her family name."""
    return RARE_FAMILY if number < RARE else _name(number % _FAMILIES) + "ov"


def birth_date(number: int) -> date:
    """Her date of birth."""
    return date(1930, 1, 1) + timedelta(days=number * 7_919 % 32_000)


def taken(number: int, serial: int) -> datetime:
    """When the n-th patient's Observation was made."""
    days = (number * 31 + serial * 47) % _DAYS
    return _BEGINNING + timedelta(days=days, minutes=(number * 7 + serial * 13) % 720)


def population(patients: int) -> Iterator[dict[str, Any]]:
    """Every resource, what is referred to first."""
    for number in range(CLINICS):
        yield {"resourceType": "Organization", "id": f"c{number:02d}", "active": True, "name": f"Clinic {number}"}
    for number in range(max(patients // 50, 1)):
        name = {"family": _name(number) + "in", "given": [_name(number % _GIVEN)]}
        yield {"resourceType": "Practitioner", "id": practitioner_id(number, patients), "name": [name]}
    for number in range(patients):
        yield _patient(number, patients)
        yield _encounter(number)
        for serial in range(EACH):
            yield _observation(number, serial)


def _name(number: int) -> str:
    syllables = []
    number += len(_SYLLABLES)
    while number:
        number, place = divmod(number, len(_SYLLABLES))
        syllables.append(_SYLLABLES[place])
    return "".join(syllables).capitalize()


def _patient(number: int, patients: int) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": patient_id(number),
        "active": True,
        "identifier": [{"system": IDENTIFIERS, "value": identifier(number)}],
        "name": [{"family": family(number), "given": [_name(number % _GIVEN)]}],
        "telecom": [{"system": "phone", "value": f"+7 900 {number:07d}"}],
        "gender": "female" if number % 2 else "male",
        "birthDate": birth_date(number).isoformat(),
        "address": [{"city": f"{_name(number % 97)}grad", "postalCode": f"{number % 90_000 + 100_000}"}],
        "generalPractitioner": [{"reference": f"Practitioner/{practitioner_id(number, patients)}"}],
        "managingOrganization": {"reference": f"Organization/c{number % CLINICS:02d}"},
    }


def _encounter(number: int) -> dict[str, Any]:
    start = taken(number, 0)
    return {
        "resourceType": "Encounter",
        "id": encounter_id(number),
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": f"Patient/{patient_id(number)}"},
        "period": {"start": start.isoformat(), "end": (start + timedelta(hours=1)).isoformat()},
        "serviceProvider": {"reference": f"Organization/c{number % CLINICS:02d}"},
    }


def _observation(number: int, serial: int) -> dict[str, Any]:
    is_rare = number < RARE
    made: dict[str, Any] = {
        "resourceType": "Observation",
        "id": f"o{number:06d}-{serial:02d}",
        "identifier": [{"system": "https://bench.example/results", "value": f"{number}-{serial}"}],
        "status": "amended" if is_rare and serial == 1 else "final",
        "subject": {"reference": f"Patient/{patient_id(number)}"},
        "encounter": {"reference": f"Encounter/{encounter_id(number)}"},
        "effectiveDateTime": taken(number, serial).isoformat(),
        "issued": (taken(number, serial) + timedelta(hours=3)).isoformat(),
        "performer": [{"reference": f"Organization/c{(number + serial) % CLINICS:02d}"}],
        "note": [{"text": "Measured on the analyser of the second line; the control was within its limits."}],
    }
    if serial % 5 == 4:
        pressures = ((SYSTOLIC, 100 + (number + serial) % 60), (DIASTOLIC, 60 + number % 35))
        components = [
            {"code": _coded(LOINC, code), "valueQuantity": _quantity(value, "mm[Hg]")} for code, value in pressures
        ]
        code, category = PRESSURE, "vital-signs"
        rest: dict[str, Any] = {"component": components}
    else:
        code = RARE_CODE if is_rare and serial == 2 else _CODES[(number + serial) * serial % len(_CODES)]
        value = EXTREME if is_rare and serial == 0 else 90 + (number * 13 + serial * 7) % 90
        category, rest = "laboratory", {"valueQuantity": _quantity(value + 0.5, "g/L")}
    if is_rare and serial == 0:
        code = HEMOGLOBIN
    return made | rest | {"code": _coded(LOINC, code), "category": [_coded(_CATEGORIES, category)]}


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}], "text": f"What {code} names"}


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": _UNITS, "code": unit}
