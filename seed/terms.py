"""The words that every seed record shares: code systems, the anchor date, and check digits."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from typing import Any

ANCHOR = date(2026, 1, 12)
MOSCOW = timezone(timedelta(hours=3))

SNILS = "https://fhir.ru/ig/core/systems/snils"
ENP = "https://fhir.ru/ig/core/systems/oms"
INN = "https://fhir.ru/ig/core/systems/inn"
OGRN = "https://fhir.ru/ig/core/systems/ogrn"
INSURERS = "urn:oid:1.2.643.5.1.13.13.99.2.183"
POSITIONS = "urn:oid:1.2.643.5.1.13.13.11.1002"
SPECIALTIES = "urn:oid:1.2.643.5.1.13.13.11.1066"
SERVICES = "urn:oid:1.2.643.5.1.13.13.11.1070"
LAB_TESTS = "urn:oid:1.2.643.5.1.13.13.11.1080"
VACCINES = "urn:oid:1.2.643.5.1.13.13.11.1078"
DRUGS = "urn:oid:1.2.643.5.1.13.13.99.2.611"
ATC = "http://www.whocc.no/atc"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
HL7 = "http://terminology.hl7.org/CodeSystem/"
OURS = "https://fhirserver.example/CodeSystem/"

Json = dict[str, Any]


def day(offset: int) -> str:
    """The date `offset` days from the anchor."""
    return (ANCHOR + timedelta(days=offset)).isoformat()


def at(offset: int, clock: str) -> str:
    """An instant in Moscow, `offset` days from the anchor."""
    return datetime.combine(ANCHOR + timedelta(days=offset), time.fromisoformat(clock), MOSCOW).isoformat()


def concept(system: str, code: str, text: str) -> Json:
    """A CodeableConcept with one coding."""
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def ref(reference: str, display: str | None = None) -> Json:
    """A literal reference."""
    return {"reference": reference} if display is None else {"reference": reference, "display": display}


def snils_is_valid(value: str) -> bool:
    """The control number of a SNILS: weights 9 to 1, modulo 101, then modulo 100."""
    total = sum(int(digit) * (9 - place) for place, digit in enumerate(value[:9]))
    return len(value) == 11 and total % 101 % 100 == int(value[9:])


def enp_is_valid(value: str) -> bool:
    """The check digit of an ENP: Luhn."""
    doubled = (int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(value))
    return len(value) == 16 and sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def human_name(family: str, given: tuple[str, ...], use: str = "official") -> Json:
    return {"use": use, "text": " ".join((family, *given)), "family": family, "given": list(given)}
