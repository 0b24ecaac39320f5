"""Prescriptions in every state of the Russian forms, and what the pharmacy has given out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from terms import ATC, DRUGS, HL7, ICD, UCUM, VALIDITY, Json, at, coding, concept, day, extension, ref

ORDINARY, BENEFIT, COUNTED = "107-1/у", "148-1/у-04(л)", "148-1/у-88"
# code of FNSI 99.2.608: name, days
TERMS = {
    "1": ("15 дней", 15),
    "2": ("30 дней", 30),
    "3": ("60 дней", 60),
    "4": ("90 дней", 90),
    "5": ("до 1 года", 365),
}

AMLODIPINE = ("21.20.10.147-000001-1-00044-0000000000000", "C08CA01", "Амлодипин, таблетки 5 мг")
ATORVASTATIN = ("21.20.10.149-000001-1-00092-0000000000000", "C10AA05", "Аторвастатин, таблетки 20 мг")
CLOPIDOGREL = ("21.20.10.131-000001-1-00020-0000000000000", "B01AC04", "Клопидогрел, таблетки 75 мг")
METFORMIN = ("21.20.10.119-000001-1-00096-0000000000000", "A10BA02", "Метформин, таблетки 1000 мг")
GLARGINE = ("21.20.10.119-000034-1-00134-0000000000000", "A10AE04", "Инсулин гларгин, раствор 100 ЕД/мл")
LEVOTHYROXINE = ("21.20.10.182-000001-1-00037-0000000000000", "H03AA01", "Левотироксин натрия, таблетки 0,05 мг")
AMOXICILLIN = ("21.20.10.191-000003-1-00167-0000000000000", "J01CA04", "Амоксициллин, таблетки 500 мг")
IBUPROFEN = ("21.20.10.221-000010-1-00196-0000000000000", "M01AE01", "Ибупрофен, суспензия 20 мг/мл")
BISOPROLOL = ("21.20.10.146-000001-1-00035-0000000000000", "C07AB07", "Бисопролол, таблетки 5 мг")
TRAMADOL = ("21.20.10.232-000009-1-00253-0000000000000", "N02AX02", "Трамадол, капсулы 50 мг")
SALBUTAMOL = ("21.20.10.254-000009-1-00092-0000000000000", "R03AC02", "Сальбутамол, аэрозоль 0,1 мг/доза")


class Prescription(NamedTuple):
    """A prescription: `written` in days from the anchor, `times` a day, `packs` in pieces, `reason` of a state."""

    id: str
    patient: str
    status: str
    drug: tuple[str, str, str]
    form: str
    term: str
    written: int
    dose: str
    times: int
    pieces: int
    diagnosis: tuple[str, str]
    doctor: str = "belov"
    reason: str = ""
    repeats: int = 0


PRESCRIPTIONS = (
    Prescription("gromova-amlodipine", "gromova", "active", AMLODIPINE, BENEFIT, "4", -10, "По 1 таблетке утром", 1, 90, ("I10", "Эссенциальная гипертензия")),
    Prescription("gromova-atorvastatin", "gromova", "active", ATORVASTATIN, BENEFIT, "4", -10, "По 1 таблетке вечером", 1, 90, ("E78.0", "Гиперхолестеринемия")),
    Prescription("gromov-clopidogrel", "gromov", "on-hold", CLOPIDOGREL, BENEFIT, "2", -6, "По 1 таблетке в день", 1, 28, ("I25.2", "Перенесённый инфаркт миокарда"), "melnik", "Отложенное обслуживание: нет в аптеке"),
    Prescription("gromov-tramadol", "gromov", "active", TRAMADOL, COUNTED, "1", -2, "По 1 капсуле при боли, не чаще 2 раз в день", 2, 20, ("M54.5", "Боль внизу спины")),
    Prescription("khasanov-metformin", "khasanov", "active", METFORMIN, ORDINARY, "5", -55, "По 1 таблетке 2 раза в день", 2, 60, ("E11.9", "Сахарный диабет 2 типа"), repeats=11),
    Prescription("khasanov-glargine", "khasanov", "active", GLARGINE, BENEFIT, "4", -25, "По 14 ЕД вечером под кожу", 1, 5, ("E11.9", "Сахарный диабет 2 типа")),
    Prescription("lebedeva-levothyroxine", "lebedeva", "completed", LEVOTHYROXINE, ORDINARY, "5", -360, "По 1 таблетке утром за 30 минут до еды", 1, 100, ("E03.9", "Гипотиреоз"), "tikhonova"),
    Prescription("ilya-amoxicillin", "sokolov-ilya", "completed", AMOXICILLIN, ORDINARY, "3", -40, "По 1 таблетке 2 раза в день, 7 дней", 2, 20, ("J02.9", "Острый фарингит"), "zaitseva"),
    Prescription("sokolova-amoxicillin", "sokolova", "completed", AMOXICILLIN, ORDINARY, "3", -40, "По 1 таблетке 3 раза в день, 7 дней", 3, 20, ("J01.9", "Острый синусит")),
    Prescription("isaeva-ibuprofen", "isaeva", "cancelled", IBUPROFEN, ORDINARY, "3", -20, "По 10 мл при температуре выше 38,5", 3, 1, ("J06.9", "Острая инфекция верхних дыхательных путей"), reason="Отменён врачом"),
    Prescription("sokolov-bisoprolol", "sokolov", "stopped", BISOPROLOL, ORDINARY, "1", -45, "По 1 таблетке утром", 1, 30, ("I10", "Эссенциальная гипертензия"), reason="Срок действия истёк"),
    Prescription("kim-salbutamol", "kim", "draft", SALBUTAMOL, ORDINARY, "3", -1, "По 1 дозе при приступе", 4, 1, ("J45.9", "Астма")),
)  # fmt: skip
LEVOTHYROXINE_AGAIN = Prescription(
    "lebedeva-levothyroxine-again", "lebedeva", "draft", LEVOTHYROXINE, ORDINARY, "5", 0, "По 1 таблетке утром за 30 минут до еды", 1, 100, ("E03.9", "Гипотиреоз"), "tikhonova"
)  # fmt: skip
"""The repetition that the patient asks for: a proposal, not an order."""

# id, prescription, patient, day, pieces, drug
DISPENSED = (
    ("khasanov-metformin-1", "khasanov-metformin", "khasanov", -54, 60, METFORMIN),
    ("khasanov-metformin-2", "khasanov-metformin", "khasanov", -25, 60, METFORMIN),
    ("khasanov-glargine-1", "khasanov-glargine", "khasanov", -24, 2, GLARGINE),
    ("ilya-amoxicillin-1", "ilya-amoxicillin", "sokolov-ilya", -40, 20, AMOXICILLIN),
    ("sokolova-amoxicillin-1", "sokolova-amoxicillin", "sokolova", -39, 20, AMOXICILLIN),
    ("lebedeva-levothyroxine-1", "lebedeva-levothyroxine", "lebedeva", -358, 100, LEVOTHYROXINE),
)


def prescriptions() -> Iterator[Json]:
    for number, each in enumerate(PRESCRIPTIONS, 1):
        yield _prescription(each, number, "order")
    yield _prescription(LEVOTHYROXINE_AGAIN, len(PRESCRIPTIONS) + 1, "proposal") | {
        "priorPrescription": ref("MedicationRequest/lebedeva-levothyroxine"),
        "reportedReference": ref("Patient/lebedeva"),
    }
    for id, request, patient, given, pieces, drug in DISPENSED:
        yield {
            "resourceType": "MedicationDispense",
            "id": id,
            "status": "completed",
            "medicationCodeableConcept": _medication(drug),
            "subject": ref(f"Patient/{patient}"),
            "performer": [{"actor": ref("PractitionerRole/kotova-role")}],
            "location": ref("Location/apteka-krug-1"),
            "authorizingPrescription": [ref(f"MedicationRequest/{request}")],
            "quantity": _pieces(pieces),
            "whenHandedOver": at(given, "17:45"),
        }


def _prescription(each: Prescription, number: int, intent: str) -> Json:
    term, days = TERMS[each.term]
    name, icd = each.diagnosis[1], each.diagnosis[0]
    made: Json = {
        "resourceType": "MedicationRequest",
        "id": each.id,
        "extension": [
            extension("rx-form", "String", each.form),
            extension("rx-validity", "Coding", coding(VALIDITY, each.term, term)),
        ],
        "identifier": [
            {
                "type": concept(HL7 + "v2-0203", "PLAC", "Серия и номер"),
                "system": "https://gp999.example/rx-series-number",
                "value": f"77-26:{990000 + number}",
            }
        ],
        "status": each.status,
        "intent": intent,
        "medicationCodeableConcept": _medication(each.drug),
        "subject": ref(f"Patient/{each.patient}"),
        "authoredOn": at(each.written, "10:05"),
        "requester": ref(f"PractitionerRole/{each.doctor}-role"),
        "reasonCode": [concept(ICD, icd, name)],
        "dosageInstruction": [
            {
                "text": each.dose,
                "timing": {"repeat": {"frequency": each.times, "period": 1, "periodUnit": "d"}},
                "asNeededBoolean": " при " in each.dose,
            }
        ],
        "dispenseRequest": {
            "validityPeriod": {"start": day(each.written), "end": day(each.written + days)},
            "numberOfRepeatsAllowed": each.repeats,
            "quantity": _pieces(each.pieces),
        },
    }
    if each.reason:
        made["statusReason"] = {"text": each.reason}
    if each.form == BENEFIT:
        made["groupIdentifier"] = {
            "system": "https://gp999.example/rx-group",
            "value": f"{each.patient}{each.written}",
        }
        made["insurance"] = [ref(f"Coverage/{each.patient}-{'oms' if each.patient == 'khasanov' else 'benefit'}")]
    return made


def _medication(drug: tuple[str, str, str]) -> Json:
    return {"coding": [coding(DRUGS, drug[0]), coding(ATC, drug[1])], "text": drug[2]}


def _pieces(count: int) -> Json:
    return {"value": count, "unit": "шт.", "system": UCUM, "code": "{piece}"}
