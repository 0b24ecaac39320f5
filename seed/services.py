"""What the polyclinic offers, and whether it asks for a referral or for money."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from terms import HL7, OURS, SERVICES, SPECIALTIES, Json, concept, extension, phone, ref


class Service(NamedTuple):
    """What can be booked: its name, its specialty and its code in the list of medical services."""

    id: str
    name: str
    specialty: tuple[str, str]
    service: tuple[str, str]
    room: str
    referral: bool = False
    price: int = 0


HEALTHCARE_SERVICES = (
    Service(
        "therapist",
        "Приём участкового терапевта",
        ("27", "Терапия"),
        ("B01.047.005", "Прием врача-терапевта участкового первичный"),
        "101",
    ),
    Service(
        "paediatrician",
        "Приём педиатра",
        ("22", "Педиатрия"),
        ("B01.031.001", "Прием врача-педиатра первичный"),
        "205",
    ),
    Service(
        "cardiologist",
        "Приём кардиолога",
        ("118", "Кардиология"),
        ("B01.015.001", "Прием врача-кардиолога первичный"),
        "312",
        referral=True,
        price=3200,
    ),
    Service(
        "neurologist",
        "Приём невролога",
        ("14", "Неврология"),
        ("B01.023.001", "Прием врача-невролога первичный"),
        "301",
        referral=True,
        price=2900,
    ),
    Service(
        "ophthalmologist",
        "Приём офтальмолога",
        ("20", "Офтальмология"),
        ("B01.029.001", "Прием врача-офтальмолога первичный"),
        "303",
        price=2600,
    ),
    Service(
        "otorhinolaryngologist",
        "Приём оториноларинголога",
        ("19", "Оториноларингология"),
        ("B01.028.001", "Прием врача-оториноларинголога первичный"),
        "305",
        price=2600,
    ),
    Service(
        "endocrinologist",
        "Приём эндокринолога",
        ("31", "Эндокринология"),
        ("B01.058.001", "Прием врача-эндокринолога первичный"),
        "308",
        referral=True,
        price=3000,
    ),
    Service(
        "surgeon",
        "Приём хирурга",
        ("30", "Хирургия"),
        ("B01.057.001", "Прием врача-хирурга первичный"),
        "102",
        price=2700,
    ),
    Service(
        "gynaecologist",
        "Приём акушера-гинеколога",
        ("8", "Акушерство и гинекология"),
        ("B01.001.001", "Прием врача-акушера-гинеколога первичный"),
        "315",
        price=2900,
    ),
    Service(
        "urologist",
        "Приём уролога",
        ("145", "Урология"),
        ("B01.053.001", "Прием врача-уролога первичный"),
        "102",
        referral=True,
        price=2900,
    ),
    Service(
        "ecg",
        "Электрокардиография",
        ("118", "Кардиология"),
        ("A05.10.006", "Регистрация электрокардиограммы"),
        "402",
        referral=True,
        price=900,
    ),
    Service(
        "blood",
        "Взятие крови",
        ("219", "Сестринское дело"),
        ("A11.12.009", "Взятие крови из периферической вены"),
        "401",
        referral=True,
        price=300,
    ),
    Service(
        "vaccination",
        "Вакцинация",
        ("219", "Сестринское дело"),
        ("B04.014.004", "Вакцинация"),
        "207",
    ),
    Service(
        "checkup",
        "Диспансеризация",
        ("27", "Терапия"),
        ("B04.047.004", "Профилактический прием врача-терапевта участкового"),
        "405",
    ),
)
SERVICE = {each.id: each for each in HEALTHCARE_SERVICES}


def healthcare_services() -> Iterator[Json]:
    for each in HEALTHCARE_SERVICES:
        yield _healthcare_service(each)


def _healthcare_service(service: Service) -> Json:
    made: Json = {
        "resourceType": "HealthcareService",
        "id": f"gp999-{service.id}",
        "active": True,
        "providedBy": ref("Organization/gp999"),
        "type": [concept(SERVICES, *service.service)],
        "specialty": [concept(SPECIALTIES, *service.specialty)],
        "location": [ref(f"Location/gp999-room-{service.room}")],
        "name": service.name,
        "program": [concept(OURS + "program", "oms", "Обязательное медицинское страхование")],
        "communication": [{"coding": [{"system": "urn:ietf:bcp:47", "code": "ru"}], "text": "Русский"}],
        "appointmentRequired": True,
        "telecom": [phone("+74955550999", "work")],
    }
    if service.referral:
        made["referralMethod"] = [concept(HL7 + "service-referral-method", "elec", "Электронное направление")]
    if service.price:
        made["extension"] = [extension("price", "Money", {"value": service.price, "currency": "RUB"})]
    return made
