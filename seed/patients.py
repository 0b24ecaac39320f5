"""Twelve patients of several families, their policies, and who may speak for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from terms import (
    BENEFITS,
    BIRTH_CERTIFICATES,
    CLINIC_OID,
    DOCUMENTS,
    ENP,
    GROUNDS,
    HL7,
    IDENTITY,
    POLICIES,
    PROOFS,
    RELATIONS,
    SNILS,
    VOLUNTARY,
    Json,
    address,
    coding,
    concept,
    day,
    enp_is_valid,
    extension,
    human_name,
    phone,
    ref,
    snils_is_valid,
)


class Person(NamedTuple):
    """A patient. `document` is a passport, or a birth certificate where it has Roman numerals."""

    id: str
    family: str
    given: tuple[str, ...]
    born: str
    gender: str
    snils: str
    enp: str
    document: str
    home: str
    phone: str = ""


_SOKOLOVS, _GROMOVS = "Вымышленная ул., д. 12, кв. 7", "Вымышленная ул., д. 20, кв. 3"

PEOPLE = (
    Person(
        "sokolov",
        "Соколов",
        ("Андрей", "Викторович"),
        "1984-03-14",
        "male",
        "91098419220",
        "7756510835900019",
        "4599:990101",
        _SOKOLOVS,
        "+79995550101",
    ),
    Person(
        "sokolova",
        "Соколова",
        ("Марина", "Олеговна"),
        "1987-11-02",
        "female",
        "91155238689",
        "7748210897900020",
        "4599:990102",
        _SOKOLOVS,
        "+79995550102",
    ),
    Person(
        "sokolov-ilya",
        "Соколов",
        ("Илья", "Андреевич"),
        "2016-06-09",
        "male",
        "91218314576",
        "7793389740900033",
        "IX-МЮ 990103",
        _SOKOLOVS,
    ),
    Person(
        "sokolova-vera",
        "Соколова",
        ("Вера", "Андреевна"),
        "2025-02-18",
        "female",
        "91329457010",
        "7797479781900046",
        "IX-МЮ 990104",
        _SOKOLOVS,
    ),
    Person(
        "gromova",
        "Громова",
        ("Нина", "Петровна"),
        "1948-01-25",
        "female",
        "91436546007",
        "7778150874900051",
        "4599:990105",
        _GROMOVS,
        "+79995550105",
    ),
    Person(
        "gromov",
        "Громов",
        ("Пётр", "Семёнович"),
        "1946-08-30",
        "male",
        "91582767242",
        "7771350819900060",
        "4599:990106",
        _GROMOVS,
        "+79995550106",
    ),
    Person(
        "isaeva",
        "Исаева",
        ("Дарья", "Романовна"),
        "1999-05-07",
        "female",
        "91663873948",
        "7754000892900070",
        "4599:990107",
        "Вымышленная ул., д. 14, кв. 51",
        "+79995550103",
    ),
    Person(
        "khasanov",
        "Хасанов",
        ("Тимур", "Маратович"),
        "1972-12-19",
        "male",
        "91708617118",
        "7747720830900086",
        "4599:990108",
        "Сочинённая ул., д. 3, кв. 18",
        "+79995550108",
    ),
    Person(
        "lebedeva",
        "Лебедева",
        ("Ольга", "Ивановна"),
        "1961-09-03",
        "female",
        "91835390429",
        "7750830896900096",
        "4599:990109",
        "Сочинённая ул., д. 5, кв. 2",
        "+79995550109",
    ),
    Person(
        "kim",
        "Ким",
        ("Алексей",),
        "1991-04-21",
        "male",
        "91907733937",
        "7755800828900105",
        "4599:990110",
        "Сочинённая ул., д. 8, кв. 44",
        "+79995550110",
    ),
    Person(
        "orlova",
        "Орлова",
        ("Анна-Мария", "Сергеевна"),
        "2008-10-12",
        "female",
        "92000423226",
        "7789199787900119",
        "4599:990111",
        "Вымышленная ул., д. 16, кв. 9",
        "+79995550111",
    ),
    Person(
        "vorontsov",
        "Воронцов",
        ("Глеб", "Игоревич"),
        "2001-07-01",
        "male",
        "92118946210",
        "7792899748900125",
        "4599:990112",
        "Сочинённая ул., д. 1, кв. 30",
        "+79995550112",
    ),
)

# id, child, family, given, relation (FNSI 99.2.14), proof (FNSI 99.2.313), phone
RELATIVES = (
    ("ilya-mother", "sokolov-ilya", "Соколова", ("Марина", "Олеговна"), "female", "MTH", "1", "+79995550102"),
    ("ilya-father", "sokolov-ilya", "Соколов", ("Андрей", "Викторович"), "male", "FTH", "1", "+79995550101"),
    ("vera-mother", "sokolova-vera", "Соколова", ("Марина", "Олеговна"), "female", "MTH", "1", "+79995550102"),
    ("vera-father", "sokolova-vera", "Соколов", ("Андрей", "Викторович"), "male", "FTH", "1", "+79995550101"),
    ("gromova-daughter", "gromova", "Лебедева", ("Ольга", "Ивановна"), "female", "DAU", "4", "+79995550109"),
)
_RELATION = {"MTH": ("1", "Мать"), "FTH": ("2", "Отец"), "DAU": ("4", "Уполномоченное лицо")}
_PROOF = {"1": "Свидетельство о рождении", "4": "Доверенность"}


def patients() -> Iterator[Json]:
    for number, person in enumerate(PEOPLE, 1):
        assert snils_is_valid(person.snils), person.snils
        assert enp_is_valid(person.enp), person.enp
        names = [human_name(person.family, person.given)]
        if person.id == "sokolova":
            names.append(human_name("Журавина", person.given, "maiden") | {"period": {"end": "2012-06-15"}})
        made: Json = {
            "resourceType": "Patient",
            "id": person.id,
            "active": True,
            "identifier": _identifiers(person, number),
            "name": names,
            "gender": person.gender,
            "birthDate": person.born,
            "address": [address(person.home, "115998")],
            "generalPractitioner": [ref("Organization/gp999", "ГП № 999")],
            "managingOrganization": ref("Organization/gp999"),
        }
        if person.phone:
            made["telecom"] = [phone(person.phone, "mobile")]
        yield made
    yield from _coverages()
    yield from _relatives()


def _identifiers(person: Person, number: int) -> list[Json]:
    table = HL7 + "v2-0203"
    born_here = "-МЮ " in person.document
    return [
        {"use": "official", "type": concept(table, "SB", "СНИЛС"), "system": SNILS, "value": person.snils},
        {"use": "official", "type": concept(table, "SB", "Полис ОМС"), "system": ENP, "value": person.enp},
        {
            "use": "official",
            "type": concept(IDENTITY, "6", "Свидетельство о рождении")
            if born_here
            else concept(IDENTITY, "1", "Паспорт гражданина Российской Федерации"),
            "system": BIRTH_CERTIFICATES if born_here else DOCUMENTS,
            "value": person.document,
        },
        {
            "use": "usual",
            "type": concept(table, "MR", "Номер карты"),
            "system": f"urn:oid:{CLINIC_OID}.100.1.1.10",
            "value": str(990000 + number),
        },
    ]


def _coverages() -> Iterator[Json]:
    for person in PEOPLE:
        kind, name, number, period = {
            "gromov": ("1", "Полис ОМС старого образца", "770000:1234567", {"start": "2009-04-01"}),
            "kim": ("3", "Полис ОМС единого образца с ограничением срока", person.enp, _until(-700, -12)),
            "vorontsov": ("4", "Временное свидетельство", "990000112", _until(-10, 35)),
        }.get(person.id, ("2", "Полис ОМС единого образца", person.enp, {"start": max("2019-01-01", person.born)}))
        yield _coverage(f"{person.id}-oms", person.id, number, period) | {
            "identifier": [{"type": concept(POLICIES, kind, name), "system": ENP, "value": number}],
            "type": {"coding": [coding(POLICIES, kind), coding(HL7 + "v3-ActCode", "PUBLICPOL")], "text": name},
        }
    yield _coverage("sokolov-dms", "sokolov", "ДМС-990-101", _until(-100, 265)) | {
        "identifier": [
            {"type": concept(HL7 + "v2-0203", "SN", "Полис ДМС"), "system": VOLUNTARY, "value": "ДМС-990-101"}
        ],
        "type": concept(GROUNDS, "2", "Добровольное медицинское страхование"),
    }
    for patient, code, name in (
        ("gromova", "1.00000.0217", "Инвалиды II группы"),
        ("gromov", "1.00000.0246", "Перенесшие инфаркт миокарда"),
    ):
        benefit = _coverage(f"{patient}-benefit", patient, code, _until(-320, 45))
        benefit["payor"] = [{"display": "Бюджет субъекта Российской Федерации"}]
        del benefit["subscriberId"]
        yield benefit | {
            "type": {"text": "Льготное лекарственное обеспечение"},
            "class": [
                {"type": concept(HL7 + "coverage-class", "plan", "Льготная категория"), "value": code, "name": name}
            ],
            "extension": [extension("benefit-category", "Coding", coding(BENEFITS, code, name))],
        }


def _until(start: int, end: int) -> Json:
    return {"start": day(start), "end": day(end)}


def _coverage(id: str, patient: str, number: str, period: Json) -> Json:
    return {
        "resourceType": "Coverage",
        "id": id,
        "status": "active",
        "subscriberId": number,
        "beneficiary": ref(f"Patient/{patient}"),
        "payor": [ref("Organization/stolitsa-polis")],
        "period": period,
    }


def _relatives() -> Iterator[Json]:
    for id, patient, family, given, gender, relation, proof, number in RELATIVES:
        code, name = _RELATION[relation]
        yield {
            "resourceType": "RelatedPerson",
            "id": id,
            "active": True,
            "patient": ref(f"Patient/{patient}"),
            "relationship": [
                {"coding": [coding(RELATIONS, code), coding(HL7 + "v3-RoleCode", relation)], "text": name},
            ],
            "name": [human_name(family, given)],
            "telecom": [phone(number, "mobile")],
            "gender": gender,
            "extension": [extension("proof-of-representation", "Coding", coding(PROOFS, proof, _PROOF[proof]))],
        }
