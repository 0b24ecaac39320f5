"""The words that every seed record shares: code systems, the anchor date, check digits, and the shapes of small datatypes."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from typing import Any

ANCHOR = date(2026, 11, 16)
MOSCOW = timezone(timedelta(hours=3))

SNILS = "https://fhir.ru/ig/core/systems/snils"
ENP = "https://fhir.ru/ig/core/systems/oms"
INN = "https://fhir.ru/ig/core/systems/inn"
OGRN = "https://fhir.ru/ig/core/systems/ogrn"
DOCUMENTS = "https://fhir.ru/ig/core/systems/identity-document"
BIRTH_CERTIFICATES = "https://fhir.ru/ig/core/systems/birth-certificate"
REGISTER = "https://fhir.ru/ig/core/CodeSystem/core-cs-nsi-register-of-medical-organizations"
VOLUNTARY = "urn:oid:1.2.643.2.69.1.1.1.6.240"

FNSI = "urn:oid:1.2.643.5.1.13.13."
POSITIONS = FNSI + "11.1002"
POLICIES = FNSI + "11.1035"
SPECIALTIES = FNSI + "11.1066"
SERVICES = FNSI + "11.1070"
VACCINES = FNSI + "11.1078"
LAB_TESTS = FNSI + "11.1080"
ELECTRONIC_DOCUMENTS = FNSI + "11.1520"
DEPARTMENTS = FNSI + "99.2.114"
RELATIONS = FNSI + "99.2.14"
INSURERS = FNSI + "99.2.183"
VITAL = FNSI + "99.2.262"
PROOFS = FNSI + "99.2.313"
IDENTITY = FNSI + "99.2.48"
BENEFITS = FNSI + "99.2.541"
VALIDITY = FNSI + "99.2.608"
DRUGS = FNSI + "99.2.611"
GROUNDS = FNSI + "99.2.724"

ATC = "http://www.whocc.no/atc"
ICD = "http://hl7.org/fhir/sid/icd-10"
LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
HL7 = "http://terminology.hl7.org/CodeSystem/"
OURS = "https://fhirserver.example/CodeSystem/"
EXTENSION = "https://fhirserver.example/StructureDefinition/"

CLINIC_OID = "1.2.643.5.1.13.13.12.2.77.99901"
"""The polyclinic's number in the register of medical organisations: invented, as every number here."""

Json = dict[str, Any]


def day(offset: int) -> str:
    """The date `offset` days from the anchor."""
    return (ANCHOR + timedelta(days=offset)).isoformat()


def at(offset: int, clock: str) -> str:
    """An instant in Moscow, `offset` days from the anchor."""
    return datetime.combine(ANCHOR + timedelta(days=offset), time.fromisoformat(clock), MOSCOW).isoformat()


def coding(system: str, code: str, display: str | None = None) -> Json:
    return {"system": system, "code": code} | ({"display": display} if display is not None else {})


def concept(system: str, code: str, text: str) -> Json:
    """A CodeableConcept with one coding, which says the same as the text."""
    return {"coding": [coding(system, code)], "text": text}


def ref(reference: str, display: str | None = None) -> Json:
    """A literal reference."""
    return {"reference": reference} if display is None else {"reference": reference, "display": display}


def extension(name: str, type: str, value: Any) -> Json:
    """An extension of our own."""
    return {"url": EXTENSION + name, f"value{type}": value}


def human_name(family: str, given: tuple[str, ...], use: str = "official") -> Json:
    return {"use": use, "text": " ".join((family, *given)), "family": family, "given": list(given)}


def address(street: str, postal_code: str, city: str = "Москва", use: str = "home") -> Json:
    return {
        "use": use,
        "text": f"{postal_code}, {city}, {street}",
        "postalCode": postal_code,
        "state": "Москва" if city == "Москва" else "Московская область",
        "city": city,
        "line": [street],
        "country": "RU",
    }


def phone(number: str, use: str) -> Json:
    return {"system": "phone", "value": number, "use": use}


def snils_is_valid(value: str) -> bool:
    """The control number of a SNILS: weights 9 to 1, modulo 101, then modulo 100."""
    total = sum(int(digit) * (9 - place) for place, digit in enumerate(value[:9]))
    return len(value) == 11 and total % 101 % 100 == int(value[9:])


def enp_is_valid(value: str) -> bool:
    """The check digit of an ENP: Luhn."""
    doubled = (int(digit) * (2 if place % 2 == 0 else 1) for place, digit in enumerate(value))
    return len(value) == 16 and sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0
