"""Two weeks of ten timetables, from the anchor's Monday, with Saturdays of duty; one is closed, since an accreditation ended.

A busy slot without an appointment beside it belongs to somebody who is not in the seed. What has to start some hours from
now (the limits for moving and cancelling) cannot be written here: dates are relative to a Monday, not to the hour.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import NamedTuple

from appointments import BOOKED
from services import SERVICE
from terms import ANCHOR, HL7, MOSCOW, OURS, SERVICES, SPECIALTIES, Json, coding, concept, day, extension, ref

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat")


class Timetable(NamedTuple):
    """Whose, for what, how many minutes a visit; in the mornings on odd days (0), or on even ones (1)."""

    doctor: str
    service: str
    minutes: int
    turn: int
    saturdays: tuple[int, ...] = ()
    closed: bool = False


TIMETABLES = (
    Timetable("belov", "therapist", 15, 0, saturdays=(1,)),
    Timetable("zaitseva", "paediatrician", 15, 1, saturdays=(2,)),
    Timetable("melnik", "cardiologist", 24, 0),
    Timetable("kravtsova", "neurologist", 22, 1),
    Timetable("abramov", "ophthalmologist", 14, 0),
    Timetable("tikhonova", "endocrinologist", 19, 1),
    Timetable("rakhimov", "surgeon", 15, 0, closed=True),
    Timetable("fedorova", "gynaecologist", 22, 1),
    Timetable("ershov", "otorhinolaryngologist", 16, 0),
    Timetable("zhuravleva", "vaccination", 12, 1, saturdays=(1, 2)),
)

CLOSED_DAY = (1, "wed")
"""A day on which nobody sees patients, as on a holiday."""


def schedules() -> Iterator[Json]:
    for table in TIMETABLES:
        service = SERVICE[table.service]
        yield {
            "resourceType": "Schedule",
            "id": f"{table.doctor}-fortnight",
            "active": not table.closed,
            "serviceType": [concept(SERVICES, *service.service)],
            "specialty": [concept(SPECIALTIES, *service.specialty)],
            "actor": [
                ref(f"PractitionerRole/{table.doctor}-role"),
                ref(f"Location/gp999-room-{service.room}"),
                ref(f"HealthcareService/gp999-{service.id}"),
            ],
            "planningHorizon": {"start": day(0), "end": day(12)},
            "comment": "Запись закрыта: срок аккредитации истёк." if table.closed else service.name,
        }


def slots(week: int) -> Iterator[Json]:
    """The slots of the first or of the second week. A closed timetable has none."""
    for table in TIMETABLES:
        if table.closed:
            continue
        number = 0
        for place, weekday in enumerate(WEEKDAYS):
            if weekday == "sat" and week not in table.saturdays:
                continue
            morning = (place + table.turn) % 2 == 0 or weekday == "sat"
            start = datetime.combine(
                ANCHOR + timedelta(days=7 * (week - 1) + place), time(8 if morning else 14), MOSCOW
            )
            end = start + timedelta(hours=6)
            while (finish := start + timedelta(minutes=table.minutes)) <= end:
                yield _slot(table, f"{table.doctor}-{week}-{weekday}-{start:%H%M}", number, start, finish)
                number, start = number + 1, finish


def _slot(table: Timetable, id: str, number: int, start: datetime, finish: datetime) -> Json:
    service = SERVICE[table.service]
    week, weekday = id.split("-")[1:3]
    slot: Json = {
        "resourceType": "Slot",
        "id": id,
        "serviceType": [{"coding": [coding(SERVICES, service.service[0])]}],
        "specialty": [{"coding": [coding(SPECIALTIES, service.specialty[0])]}],
        "schedule": ref(f"Schedule/{table.doctor}-fortnight"),
        "status": "free",
        "start": start.isoformat(),
        "end": finish.isoformat(),
    }
    if id in BOOKED:
        slot["status"] = "busy"
    elif (int(week), weekday) == CLOSED_DAY:
        slot |= {"status": "busy-unavailable", "comment": "Приёма нет"}
    elif number % 20 in (1, 5, 9, 13, 17):
        slot["status"] = "busy"
    elif number % 20 in (3, 11):
        slot |= {"status": "busy-unavailable", "comment": "Живая очередь, вызовы на дом"}
    elif number % 20 == 7:
        slot["extension"] = [extension("slot-access-channel", "Code", "doctor")]
    elif number % 20 == 19 and table.service == "vaccination":
        slot |= {
            "extension": [extension("slot-capacity", "PositiveInt", 2)],
            "comment": "Прививки школьникам, двое сразу",
        }
    elif number % 20 == 19 and table.service == "endocrinologist":
        slot |= {"appointmentType": concept(HL7 + "v3-ActCode", "VR", "Телемедицинская консультация")}
    elif number % 20 == 0 and table.service == "therapist":
        slot |= {"appointmentType": concept(OURS + "appointment-type", "checkup", "Диспансеризация")}
    return slot
