"""Who may read whose records. Each Consent says only what the gate evaluates: scope, state, period, and actors.

Of the polyclinic's stories these are not written yet, since a Consent that holds more permits nobody, and one that held less
would permit more than its patient meant:
- a purpose: Громова for her insurer, Лебедева for research without names, Громов for electronic prescriptions;
- a class of records: Хасанов, who shows an endocrinologist his laboratory results alone;
- a label: Громов, who hides a note of a psychiatrist;
- an action: Хасанов, for consultations over video;
- a relative as the actor: Громова for her daughter, Орлова against her parents.
Ким and Воронцов permit nobody.
"""

from __future__ import annotations

from collections.abc import Iterator

from terms import HL7, OURS, Json, at, concept, day, ref

_ORGANISATION = ("card-org", "Доступ медицинской организации к карте")
_DOCTOR = ("card-doctor", "Доступ врача к карте")

# id, patient, who signed, category, actor, state, first and last day
CONSENTS = (
    ("sokolov-card-org", "sokolov", "Patient/sokolov", _ORGANISATION, "Organization/gp999", "active", -30, None),
    ("sokolova-card-doctor", "sokolova", "Patient/sokolova", _DOCTOR, "PractitionerRole/belov-role", "active", -1, 37),
    ("isaeva-card-org", "isaeva", "Patient/isaeva", _ORGANISATION, "Organization/gp999", "inactive", -30, None),
    ("ilya-card-org", "sokolov-ilya", "RelatedPerson/ilya-father", _ORGANISATION, "Organization/gp999", "active", -40, None),
    ("vera-card-children", "sokolova-vera", "RelatedPerson/vera-mother", _ORGANISATION, "Organization/gp999-children", "active", -40, None),
    ("vera-card-vaccination", "sokolova-vera", "RelatedPerson/vera-mother", _ORGANISATION, "Organization/gp999-vaccination", "active", -40, None),
    ("gromova-card-belov", "gromova", "Patient/gromova", _DOCTOR, "PractitionerRole/belov-role", "active", -14, 45),
    ("gromova-card-melnik", "gromova", "Patient/gromova", _DOCTOR, "PractitionerRole/melnik-role", "active", -3, 37),
    ("gromov-card-org", "gromov", "Patient/gromov", _ORGANISATION, "Organization/gp999", "active", -50, None),
    ("gromov-card-zarechnaya", "gromov", "Patient/gromov", _ORGANISATION, "Organization/zarechnaya", "active", -10, 80),
    ("khasanov-card-belov", "khasanov", "Patient/khasanov", _DOCTOR, "PractitionerRole/belov-role", "active", -14, 45),
    ("lebedeva-card-tikhonova", "lebedeva", "Patient/lebedeva", _DOCTOR, "PractitionerRole/tikhonova-role", "active", -4, 31),
    ("lebedeva-card-belov", "lebedeva", "Patient/lebedeva", _DOCTOR, "PractitionerRole/belov-role", "active", -4, 39),
    ("orlova-card-org", "orlova", "Patient/orlova", _ORGANISATION, "Organization/gp999", "active", -25, None),
)  # fmt: skip


def consents() -> Iterator[Json]:
    for id, patient, signed_by, category, actor, status, first, last in CONSENTS:
        yield {
            "resourceType": "Consent",
            "id": id,
            "status": status,
            "scope": concept(HL7 + "consentscope", "patient-privacy", "Доступ к медицинской карте"),
            "category": [concept(OURS + "consent-category", *category)],
            "patient": ref(f"Patient/{patient}"),
            "dateTime": at(first, "12:00"),
            "performer": [ref(signed_by)],
            "organization": [ref("Organization/gp999")],
            "policyRule": {"coding": [{"system": HL7 + "v3-ActCode", "code": "OPTIN"}]},
            "provision": {
                "type": "permit",
                "period": {"start": day(first)} | ({} if last is None else {"end": day(last)}),
                "actor": [
                    {
                        "role": concept(HL7 + "v3-ParticipationType", "IRCP", "Получатель сведений"),
                        "reference": ref(actor),
                    }
                ],
            },
        }
