"""Laboratory results as a laboratory sends them: panels, trends, one of every state, and two reports with pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from lab_tests import PANELS, TESTS, Test
from papers import pdf
from terms import HL7, LAB_TESTS, LOINC, OURS, SERVICES, UCUM, Json, at, coding, concept, ref

_CATEGORY = concept(HL7 + "observation-category", "laboratory", "Лабораторные исследования")
_PERFORMERS = [ref("Organization/lab-sever"), ref("PractitionerRole/nikitin-role")]
_BLOOD, _URINE, _SWAB = "Кровь венозная", "Моча", "Мазок из носоглотки"
_FLAGS = {"L": "Ниже нормы", "H": "Выше нормы", "N": "Норма", "LL": "Критически низко", "HH": "Критически высоко"}


class Report(NamedTuple):
    """One report: whose, which panel, how many days before the anchor, what was found, and in which state it is."""

    patient: str
    panel: str
    days: int
    found: dict[str, float | str]
    status: str = "final"
    conclusion: str = ""
    unread: bool = False
    specimen: str = _BLOOD


REPORTS = (
    Report("sokolova", "blood-count", 3, {"hemoglobin": 118, "erythrocytes": 4.12, "leukocytes": 6.3, "platelets": 244, "hematocrit": 35.8, "esr": 9}, conclusion="Лёгкое снижение гемоглобина."),
    Report("sokolova", "infections", 3, {"hbsag": "Не обнаружено", "hiv": "Не обнаружено"}),
    Report("sokolov", "glucose", 5, {"glucose": 5.1}),
    Report("sokolov-ilya", "urine", 41, {"urine-density": 1.018, "urine-ph": 6.0}, specimen=_URINE),
    Report("isaeva", "covid", 21, {"sars-cov-2": "Обнаружено"}, conclusion="Обнаружена РНК SARS-CoV-2.", specimen=_SWAB),
    Report("orlova", "blood-count", 8, {"hemoglobin": 131, "erythrocytes": 4.4, "leukocytes": 5.8, "platelets": 271, "hematocrit": 39.6, "esr": 6}, "amended", "Исправлено: лейкоциты пересчитаны."),
    Report("gromova", "coagulation", 9, {"inr": 1.1, "aptt": 29.4, "fibrinogen": 3.6}),
    Report("gromova", "biochemistry", 1, {"potassium": 6.4, "creatinine": 118}, "final", "Калий критически высок; врачу сообщено по телефону."),
    Report("gromov", "lipids", 540, {"cholesterol": 6.6, "hdl": 0.9, "ldl": 4.6, "triglycerides": 2.3}),
    Report("gromov", "lipids", 360, {"cholesterol": 5.4, "hdl": 1.0, "ldl": 3.4, "triglycerides": 2.0}),
    Report("gromov", "lipids", 180, {"cholesterol": 4.5, "hdl": 1.1, "ldl": 2.5, "triglycerides": 1.8}),
    Report("gromov", "lipids", 11, {"cholesterol": 3.6, "hdl": 1.1, "ldl": 1.7, "triglycerides": 1.6}, conclusion="Цель лечения почти достигнута."),
    Report("khasanov", "diabetes", 730, {"hba1c": 9.1}),
    Report("khasanov", "diabetes", 550, {"hba1c": 8.4}),
    Report("khasanov", "diabetes", 370, {"hba1c": 7.7}),
    Report("khasanov", "diabetes", 190, {"hba1c": 7.2}),
    Report("khasanov", "diabetes", 13, {"hba1c": 6.8}, conclusion="Цель лечения достигнута."),
    Report("khasanov", "psa", 13, {"psa": 1.24}),
    Report("khasanov", "biochemistry", 0, {"potassium": 4.5, "creatinine": 92, "alt": 38, "ast": 27}, "preliminary"),
    Report("lebedeva", "thyroid", 400, {"tsh": 9.8, "free-t4": 9.1}),
    Report("lebedeva", "thyroid", 200, {"tsh": 5.2, "free-t4": 12.3}),
    Report("lebedeva", "thyroid", 2, {"tsh": 2.4, "free-t4": 15.0}, conclusion="Достигнут эутиреоз.", unread=True),
    Report("kim", "blood-count", 6, {}, "cancelled", "Пробирка повреждена; сдайте кровь ещё раз."),
    Report("sokolov", "blood-count", 0, {}, "registered", "Результат ещё не готов; обычно он приходит за один рабочий день."),
)  # fmt: skip


def laboratory() -> Iterator[Json]:
    numbers: dict[tuple[str, str], int] = {}
    for report in REPORTS:
        key = (report.patient, report.panel)
        numbers[key] = numbers.get(key, 0) + 1
        yield from _report(report, f"{report.patient}-{report.panel}-{numbers[key]}")
    yield from _pictures()


def _report(report: Report, id: str) -> Iterator[Json]:
    taken, said = at(-report.days, "08:20"), at(-report.days, "15:40")
    specimen = f"{id}-specimen"
    yield {
        "resourceType": "Specimen",
        "id": specimen,
        "status": "unsatisfactory" if report.status == "cancelled" else "available",
        "subject": ref(f"Patient/{report.patient}"),
        "type": {"text": report.specimen},
        "collection": {"collectedDateTime": taken},
    }
    results = [_result(report, id, TESTS[name], value, taken, said, specimen) for name, value in report.found.items()]
    yield from results
    code, title = PANELS[report.panel]
    made: Json = {
        "resourceType": "DiagnosticReport",
        "id": id,
        "identifier": [{"system": "https://lab-sever.example/reports", "value": id}],
        "status": report.status,
        "category": [concept(HL7 + "v2-0074", "LAB", "Лаборатория")],
        "code": concept(SERVICES, code, title) if code else {"text": title},
        "subject": ref(f"Patient/{report.patient}"),
        "effectiveDateTime": taken,
        "issued": said,
        "performer": [ref("Organization/lab-sever")],
        "resultsInterpreter": [ref("PractitionerRole/nikitin-role")],
        "specimen": [ref(f"Specimen/{specimen}")],
    }
    if results:
        made["result"] = [ref(f"Observation/{each['id']}") for each in results]
    if report.conclusion:
        made["conclusion"] = report.conclusion
    if report.unread:
        made["meta"] = {"tag": [coding(OURS + "reading", "unread", "Новый, не прочитан")]}
    yield made


def _result(report: Report, id: str, test: Test, value: float | str, taken: str, said: str, specimen: str) -> Json:
    made: Json = {
        "resourceType": "Observation",
        "id": f"{id}-{test.id}",
        "identifier": [{"system": "https://lab-sever.example/results", "value": f"{id}-{test.id}"}],
        "status": report.status,
        "category": [_CATEGORY],
        "code": {"coding": [coding(LAB_TESTS, test.fnsi), coding(LOINC, test.loinc)], "text": test.name},
        "subject": ref(f"Patient/{report.patient}"),
        "effectiveDateTime": taken,
        "issued": said,
        "performer": _PERFORMERS,
        "specimen": ref(f"Specimen/{specimen}"),
    }
    if isinstance(value, str):
        abnormal = value == "Обнаружено"
        flag = concept(HL7 + "v3-ObservationInterpretation", "POS" if abnormal else "NEG", value)
        return made | {"valueCodeableConcept": {"text": value}, "interpretation": [flag]}
    unit = {"unit": test.unit} | ({"system": UCUM, "code": test.ucum} if test.ucum else {})
    low, high = test.ranges.get(report.patient, test.range)
    flag = "HH" if test.critical and value >= test.critical else "L" if value < low else "H" if value > high else "N"
    return made | {
        "valueQuantity": {"value": value} | unit,
        "interpretation": [concept(HL7 + "v3-ObservationInterpretation", flag, _FLAGS[flag])],
        "referenceRange": [{"low": {"value": low} | unit, "high": {"value": high} | unit}],
    }


def _pictures() -> Iterator[Json]:
    for id, patient, days, code, title, category, said, english in (
        ("sokolov-ecg", "sokolov", 7, "A05.10.006", "Регистрация электрокардиограммы", "EC", "Ритм синусовый, 68 в минуту.", "ECG: sinus rhythm, 68 per minute"),
        ("gromov-xray", "gromov", 30, "A06.09.006", "Флюорография легких", "RAD", "Очаговых теней нет.", "Chest X-ray: no focal shadows"),
    ):  # fmt: skip
        yield {
            "resourceType": "DiagnosticReport",
            "id": id,
            "identifier": [{"system": "https://gp999.example/reports", "value": id}],
            "status": "final",
            "category": [concept(HL7 + "v2-0074", category, title)],
            "code": concept(SERVICES, code, title),
            "subject": ref(f"Patient/{patient}"),
            "effectiveDateTime": at(-days, "09:10"),
            "issued": at(-days, "12:30"),
            "performer": [ref("Organization/gp999-consulting")],
            "resultsInterpreter": [ref("PractitionerRole/melnik-role")],
            "conclusion": said,
            "presentedForm": [{"contentType": "application/pdf", "title": f"{title}.pdf", "data": pdf(english)}],
        } | ({"imagingStudy": [ref("ImagingStudy/gromov-xray-study")]} if category == "RAD" else {})
    yield {
        "resourceType": "ImagingStudy",
        "id": "gromov-xray-study",
        "status": "available",
        "subject": ref("Patient/gromov"),
        "started": at(-30, "09:10"),
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "modality": [coding("http://dicom.nema.org/resources/ontology/DCM", "DX", "Digital Radiography")],
        "description": "Флюорография органов грудной клетки",
    }
