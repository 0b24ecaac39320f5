"""What is booked, was kept, was missed or was called off; the referrals behind it; and one ban on booking."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from services import SERVICE
from terms import ANCHOR, HL7, MOSCOW, OURS, SERVICES, SPECIALTIES, Json, at, concept, day, extension, ref

REASONS = "https://fhirserver.example/CodeSystem/fer-cancelation-reason"
_DAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5}


class Visit(NamedTuple):
    """An appointment: patient, slot, length, service, state; `said` is the patient's instruction or the reason."""

    patient: str
    slot: str
    minutes: int
    service: str
    status: str = "booked"
    said: str = ""
    referral: str = ""


VISITS = (
    Visit("sokolova", "belov-2-mon-0815", 15, "therapist"),
    Visit("sokolov", "belov-1-mon-0800", 15, "therapist", "fulfilled"),
    Visit("sokolov-ilya", "zaitseva-2-tue-0815", 15, "paediatrician", said="Возьмите карту прививок."),
    Visit("sokolova-vera", "zhuravleva-2-tue-0812", 12, "vaccination", said="Накануне осмотр педиатра."),
    Visit("gromova", "melnik-2-mon-0824", 24, "cardiologist", said="Возьмите последнюю ЭКГ.", referral="gromova-cardiology"),
    Visit("gromov", "kravtsova-2-tue-0822", 22, "neurologist", "pending", referral="gromov-neurology"),
    Visit("khasanov", "tikhonova-2-thu-0819", 19, "endocrinologist", said="Анализ HbA1c не старше месяца.", referral="khasanov-endocrinology"),
    Visit("lebedeva", "tikhonova-1-tue-0838", 19, "endocrinologist", "booked", "Приём по видеосвязи.", "lebedeva-endocrinology"),
    Visit("lebedeva", "belov-2-wed-0830", 15, "therapist", "booked", "Диспансеризация: натощак, с анкетой."),
    Visit("isaeva", "fedorova-1-mon-1444", 22, "gynaecologist", "noshow"),
    Visit("orlova", "ershov-2-wed-0848", 16, "otorhinolaryngologist"),
)  # fmt: skip
CANCELLED = Visit("isaeva", "ershov-2-fri-0816", 16, "otorhinolaryngologist", "cancelled", "patient_decline")

BOOKED = frozenset(visit.slot for visit in VISITS)
"""The slots that these appointments hold."""

# id, patient, who asks, service, state, diagnosis
REFERRALS = (
    ("gromova-cardiology", "gromova", "belov", "cardiologist", "active", ("I10", "Эссенциальная гипертензия")),
    ("gromov-neurology", "gromov", "belov", "neurologist", "active", ("I69.3", "Последствия инфаркта мозга")),
    ("khasanov-endocrinology", "khasanov", "belov", "endocrinologist", "active", ("E11.9", "Сахарный диабет 2 типа")),
    ("lebedeva-endocrinology", "lebedeva", "belov", "endocrinologist", "active", ("E03.9", "Гипотиреоз")),
    ("sokolov-ecg", "sokolov", "belov", "ecg", "completed", ("I10", "Эссенциальная гипертензия")),
)


def appointments() -> Iterator[Json]:
    for id, patient, doctor, service, status, (code, name) in REFERRALS:
        yield {
            "resourceType": "ServiceRequest",
            "id": id,
            "status": status,
            "intent": "order",
            "identifier": [{"system": "https://gp999.example/referrals", "value": f"990-{id}"}],
            "code": concept(SERVICES, *SERVICE[service].service),
            "subject": ref(f"Patient/{patient}"),
            "authoredOn": at(-12, "11:20"),
            "requester": ref(f"PractitionerRole/{doctor}-role"),
            "reasonCode": [concept("http://hl7.org/fhir/sid/icd-10", code, name)],
        }
    for queue, visit in enumerate((*VISITS, CANCELLED), 1):
        yield _appointment(visit, queue)
    yield {
        "resourceType": "Flag",
        "id": "isaeva-booking-block",
        "status": "active",
        "category": [concept(HL7 + "flag-category", "admin", "Административная отметка")],
        "code": concept(OURS + "flag", "booking-block", "Запись ограничена: отмена позже чем за 12 часов до приёма"),
        "subject": ref("Patient/isaeva"),
        "period": {"start": day(-2), "end": day(12)},
        "author": ref("Organization/gp999"),
    }


def _appointment(visit: Visit, queue: int) -> Json:
    doctor, week, weekday, clock = visit.slot.split("-")
    midnight = datetime.combine(ANCHOR, datetime.min.time(), MOSCOW) + timedelta(
        days=7 * (int(week) - 1) + _DAYS[weekday]
    )
    start = midnight + timedelta(hours=int(clock[:2]), minutes=int(clock[2:]))
    service = SERVICE[visit.service]
    accepted = (
        "needs-action" if visit.status == "pending" else "declined" if visit.status == "cancelled" else "accepted"
    )
    made: Json = {
        "resourceType": "Appointment",
        "id": f"{visit.patient}-{doctor}",
        "identifier": [{"system": "https://gp999.example/queue", "value": f"{weekday}-{service.room}-{queue:02}"}],
        "status": visit.status,
        "serviceType": [concept(SERVICES, *service.service)],
        "specialty": [concept(SPECIALTIES, *service.specialty)],
        "description": service.name,
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=visit.minutes)).isoformat(),
        "minutesDuration": visit.minutes,
        "slot": [ref(f"Slot/{visit.slot}")],
        "created": at(-3, "19:12"),
        "participant": [
            {"actor": ref(f"Patient/{visit.patient}"), "required": "required", "status": accepted},
            {"actor": ref(f"PractitionerRole/{doctor}-role"), "status": "accepted"},
            {"actor": ref(f"Location/gp999-room-{service.room}"), "status": "accepted"},
        ],
        "extension": [extension("booking-source", "Code", "internet")],
    }
    if visit.status == "cancelled":
        made["cancelationReason"] = concept(REASONS, visit.said, "Отказ пациента")
    elif visit.said:
        made["patientInstruction"] = visit.said
    if visit.referral:
        made["basedOn"] = [ref(f"ServiceRequest/{visit.referral}")]
    return made
