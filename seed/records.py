"""What is the patients': themselves, coverages, vaccinations, laboratory results, prescriptions and consents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from terms import (
    ATC,
    DRUGS,
    ENP,
    HL7,
    LAB_TESTS,
    LOINC,
    OURS,
    SERVICES,
    SNILS,
    UCUM,
    VACCINES,
    Json,
    at,
    concept,
    day,
    enp_is_valid,
    human_name,
    ref,
    snils_is_valid,
)

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
