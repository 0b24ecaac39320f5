"""The polyclinic, its neighbours, their buildings and rooms."""

from __future__ import annotations

from collections.abc import Iterator

from terms import (
    CLINIC_OID,
    DEPARTMENTS,
    HL7,
    INN,
    INSURERS,
    OGRN,
    REGISTER,
    Json,
    address,
    concept,
    phone,
    ref,
)

# id, name, ИНН, ОГРН, type, address, phone, number in the register of medical organisations
ORGANISATIONS = (
    (
        "gp999",
        "ГБУЗ «Городская поликлиника № 999 ДЗМ»",
        "7701990013",
        "1027700990019",
        "prov",
        address("Вымышленная ул., д. 9", "115999", use="work"),
        "+74955550999",
        CLINIC_OID,
    ),
    (
        "lab-sever",
        "ООО «КДЛ Север»",
        "7701990020",
        "1027700990020",
        "prov",
        address("Лабораторный пр-д, д. 3", "127999", use="work"),
        "+74955550203",
        "",
    ),
    (
        "apteka-krug",
        "АО «Аптека Круг»",
        "7701990038",
        "1027700990030",
        "bus",
        address("Круглая пл., д. 1", "115997", use="work"),
        "+74955550301",
        "",
    ),
    (
        "stolitsa-polis",
        "АО СМО «Столица-Полис»",
        "7701990045",
        "1027700990041",
        "ins",
        address("Полисная ул., д. 5", "119999", use="work"),
        "+74955550405",
        "",
    ),
    (
        "zarechnaya",
        "ГБУЗ МО «Заречная больница»",
        "5001990053",
        "1025000990057",
        "prov",
        address("Береговая ул., д. 2", "140999", "Заречье", use="work"),
        "+74965550502",
        "1.2.643.5.1.13.13.12.2.50.99902",
    ),
    (
        "med-statistics",
        "Центр медицинской статистики",
        "7701990060",
        "1027700990063",
        "govt",
        address("Счётная ул., д. 7", "107999", use="work"),
        "+74955550607",
        "",
    ),
)

DEPARTMENTS_OF_GP999 = (
    ("therapy", "Терапевтическое отделение"),
    ("consulting", "Консультативно-диагностическое отделение"),
    ("children", "Детское отделение"),
    ("day-hospital", "Дневной стационар"),
    ("vaccination", "Прививочный кабинет"),
    ("laboratory", "Клинико-диагностическая лаборатория"),
    ("registry", "Регистратура"),
)

# id, name, street, latitude, longitude
BUILDINGS = (
    ("main", "Корпус 1", "Вымышленная ул., д. 9", 55.7012, 37.6489),
    ("children", "Корпус 2, детский", "Вымышленная ул., д. 11", 55.7019, 37.6501),
    ("diagnostics", "Корпус 3, диагностический", "Вымышленная ул., д. 9А", 55.7007, 37.6478),
)

# room, what it is, building
ROOMS = (
    ("101", "участковый терапевт", "main"),
    ("102", "хирург", "main"),
    ("110", "регистратура", "main"),
    ("205", "педиатр", "children"),
    ("207", "прививочный кабинет", "children"),
    ("301", "невролог", "main"),
    ("303", "офтальмолог", "main"),
    ("305", "оториноларинголог", "main"),
    ("308", "эндокринолог", "main"),
    ("312", "кардиолог", "main"),
    ("315", "акушер-гинеколог", "main"),
    ("401", "взятие крови", "diagnostics"),
    ("402", "ЭКГ", "diagnostics"),
    ("405", "профилактические осмотры", "diagnostics"),
)


def organisations() -> Iterator[Json]:
    for id, name, inn, ogrn, kind, where, number, register in ORGANISATIONS:
        identifiers = [{"system": INN, "value": inn}, {"system": OGRN, "value": ogrn}]
        if register:
            identifiers.append({"system": REGISTER, "value": register})
        if kind == "ins":
            identifiers.append({"system": INSURERS, "value": "77990"})
        yield _organisation(id, name, kind) | {
            "identifier": identifiers,
            "telecom": [phone(number, "work")],
            "address": [where],
        }
    for place, (id, name) in enumerate(DEPARTMENTS_OF_GP999, 1):
        yield _organisation(f"gp999-{id}", name, "dept") | {
            "identifier": [{"system": DEPARTMENTS, "value": f"{CLINIC_OID}.0.{place}"}],
            "partOf": ref("Organization/gp999"),
        }
    yield from _places()
    yield from _pharmacies()


def _organisation(id: str, name: str, kind: str) -> Json:
    return {
        "resourceType": "Organization",
        "id": id,
        "active": True,
        "type": [concept(HL7 + "organization-type", kind, name)],
        "name": name,
    }


def _places() -> Iterator[Json]:
    where = {}
    for id, name, street, latitude, longitude in BUILDINGS:
        where[id] = (latitude, longitude)
        yield _location(f"gp999-{id}", name, latitude, longitude) | {
            "managingOrganization": ref("Organization/gp999"),
            "physicalType": concept(HL7 + "location-physical-type", "bu", "Здание"),
            "address": address(street, "115999", use="work"),
        }
    for place, (room, title, building) in enumerate(ROOMS):
        latitude, longitude = where[building]
        yield _location(
            f"gp999-room-{room}", f"Кабинет {room}, {title}", round(latitude + place / 1e5, 5), longitude
        ) | {
            "managingOrganization": ref("Organization/gp999"),
            "physicalType": concept(HL7 + "location-physical-type", "ro", "Кабинет"),
            "partOf": ref(f"Location/gp999-{building}"),
        }


def _pharmacies() -> Iterator[Json]:
    for number, street, stock in (
        (1, "Круглая пл., д. 1", "Клопидогрел есть в наличии"),
        (2, "Дуговая ул., д. 4", "Клопидогрела нет в наличии"),
    ):
        yield _location(f"apteka-krug-{number}", f"Аптека Круг, пункт {number}", 55.7101, 37.6 + number / 100) | {
            "description": stock,
            "managingOrganization": ref("Organization/apteka-krug"),
            "address": address(street, "115997", use="work"),
        }


def _location(id: str, name: str, latitude: float, longitude: float) -> Json:
    return {
        "resourceType": "Location",
        "id": id,
        "status": "active",
        "mode": "instance",
        "name": name,
        "position": {"longitude": longitude, "latitude": latitude},
    }
