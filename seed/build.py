"""Build the demonstration records: a fictional Moscow polyclinic, its laboratory, and two families.

Run `python seed/build.py` to write the transaction Bundles beside this file. Every resource is made with `fhir.resources`, so that an
independent model has checked it. All dates are relative to ANCHOR, a Monday; `serve --demo` moves them to the current week.
Names, numbers and addresses are invented; every number passes its check digit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

from fhir.resources.R4B import get_fhir_model_class

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


# ── organisations ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def organization(
    id: str,
    name: str,
    *,
    inn: str = "",
    ogrn: str = "",
    part_of: str = "",
    kind: str = "prov",
    more: Json | None = None,
) -> Json:
    identifiers = [{"system": system, "value": value} for system, value in ((INN, inn), (OGRN, ogrn)) if value]
    resource: Json = {
        "resourceType": "Organization",
        "id": id,
        "active": True,
        "name": name,
        "type": [{"coding": [{"system": HL7 + "organization-type", "code": kind}]}],
    }
    if identifiers:
        resource["identifier"] = identifiers
    if part_of:
        resource["partOf"] = ref(f"Organization/{part_of}")
    return resource | (more or {})


def organizations() -> Iterator[Json]:
    yield organization(
        "gp999",
        "ГБУЗ «Городская поликлиника № 999 ДЗМ»",
        inn="7701990013",
        ogrn="1027700990019",
        more={
            "address": [
                {
                    "use": "work",
                    "text": "115999, Москва, Вымышленная ул., д. 9",
                    "postalCode": "115999",
                    "state": "Москва",
                    "city": "Москва",
                    "line": ["Вымышленная ул., д. 9"],
                    "country": "RU",
                }
            ],
            "telecom": [{"system": "phone", "value": "+74955550999", "use": "work"}],
        },
    )
    yield organization("gp999-therapy", "Терапевтическое отделение", part_of="gp999", kind="dept")
    yield organization("gp999-children", "Детское отделение", part_of="gp999", kind="dept")
    yield organization("gp999-consulting", "Консультативно-диагностическое отделение", part_of="gp999", kind="dept")
    yield organization("lab-sever", "ООО «КДЛ Север»", inn="7701990020", ogrn="1027700990020")
    yield organization(
        "stolitsa-polis",
        "АО СМО «Столица-Полис»",
        inn="7701990045",
        ogrn="1027700990041",
        kind="ins",
        more={
            "identifier": [
                {"system": INN, "value": "7701990045"},
                {"system": OGRN, "value": "1027700990041"},
                {"system": INSURERS, "value": "77990"},
            ],
        },
    )
    yield {
        "resourceType": "Location",
        "id": "gp999-main",
        "status": "active",
        "mode": "instance",
        "name": "Корпус 1",
        "managingOrganization": ref("Organization/gp999"),
        "address": {"text": "115999, Москва, Вымышленная ул., д. 9", "city": "Москва", "postalCode": "115999"},
        "position": {"longitude": 37.6489, "latitude": 55.7012},
    }
    for room, title in (
        ("101", "Кабинет 101, участковый терапевт"),
        ("205", "Кабинет 205, педиатр"),
        ("312", "Кабинет 312, кардиолог"),
    ):
        yield {
            "resourceType": "Location",
            "id": f"gp999-room-{room}",
            "status": "active",
            "mode": "instance",
            "name": title,
            "managingOrganization": ref("Organization/gp999"),
            "partOf": ref("Location/gp999-main"),
        }
    for id, title, specialty, service in HEALTHCARE_SERVICES:
        yield {
            "resourceType": "HealthcareService",
            "id": id,
            "active": True,
            "name": title,
            "providedBy": ref("Organization/gp999"),
            "specialty": [concept(SPECIALTIES, *specialty)],
            "type": [concept(SERVICES, *service)],
            "location": [ref("Location/gp999-main")],
            "appointmentRequired": True,
        }


HEALTHCARE_SERVICES = (
    (
        "gp999-therapist",
        "Приём участкового терапевта",
        ("27", "Терапия"),
        ("B01.047.005", "Прием врача-терапевта участкового первичный"),
    ),
    ("gp999-paediatrician", "Приём педиатра", ("22", "Педиатрия"), ("B01.031.001", "Прием врача-педиатра первичный")),
    (
        "gp999-cardiologist",
        "Приём кардиолога",
        ("118", "Кардиология"),
        ("B01.015.001", "Прием врача-кардиолога первичный"),
    ),
)

# ── practitioners ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# id, family, given, gender, SNILS, position, specialty, department
PRACTITIONERS = (
    (
        "belov",
        "Белов",
        ("Сергей", "Николаевич"),
        "male",
        "95016808407",
        ("110", "Врач-терапевт участковый"),
        ("27", "Терапия"),
        "gp999-therapy",
    ),
    (
        "zaitseva",
        "Зайцева",
        ("Ирина", "Павловна"),
        "female",
        "95137914228",
        ("59", "Врач-педиатр участковый"),
        ("22", "Педиатрия"),
        "gp999-children",
    ),
    (
        "melnik",
        "Мельник",
        ("Олег", "Борисович"),
        "male",
        "95236752129",
        ("34", "Врач-кардиолог"),
        ("118", "Кардиология"),
        "gp999-consulting",
    ),
    (
        "nikitin",
        "Никитин",
        ("Роман", "Олегович"),
        "male",
        "95836817375",
        ("35", "Врач клинической лабораторной диагностики"),
        ("13", "Клиническая лабораторная диагностика"),
        "lab-sever",
    ),
)


def human_name(family: str, given: tuple[str, ...], use: str = "official") -> Json:
    return {"use": use, "text": " ".join((family, *given)), "family": family, "given": list(given)}


def practitioners() -> Iterator[Json]:
    for id, family, given, gender, snils, position, specialty, department in PRACTITIONERS:
        assert snils_is_valid(snils), snils
        yield {
            "resourceType": "Practitioner",
            "id": id,
            "active": True,
            "identifier": [{"system": SNILS, "value": snils}],
            "name": [human_name(family, given)],
            "gender": gender,
        }
        yield {
            "resourceType": "PractitionerRole",
            "id": f"{id}-role",
            "active": True,
            "period": {"start": "2019-09-01"},
            "practitioner": ref(f"Practitioner/{id}", f"{family} {given[0]} {given[1]}"),
            "organization": ref(f"Organization/{department}"),
            "code": [concept(POSITIONS, *position)],
            "specialty": [concept(SPECIALTIES, *specialty)],
        }


# ── patients and what is theirs ──────────────────────────────────────────────────────────────────────────────────────────────

# id, family, given, birth date, gender, SNILS, ENP, phone
PATIENTS = (
    (
        "sokolov",
        "Соколов",
        ("Андрей", "Викторович"),
        "1984-03-14",
        "male",
        "91098419220",
        "7756510835900019",
        "+79995550101",
    ),
    (
        "sokolova",
        "Соколова",
        ("Марина", "Олеговна"),
        "1987-11-02",
        "female",
        "91155238689",
        "7748210897900020",
        "+79995550102",
    ),
    (
        "isaeva",
        "Исаева",
        ("Дарья", "Романовна"),
        "1999-05-07",
        "female",
        "91663873948",
        "7754000892900070",
        "+79995550103",
    ),
)


def patients() -> Iterator[Json]:
    for id, family, given, born, gender, snils, enp, phone in PATIENTS:
        assert snils_is_valid(snils), snils
        assert enp_is_valid(enp), enp
        names = [human_name(family, given)]
        if id == "sokolova":
            names.append({"use": "maiden", "family": "Журавина", "given": list(given), "period": {"end": "2012-06-15"}})
        yield {
            "resourceType": "Patient",
            "id": id,
            "active": True,
            "identifier": [
                {"use": "official", "system": SNILS, "value": snils, "type": concept(HL7 + "v2-0203", "SB", "СНИЛС")},
                {"use": "official", "system": ENP, "value": enp, "type": concept(HL7 + "v2-0203", "SB", "Полис ОМС")},
            ],
            "name": names,
            "gender": gender,
            "birthDate": born,
            "telecom": [{"system": "phone", "value": phone, "use": "mobile"}],
            "address": [
                {
                    "use": "home",
                    "text": "115998, Москва, Вымышленная ул., д. 12",
                    "postalCode": "115998",
                    "state": "Москва",
                    "city": "Москва",
                    "line": ["Вымышленная ул., д. 12"],
                    "country": "RU",
                }
            ],
            "generalPractitioner": [ref("Organization/gp999", "ГП № 999")],
            "managingOrganization": ref("Organization/gp999"),
        }
        yield {
            "resourceType": "Coverage",
            "id": f"{id}-oms",
            "status": "active",
            "identifier": [{"system": ENP, "value": enp}],
            "subscriberId": enp,
            "type": concept(HL7 + "v3-ActCode", "PUBLICPOL", "Полис ОМС единого образца"),
            "beneficiary": ref(f"Patient/{id}"),
            "payor": [ref("Organization/stolitsa-polis")],
            "period": {"start": "2019-01-01"},
        }


def immunization(id: str, patient: str, vaccine: tuple[str, str], given: str, lot: str, dose: int) -> Json:
    return {
        "resourceType": "Immunization",
        "id": id,
        "status": "completed",
        "vaccineCode": concept(VACCINES, *vaccine),
        "patient": ref(f"Patient/{patient}"),
        "occurrenceDateTime": given,
        "primarySource": True,
        "lotNumber": lot,
        "expirationDate": day(300),
        "performer": [{"actor": ref("PractitionerRole/belov-role")}],
        "doseQuantity": {"value": 0.5, "unit": "мл", "system": UCUM, "code": "mL"},
        "protocolApplied": [{"doseNumberPositiveInt": dose}],
    }


def immunizations() -> Iterator[Json]:
    influenza = ("11379", "Ультрикс Квадри")
    yield immunization("sokolov-adsm", "sokolov", ("61", "АДС-М-анатоксин"), "2024-05-21", "А0424", 2)
    yield immunization("sokolov-flu", "sokolov", influenza, day(-50), "У0925", 1)
    yield immunization("sokolova-flu", "sokolova", influenza, day(-48), "У0925", 1)
    yield immunization(
        "isaeva-sputnik-1", "isaeva", ("11092", "Гам-КОВИД-Вак, компонент I"), "2021-07-05", "I-870521", 1
    )
    yield immunization(
        "isaeva-sputnik-2", "isaeva", ("11092", "Гам-КОВИД-Вак, компонент II"), "2021-07-26", "II-870621", 2
    )


# id, FNSI 1080, LOINC, name, value, unit, UCUM, low, high
BLOOD_COUNT = (
    ("hemoglobin", "1017128", "718-7", "Гемоглобин", 118, "г/л", "g/L", 120, 140),
    ("erythrocytes", "1017375", "789-8", "Эритроциты", 4.12, "10^12/л", "10*12/L", 3.9, 4.7),
    ("leukocytes", "1017979", "6690-2", "Лейкоциты", 6.3, "10^9/л", "10*9/L", 4.0, 9.0),
    ("platelets", "1017862", "777-3", "Тромбоциты", 244, "10^9/л", "10*9/L", 180, 320),
    ("hematocrit", "1017359", "4544-3", "Гематокрит", 35.8, "%", "%", 36, 42),
    ("esr", "1017854", "4537-7", "СОЭ по Вестергрену", 9, "мм/ч", "mm/h", 2, 15),
)
GLUCOSE = ("glucose", "1003888", "14771-0", "Глюкоза натощак", 5.1, "ммоль/л", "mmol/L", 4.1, 6.1)


def result(patient: str, row: tuple[Any, ...], taken: str, specimen: str) -> Json:
    id, fnsi, loinc, name, value, unit, ucum, low, high = row
    quantity = {"unit": unit, "system": UCUM, "code": ucum}
    flag = ("L", "Ниже нормы") if value < low else ("H", "Выше нормы") if value > high else ("N", "Норма")
    return {
        "resourceType": "Observation",
        "id": f"{patient}-{id}",
        "status": "final",
        "category": [concept(HL7 + "observation-category", "laboratory", "Лабораторные исследования")],
        "identifier": [{"system": "https://lab-sever.example/results", "value": f"{patient}-{id}-1"}],
        "code": {
            "coding": [{"system": LAB_TESTS, "code": fnsi, "display": name}, {"system": LOINC, "code": loinc}],
            "text": name,
        },
        "subject": ref(f"Patient/{patient}"),
        "effectiveDateTime": taken,
        "issued": taken,
        "performer": [ref("Organization/lab-sever"), ref("PractitionerRole/nikitin-role")],
        "valueQuantity": {"value": value, **quantity},
        "interpretation": [concept(HL7 + "v3-ObservationInterpretation", *flag)],
        "specimen": ref(f"Specimen/{specimen}"),
        "referenceRange": [{"low": {"value": low, **quantity}, "high": {"value": high, **quantity}}],
    }


def laboratory() -> Iterator[Json]:
    for patient, offset, rows, title in (
        ("sokolova", -3, BLOOD_COUNT, ("B03.016.003", "Общий (клинический) анализ крови развернутый")),
        ("sokolov", -5, (GLUCOSE,), ("A09.05.023", "Исследование уровня глюкозы в крови")),
    ):
        specimen, taken = f"{patient}-blood", at(offset, "08:20")
        yield {
            "resourceType": "Specimen",
            "id": specimen,
            "status": "available",
            "subject": ref(f"Patient/{patient}"),
            "type": {"text": "Кровь венозная"},
            "collection": {"collectedDateTime": taken},
        }
        results = [result(patient, row, taken, specimen) for row in rows]
        yield from results
        yield {
            "resourceType": "DiagnosticReport",
            "id": f"{patient}-report",
            "status": "final",
            "identifier": [{"system": "https://lab-sever.example/reports", "value": f"{patient}-1"}],
            "category": [concept(HL7 + "v2-0074", "LAB", "Лаборатория")],
            "code": concept(SERVICES, *title),
            "subject": ref(f"Patient/{patient}"),
            "effectiveDateTime": taken,
            "issued": at(offset, "15:40"),
            "performer": [ref("Organization/lab-sever")],
            "resultsInterpreter": [ref("PractitionerRole/nikitin-role")],
            "specimen": [ref(f"Specimen/{specimen}")],
            "result": [ref(f"Observation/{each['id']}") for each in results],
        }


def prescription(
    id: str,
    patient: str,
    status: str,
    drug: tuple[str, str],
    atc: str,
    written: int,
    days: int,
    dose: str,
    per_day: int,
) -> Json:
    return {
        "resourceType": "MedicationRequest",
        "id": id,
        "status": status,
        "intent": "order",
        "subject": ref(f"Patient/{patient}"),
        "authoredOn": at(written, "10:05"),
        "medicationCodeableConcept": {
            "coding": [{"system": DRUGS, "code": drug[0]}, {"system": ATC, "code": atc}],
            "text": drug[1],
        },
        "requester": ref("PractitionerRole/belov-role"),
        "dosageInstruction": [
            {"text": dose, "timing": {"repeat": {"frequency": per_day, "period": 1, "periodUnit": "d"}}}
        ],
        "dispenseRequest": {
            "validityPeriod": {"start": day(written), "end": day(written + days)},
            "quantity": {"value": 30, "unit": "шт."},
        },
    }


def prescriptions() -> Iterator[Json]:
    bisoprolol = ("21.20.10.146-000001-1-00035-0000000000000", "Бисопролол 5 мг, таблетки")
    ibuprofen = ("21.20.10.221-000010-1-00196-0000000000000", "Ибупрофен 20 мг/мл, суспензия")
    amoxicillin = ("21.20.10.191-000003-1-00167-0000000000000", "Амоксициллин 500 мг")
    yield prescription(
        "sokolov-bisoprolol", "sokolov", "active", bisoprolol, "C07AB07", -7, 60, "По 1 таблетке утром", 1
    )
    yield prescription(
        "sokolova-amoxicillin",
        "sokolova",
        "completed",
        amoxicillin,
        "J01CA04",
        -40,
        15,
        "По 1 таблетке 3 раза в день, 7 дней",
        3,
    )
    yield prescription(
        "isaeva-ibuprofen",
        "isaeva",
        "cancelled",
        ibuprofen,
        "M01AE01",
        -20,
        15,
        "По 10 мл при температуре выше 38,5",
        3,
    )


# ── schedules, slots, an appointment ─────────────────────────────────────────────────────────────────────────────────────────

# practitioner, service, room, minutes, first and last hour of the shift
SHIFTS = (("belov", 0, "101", 15, 8, 14), ("zaitseva", 1, "205", 15, 14, 20), ("melnik", 2, "312", 24, 8, 14))


def schedules() -> Iterator[Json]:
    for doctor, service, room, minutes, first, last in SHIFTS:
        id, title, specialty, kind = HEALTHCARE_SERVICES[service]
        schedule = f"{doctor}-week"
        yield {
            "resourceType": "Schedule",
            "id": schedule,
            "active": True,
            "serviceType": [concept(SERVICES, *kind)],
            "specialty": [concept(SPECIALTIES, *specialty)],
            "comment": title,
            "actor": [
                ref(f"PractitionerRole/{doctor}-role"),
                ref(f"Location/gp999-room-{room}"),
                ref(f"HealthcareService/{id}"),
            ],
            "planningHorizon": {"start": day(7), "end": day(11)},
        }
        number = 0
        for workday in range(7, 12):
            start = datetime.combine(ANCHOR + timedelta(days=workday), time(first), MOSCOW)
            end = start.replace(hour=last)
            while start + timedelta(minutes=minutes) <= end:
                finish = start + timedelta(minutes=minutes)
                yield {
                    "resourceType": "Slot",
                    "id": f"{doctor}-{workday - 6}-{start:%H%M}",
                    "schedule": ref(f"Schedule/{schedule}"),
                    "status": slot_status(number),
                    "start": start.isoformat(),
                    "end": finish.isoformat(),
                    "serviceType": [concept(SERVICES, *kind)],
                    "specialty": [concept(SPECIALTIES, *specialty)],
                }
                number, start = number + 1, finish


def slot_status(number: int) -> str:
    """Every fourth slot is taken, every tenth is kept for the live queue; the rest are free."""
    return "busy" if number % 4 == 1 else "busy-unavailable" if number % 10 == 7 else "free"


def appointments() -> Iterator[Json]:
    yield {
        "resourceType": "Appointment",
        "id": "sokolova-belov",
        "status": "booked",
        "start": at(7, "08:15"),
        "end": at(7, "08:30"),
        "minutesDuration": 15,
        "slot": [ref("Slot/belov-1-0815")],
        "created": at(-1, "19:12"),
        "serviceType": [concept(SERVICES, *HEALTHCARE_SERVICES[0][3])],
        "specialty": [concept(SPECIALTIES, "27", "Терапия")],
        "description": "Приём участкового терапевта",
        "participant": [
            {"actor": ref("Patient/sokolova"), "required": "required", "status": "accepted"},
            {"actor": ref("PractitionerRole/belov-role"), "status": "accepted"},
            {"actor": ref("Location/gp999-room-101"), "status": "accepted"},
        ],
    }


# ── consents ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def consent(
    id: str, patient: str, kind: tuple[str, str], actor: str, status: str, signed: int, until: int | None
) -> Json:
    period = {"start": day(signed)} | ({"end": day(until)} if until is not None else {})
    return {
        "resourceType": "Consent",
        "id": id,
        "status": status,
        "scope": concept(HL7 + "consentscope", "patient-privacy", "Доступ к медицинской карте"),
        "category": [concept(OURS + "consent-category", *kind)],
        "patient": ref(f"Patient/{patient}"),
        "dateTime": at(signed, "12:00"),
        "performer": [ref(f"Patient/{patient}")],
        "organization": [ref("Organization/gp999")],
        "policyRule": {"coding": [{"system": HL7 + "v3-ActCode", "code": "OPTIN"}]},
        "provision": {
            "type": "permit",
            "period": period,
            "actor": [
                {"role": concept(HL7 + "v3-ParticipationType", "IRCP", "Получатель сведений"), "reference": ref(actor)}
            ],
        },
    }


def consents() -> Iterator[Json]:
    whole_organisation = ("card-org", "Доступ медицинской организации к карте")
    one_doctor = ("card-doctor", "Доступ врача к карте")
    yield consent("sokolov-card-org", "sokolov", whole_organisation, "Organization/gp999", "active", -30, None)
    yield consent("sokolova-card-doctor", "sokolova", one_doctor, "PractitionerRole/belov-role", "active", -1, 37)
    yield consent("isaeva-card-org", "isaeva", whole_organisation, "Organization/gp999", "inactive", -30, None)


BLOCKS = {
    "01-organisations": organizations,
    "02-practitioners": practitioners,
    "03-patients": patients,
    "04-consents": consents,
    "05-schedules": schedules,
    "06-appointments": appointments,
    "07-immunizations": immunizations,
    "08-laboratory": laboratory,
    "09-prescriptions": prescriptions,
}


def bundle(block: str, resources: Iterator[Json]) -> Json:
    """One transaction Bundle: each resource is put under its own id."""
    entries = []
    for resource in resources:
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)
        entries.append(
            {
                "fullUrl": f"https://fhirserver.example/fhir/{resource['resourceType']}/{resource['id']}",
                "resource": resource,
                "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"},
            }
        )
    made = {
        "resourceType": "Bundle",
        "id": f"seed-{block}",
        "type": "transaction",
        "timestamp": datetime.combine(ANCHOR, time(), UTC).isoformat(),
        "entry": entries,
    }
    get_fhir_model_class("Bundle").model_validate(made)
    return made


def main(folder: Path) -> None:
    """Write every Bundle into `folder`."""
    for block, resources in BLOCKS.items():
        made = bundle(block, resources())
        (folder / f"{block}.json").write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        print(f"{block}: {len(made['entry'])} resources")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
