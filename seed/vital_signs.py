"""Thirty mornings of one patient: blood pressure and glucose, measured and written down by himself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from terms import ANCHOR, HL7, LOINC, UCUM, VITAL, Json, at, coding, concept, ref


def vital_signs() -> Iterator[Json]:
    for back in range(30, 0, -1):
        morning = ANCHOR - timedelta(days=back)
        systolic, diastolic = 128 + back % 7 * 2 + back // 6, 78 + back % 5 * 2 + back // 10
        yield _measured(f"khasanov-pressure-{31 - back:02}", back) | {
            "code": {"coding": [coding(LOINC, "85354-9")], "text": "Артериальное давление"},
            "component": [
                _pressure("3", "8480-6", "Систолическое давление", systolic),
                _pressure("2", "8462-4", "Диастолическое давление", diastolic),
            ],
        }
        yield _measured(f"khasanov-glucose-{31 - back:02}", back) | {
            "code": {"coding": [coding(VITAL, "58")], "text": "Глюкоза натощак, измерена дома"},
            "valueQuantity": {
                "value": round(5.8 + back % 4 * 0.3 + morning.weekday() // 5 * 0.6, 1),
                "unit": "ммоль/л",
                "system": UCUM,
                "code": "mmol/L",
            },
        }


def _measured(id: str, back: int) -> Json:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": [concept(HL7 + "observation-category", "vital-signs", "Витальные параметры")],
        "subject": ref("Patient/khasanov"),
        "effectiveDateTime": at(-back, "07:15"),
        "performer": [ref("Patient/khasanov")],
    }


def _pressure(code: str, loinc: str, name: str, value: int) -> Json:
    return {
        "code": {"coding": [coding(VITAL, code), coding(LOINC, loinc)], "text": name},
        "valueQuantity": {"value": value, "unit": "мм рт. ст.", "system": UCUM, "code": "mm[Hg]"},
    }
