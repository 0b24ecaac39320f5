"""The polyclinic itself: organisations, places, practitioners, a week of slots, and one appointment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta

from terms import (
    ANCHOR,
    HL7,
    INN,
    INSURERS,
    MOSCOW,
    OGRN,
    POSITIONS,
    SERVICES,
    SNILS,
    SPECIALTIES,
    Json,
    at,
    concept,
    day,
    human_name,
    ref,
    snils_is_valid,
)


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
