"""Twelve who work with patients, with their positions, specialties and accreditations, and five who do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from terms import OURS, POSITIONS, SNILS, SPECIALTIES, Json, concept, day, human_name, ref, snils_is_valid


class Worker(NamedTuple):
    """A practitioner. `accredited` is the last day of the accreditation, in days from the anchor."""

    id: str
    family: str
    given: tuple[str, str]
    gender: str
    snils: str
    position: tuple[str, str]
    specialty: tuple[str, str]
    organisation: str
    accredited: int = 900
    since: str = "2019-09-01"


WORKERS = (
    Worker(
        "belov",
        "Белов",
        ("Сергей", "Николаевич"),
        "male",
        "95016808407",
        ("110", "Врач-терапевт участковый"),
        ("27", "Терапия"),
        "gp999-therapy",
    ),
    Worker(
        "zaitseva",
        "Зайцева",
        ("Ирина", "Павловна"),
        "female",
        "95137914228",
        ("59", "Врач-педиатр участковый"),
        ("22", "Педиатрия"),
        "gp999-children",
    ),
    Worker(
        "melnik",
        "Мельник",
        ("Олег", "Борисович"),
        "male",
        "95236752129",
        ("34", "Врач-кардиолог"),
        ("118", "Кардиология"),
        "gp999-consulting",
    ),
    Worker(
        "kravtsova",
        "Кравцова",
        ("Елена", "Юрьевна"),
        "female",
        "95317898561",
        ("45", "Врач-невролог"),
        ("14", "Неврология"),
        "gp999-consulting",
        accredited=30,
    ),
    Worker(
        "abramov",
        "Абрамов",
        ("Лев", "Дмитриевич"),
        "male",
        "95417218116",
        ("54", "Врач-офтальмолог"),
        ("20", "Офтальмология"),
        "gp999-consulting",
        accredited=14,
    ),
    Worker(
        "tikhonova",
        "Тихонова",
        ("Светлана", "Игоревна"),
        "female",
        "95562412326",
        ("125", "Врач-эндокринолог"),
        ("31", "Эндокринология"),
        "gp999-consulting",
        accredited=3,
    ),
    Worker(
        "rakhimov",
        "Рахимов",
        ("Данияр", "Асхатович"),
        "male",
        "95638174355",
        ("122", "Врач-хирург"),
        ("30", "Хирургия"),
        "gp999-consulting",
        accredited=-20,
    ),
    Worker(
        "fedorova",
        "Фёдорова",
        ("Татьяна", "Львовна"),
        "female",
        "95741279448",
        ("13", "Врач-акушер-гинеколог"),
        ("8", "Акушерство и гинекология"),
        "gp999-consulting",
    ),
    Worker(
        "nikitin",
        "Никитин",
        ("Роман", "Олегович"),
        "male",
        "95836817375",
        ("35", "Врач клинической лабораторной диагностики"),
        ("13", "Клиническая лабораторная диагностика"),
        "lab-sever",
    ),
    Worker(
        "zhuravleva",
        "Журавлёва",
        ("Ксения", "Андреевна"),
        "female",
        "95936078572",
        ("174", "Медицинская сестра участковая"),
        ("219", "Сестринское дело"),
        "gp999-vaccination",
    ),
    Worker(
        "popova",
        "Попова",
        ("Галина", "Сергеевна"),
        "female",
        "95063126800",
        ("334", "Главный врач медицинской организации"),
        ("18", "Организация здравоохранения и общественное здоровье"),
        "gp999",
    ),
    Worker(
        "ershov",
        "Ершов",
        ("Михаил", "Ильич"),
        "male",
        "95194444238",
        ("53", "Врач-оториноларинголог"),
        ("19", "Оториноларингология"),
        "gp999-consulting",
    ),
)

# id, family, given, gender, organisation, what they do
STAFF = (
    ("larina", "Ларина", ("Юлия", "Андреевна"), "female", "gp999-registry", ("registrar", "Регистратор")),
    ("savin", "Савин", ("Антон", "Игоревич"), "male", "med-statistics", ("administrator", "Администратор, статистика")),
    ("demina", "Дёмина", ("Ольга", "Петровна"), "female", "med-statistics", ("support", "Служба поддержки")),
    ("gusev", "Гусев", ("Иван", "Романович"), "male", "stolitsa-polis", ("insurer-clerk", "Специалист страховщика")),
    ("kotova", "Котова", ("Мария", "Денисовна"), "female", "apteka-krug", ("pharmacist", "Фармацевт")),
)


def practitioners() -> Iterator[Json]:
    for worker in WORKERS:
        assert snils_is_valid(worker.snils), worker.snils
        yield _practitioner(worker.id, worker.family, worker.given, worker.gender) | {
            "identifier": [{"use": "official", "system": SNILS, "value": worker.snils}],
            "qualification": [
                {
                    "code": {"text": f"Аккредитация специалиста: {worker.specialty[1]}"},
                    "period": {"start": "2022-06-01", "end": day(worker.accredited)},
                }
            ],
        }
        yield _role(f"{worker.id}-role", worker.id, worker.organisation, worker.since) | {
            "code": [concept(POSITIONS, *worker.position)],
            "specialty": [concept(SPECIALTIES, *worker.specialty)],
        }
    yield _role("ershov-zarechnaya", "ershov", "zarechnaya", "2023-02-01") | {
        "code": [concept(POSITIONS, "53", "Врач-оториноларинголог")],
        "specialty": [concept(SPECIALTIES, "19", "Оториноларингология")],
    }
    for id, family, given, gender, organisation, what in STAFF:
        yield _practitioner(id, family, given, gender)
        yield _role(f"{id}-role", id, organisation, "2021-04-01") | {"code": [concept(OURS + "staff-role", *what)]}


def _practitioner(id: str, family: str, given: tuple[str, str], gender: str) -> Json:
    return {
        "resourceType": "Practitioner",
        "id": id,
        "active": True,
        "name": [human_name(family, given)],
        "gender": gender,
    }


def _role(id: str, practitioner: str, organisation: str, since: str) -> Json:
    return {
        "resourceType": "PractitionerRole",
        "id": id,
        "active": True,
        "period": {"start": since},
        "practitioner": ref(f"Practitioner/{practitioner}"),
        "organization": ref(f"Organization/{organisation}"),
    }
