"""Which elements that may refer to a Patient say whose resource it is: a reviewed table.

Each parameter of the Patient compartment is in one of three groups. *subject*: the resource is about that patient.
*participant*: she takes part in it. Both make her an owner. *mention*: she wrote, reported or received it; that makes no owner.
Places outside the compartment that may name a Patient are reviewed too. What stands nowhere here counts as an owner's place, so
what is forgotten hides a resource and never shows one.

https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

Group = Literal["subject", "participant", "mention"]

_SUBJECT_PATIENT: Final = (
    "AllergyIntolerance BodyStructure Claim ClaimResponse Consent CoverageEligibilityRequest CoverageEligibilityResponse "
    "DetectedIssue EpisodeOfCare ExplanationOfBenefit FamilyMemberHistory Immunization ImmunizationEvaluation "
    "ImmunizationRecommendation MolecularSequence NutritionOrder RelatedPerson SupplyDelivery VisionPrescription"
)
_SUBJECT_SUBJECT: Final = (
    "Account AdverseEvent ChargeItem ClinicalImpression Communication CommunicationRequest Composition DeviceRequest "
    "DeviceUseStatement DiagnosticReport DocumentManifest DocumentReference Invoice List Media MedicationAdministration "
    "MedicationDispense MedicationRequest MedicationStatement Observation QuestionnaireResponse RequestGroup "
    "RiskAssessment ServiceRequest Specimen"
)
_PATIENT_IN_SUBJECT: Final = (
    "Basic CarePlan CareTeam Condition Encounter Flag Goal ImagingStudy Invoice MeasureReport MedicationAdministration "
    "MedicationDispense Procedure"
)

COMPARTMENT: Final[Mapping[tuple[str, str], tuple[Group, tuple[str, ...]]]] = MappingProxyType(
    {
        **{(name, "patient"): ("subject", ("patient",)) for name in _SUBJECT_PATIENT.split()},
        **{(name, "subject"): ("subject", ("subject",)) for name in _SUBJECT_SUBJECT.split()},
        **{(name, "patient"): ("subject", ("subject",)) for name in _PATIENT_IN_SUBJECT.split()},
        ("AuditEvent", "patient"): ("subject", ("agent.who", "entity.what")),
        ("Coverage", "beneficiary"): ("subject", ("beneficiary",)),
        ("EnrollmentRequest", "subject"): ("subject", ("candidate",)),
        ("Person", "patient"): ("subject", ("link.target",)),
        ("Provenance", "patient"): ("subject", ("target",)),
        ("ResearchSubject", "individual"): ("subject", ("individual",)),
        ("SupplyRequest", "subject"): ("subject", ("deliverTo",)),
        ("Appointment", "actor"): ("participant", ("participant.actor",)),
        ("AppointmentResponse", "actor"): ("participant", ("actor",)),
        ("CareTeam", "participant"): ("participant", ("participant.member",)),
        ("Claim", "payee"): ("participant", ("payee.party",)),
        ("Coverage", "payor"): ("participant", ("payor",)),
        ("Coverage", "policy-holder"): ("participant", ("policyHolder",)),
        ("Coverage", "subscriber"): ("participant", ("subscriber",)),
        ("ExplanationOfBenefit", "payee"): ("participant", ("payee.party",)),
        ("Group", "member"): ("participant", ("member.entity",)),
        ("RequestGroup", "participant"): ("participant", ("action.participant",)),
        ("Schedule", "actor"): ("participant", ("actor",)),
        ("AllergyIntolerance", "asserter"): ("mention", ("asserter",)),
        ("AllergyIntolerance", "recorder"): ("mention", ("recorder",)),
        ("Basic", "author"): ("mention", ("author",)),
        ("CarePlan", "performer"): ("mention", ("activity.detail.performer",)),
        ("Communication", "recipient"): ("mention", ("recipient",)),
        ("Communication", "sender"): ("mention", ("sender",)),
        ("CommunicationRequest", "recipient"): ("mention", ("recipient",)),
        ("CommunicationRequest", "requester"): ("mention", ("requester",)),
        ("CommunicationRequest", "sender"): ("mention", ("sender",)),
        ("Composition", "attester"): ("mention", ("attester.party",)),
        ("Composition", "author"): ("mention", ("author",)),
        ("Condition", "asserter"): ("mention", ("asserter",)),
        ("DeviceRequest", "performer"): ("mention", ("performer",)),
        ("DocumentManifest", "author"): ("mention", ("author",)),
        ("DocumentManifest", "recipient"): ("mention", ("recipient",)),
        ("DocumentReference", "author"): ("mention", ("author",)),
        ("Invoice", "recipient"): ("mention", ("recipient",)),
        ("List", "source"): ("mention", ("source",)),
        ("MedicationAdministration", "performer"): ("mention", ("performer.actor",)),
        ("MedicationDispense", "receiver"): ("mention", ("receiver",)),
        ("Observation", "performer"): ("mention", ("performer",)),
        # A link to another record of the same person gives no rights over it.
        ("Patient", "link"): ("mention", ("link.other",)),
        ("Procedure", "performer"): ("mention", ("performer.actor",)),
        ("QuestionnaireResponse", "author"): ("mention", ("author",)),
        ("ServiceRequest", "performer"): ("mention", ("performer",)),
    }
)
"""(type, parameter of the Patient compartment) → its group and the elements that it reads."""

OUTSIDE: Final[Mapping[tuple[str, str], Group]] = MappingProxyType(
    {
        ("Account", "guarantor.party"): "participant",
        ("BiologicallyDerivedProduct", "collection.source"): "subject",
        ("Contract", "signer.party"): "participant",
        ("Contract", "term.action.subject.reference"): "participant",
        ("Contract", "term.asset.valuedItem.recipient"): "participant",
        ("Contract", "term.asset.valuedItem.responsible"): "participant",
        ("Contract", "term.offer.party.reference"): "participant",
        ("Device", "patient"): "subject",
        ("DocumentReference", "context.sourcePatientInfo"): "subject",
        ("GuidanceResponse", "subject"): "subject",
        ("Observation", "focus"): "subject",
        ("AdverseEvent", "recorder"): "mention",
        ("AuditEvent", "source.observer"): "mention",
        ("CarePlan", "author"): "mention",
        ("CarePlan", "contributor"): "mention",
        ("ChargeItem", "enterer"): "mention",
        ("ChargeItem", "performer.actor"): "mention",
        ("Composition", "section.author"): "mention",
        ("Condition", "recorder"): "mention",
        ("Consent", "performer"): "mention",
        ("Consent", "provision.actor.reference"): "mention",
        ("Consent", "verification.verifiedWith"): "mention",
        ("Contract", "author"): "mention",
        ("Contract", "term.action.performer"): "mention",
        ("Contract", "term.action.requester"): "mention",
        ("DeviceUseStatement", "source"): "mention",
        ("Flag", "author"): "mention",
        ("Goal", "expressedBy"): "mention",
        ("ImagingStudy", "series.performer.actor"): "mention",
        ("Invoice", "participant.actor"): "mention",
        ("Media", "operator"): "mention",
        ("MedicationDispense", "performer.actor"): "mention",
        ("MedicationRequest", "performer"): "mention",
        ("MedicationRequest", "reportedReference"): "mention",
        ("MedicationRequest", "requester"): "mention",
        ("MedicationStatement", "informationSource"): "mention",
        ("Procedure", "asserter"): "mention",
        ("Procedure", "recorder"): "mention",
        ("Provenance", "agent.onBehalfOf"): "mention",
        ("Provenance", "agent.who"): "mention",
        ("QuestionnaireResponse", "source"): "mention",
        ("ServiceRequest", "requester"): "mention",
        ("SupplyRequest", "requester"): "mention",
        ("Task", "owner"): "mention",
        ("Task", "requester"): "mention",
        ("Task", "restriction.recipient"): "mention",
    }
)
"""(type, element) that may name a Patient and is in no parameter of the compartment → its group."""

MENTION_ENDINGS: Final = (".authorReference", ".signature.who", ".signature.onBehalfOf")
"""Inside data types: who wrote a note, who signed."""


def _paths(group: Group) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for (resource_type, _), (each, paths) in COMPARTMENT.items():
        if each == group:
            found.setdefault(resource_type, set()).update(paths)
    for (resource_type, path), each in OUTSIDE.items():
        if each == group:
            found.setdefault(resource_type, set()).add(path)
    return MappingProxyType({name: frozenset(paths) for name, paths in found.items()})


SUBJECTS: Final = _paths("subject")
PARTICIPANTS: Final = _paths("participant")
MENTIONS: Final = _paths("mention")
