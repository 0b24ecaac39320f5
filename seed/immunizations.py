"""Vaccinations by the national calendar, grown-ups' boosters, one refusal on medical grounds, and one certificate to be checked."""

from __future__ import annotations

from collections.abc import Iterator

from terms import HL7, UCUM, VACCINES, Json, concept, ref

BCG = ("11135", "Вакцина туберкулезная для щадящей первичной иммунизации (БЦЖ-М)")
HEPATITIS_B = ("169", "Регевак В")
PREVENAR = ("11128", "Превенар 13")
PENTAXIM = ("11386", "Пентаксим")
MMR = ("11081", "Вактривир")
POLIO = ("10239", "БиВак полио")
ADSM = ("61", "АДС-М-анатоксин")
FLU = ("11379", "Ультрикс Квадри")
SPUTNIK = ("11092", "Гам-КОВИД-Вак")
TICK = ("276", "Клещ-Э-Вак")

# vaccine: against what, volume in mL, dose, series
_KIND = {
    BCG: ("Туберкулёз", 0.1, "Левое плечо"),
    HEPATITIS_B: ("Гепатит B", 0.5, "Правое бедро"),
    PREVENAR: ("Пневмококковая инфекция", 0.5, "Левое бедро"),
    PENTAXIM: ("Коклюш, дифтерия, столбняк, полиомиелит, гемофильная инфекция", 0.5, "Правое бедро"),
    MMR: ("Корь, краснуха, эпидемический паротит", 0.5, "Левое плечо"),
    POLIO: ("Полиомиелит", 0.2, "Через рот"),
    ADSM: ("Дифтерия, столбняк", 0.5, "Правое плечо"),
    FLU: ("Грипп", 0.5, "Левое плечо"),
    SPUTNIK: ("Новая коронавирусная инфекция", 0.5, "Левое плечо"),
    TICK: ("Клещевой энцефалит", 0.5, "Левое плечо"),
}

# patient, vaccine, stage of the calendar, dose, day, lot, last day of the lot
GIVEN = (
    ("sokolova-vera", HEPATITIS_B, "V1", 1, "2025-02-18", "РВ-0125", "2027-12-31"),
    ("sokolova-vera", BCG, "V", 1, "2025-02-22", "БМ-1124", "2026-11-30"),
    ("sokolova-vera", HEPATITIS_B, "V2", 2, "2025-03-20", "РВ-0125", "2027-12-31"),
    ("sokolova-vera", PREVENAR, "V1", 1, "2025-04-21", "FX-3301", "2027-06-30"),
    ("sokolova-vera", PENTAXIM, "V1", 1, "2025-05-20", "W3C41V", "2027-03-31"),
    ("sokolova-vera", PENTAXIM, "V2", 2, "2025-07-07", "W3C41V", "2027-03-31"),
    ("sokolova-vera", PREVENAR, "V2", 2, "2025-07-07", "FX-3301", "2027-06-30"),
    ("sokolova-vera", PENTAXIM, "V3", 3, "2025-08-19", "W3C77V", "2027-05-31"),
    ("sokolova-vera", HEPATITIS_B, "V3", 3, "2025-08-19", "РВ-0325", "2028-02-29"),
    ("sokolova-vera", MMR, "V", 1, "2026-02-19", "ВТ-0725", "2027-07-31"),
    ("sokolova-vera", PREVENAR, "RV", 3, "2026-05-19", "FX-4410", "2028-01-31"),
    ("sokolova-vera", PENTAXIM, "RV1", 4, "2026-08-18", "W4A12V", "2028-04-30"),
    ("sokolov-ilya", HEPATITIS_B, "V1", 1, "2016-06-09", "РВ-0216", "2019-02-28"),
    ("sokolov-ilya", BCG, "V", 1, "2016-06-13", "БМ-0316", "2018-03-31"),
    ("sokolov-ilya", HEPATITIS_B, "V2", 2, "2016-07-11", "РВ-0216", "2019-02-28"),
    ("sokolov-ilya", PREVENAR, "V1", 1, "2016-08-10", "FX-0816", "2018-08-31"),
    ("sokolov-ilya", PENTAXIM, "V1", 1, "2016-09-12", "W0C11V", "2018-09-30"),
    ("sokolov-ilya", PENTAXIM, "V2", 2, "2016-10-27", "W0C11V", "2018-09-30"),
    ("sokolov-ilya", PREVENAR, "V2", 2, "2016-10-27", "FX-0816", "2018-08-31"),
    ("sokolov-ilya", PENTAXIM, "V3", 3, "2016-12-12", "W0C39V", "2018-11-30"),
    ("sokolov-ilya", HEPATITIS_B, "V3", 3, "2016-12-12", "РВ-0816", "2019-08-31"),
    ("sokolov-ilya", MMR, "V", 1, "2017-06-14", "ВТ-0117", "2018-01-31"),
    ("sokolov-ilya", PREVENAR, "RV", 3, "2017-09-13", "FX-0717", "2019-07-31"),
    ("sokolov-ilya", PENTAXIM, "RV1", 4, "2017-12-13", "W1A20V", "2019-10-31"),
    ("sokolov-ilya", POLIO, "RV2", 5, "2018-02-14", "ПБ-1217", "2019-12-31"),
    ("sokolov-ilya", MMR, "RV", 2, "2022-06-15", "ВТ-0222", "2023-02-28"),
    ("sokolov-ilya", POLIO, "RV3", 6, "2022-07-20", "ПБ-0322", "2024-03-31"),
    ("sokolov-ilya", ADSM, "RV2", 2, "2023-06-21", "А-0423", "2026-04-30"),
    ("orlova", ADSM, "RV3", 3, "2022-10-19", "А-0622", "2025-06-30"),
    ("sokolov", ADSM, "RV", 4, "2024-05-21", "А-0424", "2027-04-30"),
    ("sokolov", TICK, "V1", 1, "2026-03-16", "КЭ-0925", "2027-09-30"),
    ("sokolov", TICK, "V2", 2, "2026-04-16", "КЭ-0925", "2027-09-30"),
    ("gromova", ADSM, "RV", 5, "2014-04-08", "А-1113", "2016-11-30"),
    ("sokolov", FLU, "V", 1, "2026-10-05", "У-0926", "2027-09-30"),
    ("sokolova", FLU, "V", 1, "2026-10-07", "У-0926", "2027-09-30"),
    ("gromova", FLU, "V", 1, "2026-10-12", "У-0926", "2027-09-30"),
    ("gromov", FLU, "V", 1, "2026-10-12", "У-0926", "2027-09-30"),
    ("isaeva", SPUTNIK, "V1, компонент I", 1, "2021-07-05", "I-870521", "2022-01-31"),
    ("isaeva", SPUTNIK, "V2, компонент II", 2, "2021-07-26", "II-870621", "2022-01-31"),
)  # fmt: skip


def immunizations() -> Iterator[Json]:
    for place, (patient, vaccine, stage, dose, given, lot, expires) in enumerate(GIVEN, 1):
        yield _given(f"{patient}-{place:02}", patient, vaccine, stage, dose, given) | {
            "primarySource": True,
            "lotNumber": lot,
            "expirationDate": expires,
            "performer": [{"actor": ref("PractitionerRole/zhuravleva-role")}],
        }
    yield _given("lebedeva-uploaded", "lebedeva", SPUTNIK, "V1, компонент I", 1, "2021-08-02") | {
        "primarySource": False,
        "reportOrigin": concept(HL7 + "immunization-origin", "record", "Сертификат, который загрузила пациентка"),
        "lotNumber": "I-900721",
        "note": [{"text": "Ждёт проверки."}],
    }
    refused = _given("vera-polio-not-done", "sokolova-vera", POLIO, "RV2", 5, "2026-10-19")
    del refused["doseQuantity"]
    yield refused | {
        "status": "not-done",
        "statusReason": concept(HL7 + "v3-ActReason", "MEDPREC", "Медицинский отвод: острая респираторная инфекция"),
        "primarySource": True,
        "performer": [{"actor": ref("PractitionerRole/zaitseva-role")}],
    }
    yield {
        "resourceType": "ImmunizationRecommendation",
        "id": "vera-polio",
        "patient": ref("Patient/sokolova-vera"),
        "date": "2026-10-19",
        "authority": ref("Organization/gp999"),
        "recommendation": [
            {
                "vaccineCode": [concept(VACCINES, *POLIO)],
                "targetDisease": {"text": "Полиомиелит"},
                "forecastStatus": concept(
                    HL7 + "immunization-recommendation-status", "due", "После выздоровления, не раньше чем через месяц"
                ),
                "dateCriterion": [
                    {
                        "code": {"coding": [{"system": "http://loinc.org", "code": "30981-5"}], "text": "Не раньше"},
                        "value": "2026-11-24",
                    }
                ],
                "series": "Национальный календарь, RV2",
                "doseNumberPositiveInt": 5,
                "supportingImmunization": [ref("Immunization/vera-polio-not-done")],
            }
        ],
    }


def _given(id: str, patient: str, vaccine: tuple[str, str], stage: str, dose: int, given: str) -> Json:
    disease, volume, site = _KIND[vaccine]
    return {
        "resourceType": "Immunization",
        "id": id,
        "status": "completed",
        "vaccineCode": concept(VACCINES, *vaccine),
        "patient": ref(f"Patient/{patient}"),
        "occurrenceDateTime": given,
        "site": {"text": site},
        "doseQuantity": {"value": volume, "unit": "мл", "system": UCUM, "code": "mL"},
        "protocolApplied": [
            {
                "series": f"Национальный календарь, {stage}",
                "targetDisease": [{"text": disease}],
                "doseNumberPositiveInt": dose,
            }
        ],
    }
