"""Papers and tasks: what patients uploaded, what the polyclinic issued, illnesses and allergies, and applications in every state."""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Iterator
from struct import pack

from terms import ELECTRONIC_DOCUMENTS, HL7, ICD, OURS, Json, at, concept, day, ref


def pdf(line: str) -> str:
    """A PDF of one page with one line of Latin text, in base64."""
    text = f"BT /F1 12 Tf 40 80 Td ({line}) Tj ET"
    objects = (
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 420 120]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        f"<</Length {len(text)}>>stream\n{text}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    made, places = "%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += f"{number} 0 obj{content}endobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    end = f"xref\n0 6\n0000000000 65535 f \n{table}trailer<</Size 6/Root 1 0 R>>\nstartxref\n{len(made)}\n%%EOF\n"
    return base64.b64encode((made + end).encode("ascii")).decode("ascii")


def png() -> str:
    """A PNG of one grey pixel, in base64."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))

    header = pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    # The compressed bytes are stored, not deflated: the same on every machine.
    pixels = zlib.compress(b"\0\x80", 0)
    whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return base64.b64encode(whole).decode("ascii")


# id, patient, author, kind, title, media type, text, state
DOCUMENTS = (
    ("khasanov-discharge", "khasanov", "Patient/khasanov", "", "Выписка из больницы, загружена пациентом", "application/pdf", "Discharge summary (invented)", "current"),
    ("lebedeva-certificate", "lebedeva", "Patient/lebedeva", "", "Сертификат о прививке, загружен пациенткой", "image/png", "", "current"),
    ("sokolov-old-upload", "sokolov", "Patient/sokolov", "", "Справка, в архиве у пациента", "application/pdf", "Old note (invented)", "superseded"),
    ("ilya-school", "sokolov-ilya", "PractitionerRole/zaitseva-role", "208", "Справка о состоянии здоровья", "application/pdf", "School certificate (invented)", "current"),
    ("vera-vaccinations", "sokolova-vera", "PractitionerRole/zhuravleva-role", "170", "Сертификат профилактических прививок", "application/pdf", "Vaccination certificate (invented)", "current"),
    ("lebedeva-checkup", "lebedeva", "PractitionerRole/belov-role", "129", "Эпикриз диспансеризации", "application/pdf", "Check-up summary (invented)", "current"),
)  # fmt: skip

# id, patient, code, text, onset
ILLNESSES = (
    ("gromova-hypertension", "gromova", "I10", "Эссенциальная гипертензия", "2004"),
    ("gromov-infarction", "gromov", "I25.2", "Перенесённый инфаркт миокарда", "2025-03-11"),
    ("khasanov-diabetes", "khasanov", "E11.9", "Сахарный диабет 2 типа", "2024-10"),
    ("lebedeva-hypothyroidism", "lebedeva", "E03.9", "Гипотиреоз", "2025-09"),
    ("sokolova-pregnancy", "sokolova", "Z34.0", "Наблюдение за нормальной беременностью", "2026-08"),
    ("kim-asthma", "kim", "J45.9", "Астма", "2003"),
)

# id, patient, what is applied for, state, its colour, days ago, reason
APPLICATIONS = (
    ("orlova-attachment", "orlova", "attachment", "Прикрепление к поликлинике", "completed", "green", 20, ""),
    ("isaeva-policy", "isaeva", "policy-change", "Изменение данных полиса", "in-progress", "yellow", 2, ""),
    ("sokolova-birth", "sokolova", "birth-certificate", "Родовой сертификат", "in-progress", "yellow", 6, ""),
    ("kim-certificate", "kim", "certificate", "Справка", "rejected", "red", 9, "Полис не действует: срок окончился."),
    ("vorontsov-support", "vorontsov", "support", "Обращение в поддержку", "requested", "yellow", 0, ""),
)


def papers() -> Iterator[Json]:
    for id, patient, author, code, title, media_type, line, status in DOCUMENTS:
        data = pdf(line) if media_type == "application/pdf" else png()
        content = base64.b64decode(data)
        yield {
            "resourceType": "DocumentReference",
            "id": id,
            "status": status,
            "type": concept(ELECTRONIC_DOCUMENTS, code, title) if code else {"text": title},
            "subject": ref(f"Patient/{patient}"),
            "date": at(-5, "18:30"),
            "author": [ref(author)],
            "content": [
                {
                    "attachment": {
                        "contentType": media_type,
                        "language": "ru",
                        "data": data,
                        "size": len(content),
                        "hash": base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode("ascii"),
                        "title": title,
                    }
                }
            ],
        } | ({"custodian": ref("Organization/gp999")} if code else {})


def illnesses() -> Iterator[Json]:
    for id, patient, code, name, onset in ILLNESSES:
        yield {
            "resourceType": "Condition",
            "id": id,
            "clinicalStatus": concept(HL7 + "condition-clinical", "active", "Активно"),
            "verificationStatus": concept(HL7 + "condition-ver-status", "confirmed", "Подтверждено"),
            "code": concept(ICD, code, name),
            "subject": ref(f"Patient/{patient}"),
            "onsetDateTime": onset,
            "recorder": ref("PractitionerRole/belov-role"),
        }
    yield {
        "resourceType": "AllergyIntolerance",
        "id": "ilya-peanut",
        "clinicalStatus": concept(HL7 + "allergyintolerance-clinical", "active", "Активна"),
        "verificationStatus": concept(HL7 + "allergyintolerance-verification", "confirmed", "Подтверждена"),
        "type": "allergy",
        "category": ["food"],
        "criticality": "low",
        "code": {"text": "Арахис"},
        "patient": ref("Patient/sokolov-ilya"),
        "recorder": ref("PractitionerRole/zaitseva-role"),
        "reaction": [{"manifestation": [{"text": "Крапивница"}], "severity": "mild"}],
    }


def applications() -> Iterator[Json]:
    for id, patient, code, name, status, colour, ago, reason in APPLICATIONS:
        yield {
            "resourceType": "Task",
            "id": id,
            "status": status,
            "businessStatus": concept(OURS + "application-colour", colour, colour),
            "intent": "order",
            "code": concept(OURS + "application", code, name),
            "for": ref(f"Patient/{patient}"),
            "authoredOn": at(-ago, "13:00"),
            "requester": ref(f"Patient/{patient}"),
            "owner": ref("Organization/gp999"),
            "restriction": {"period": {"end": day(10 - ago)}},
        } | ({"statusReason": {"text": reason}} if reason else {})
