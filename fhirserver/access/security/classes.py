"""The access class of every R4 resource type, and which types give rights: reviewed tables.

A type that stands in no class is visible to nobody, so a new one has to be given its place here.

https://hl7.org/fhir/R4/resourcelist.html
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

AccessClass = Literal["patient", "directory", "public", "adjacent", "system"]

_TYPES: Final[dict[AccessClass, str]] = {
    # Belongs to its owners; without a resolvable one it is its creator's.
    "patient": """
        Account AdverseEvent AllergyIntolerance Appointment AppointmentResponse BiologicallyDerivedProduct BodyStructure
        CarePlan CareTeam ChargeItem Claim ClaimResponse ClinicalImpression CommunicationRequest Condition Contract Coverage
        CoverageEligibilityRequest CoverageEligibilityResponse DetectedIssue DeviceRequest DeviceUseStatement
        DiagnosticReport DocumentReference Encounter EnrollmentRequest EnrollmentResponse EpisodeOfCare
        ExplanationOfBenefit FamilyMemberHistory Flag Goal GuidanceResponse ImagingStudy Immunization
        ImmunizationEvaluation ImmunizationRecommendation Invoice MedicationAdministration MedicationDispense
        MedicationRequest MedicationStatement MolecularSequence NutritionOrder Observation Patient PaymentNotice
        PaymentReconciliation Procedure RelatedPerson RequestGroup ResearchSubject RiskAssessment ServiceRequest Specimen
        SupplyDelivery SupplyRequest VisionPrescription
    """,
    # Who, where and with what: read by everybody, written by systems whose scope names the type.
    "directory": """
        CatalogEntry DeviceDefinition Endpoint HealthcareService InsurancePlan Location Medication MedicationKnowledge
        MedicinalProduct MedicinalProductAuthorization MedicinalProductContraindication MedicinalProductIndication
        MedicinalProductIngredient MedicinalProductInteraction MedicinalProductManufactured MedicinalProductPackaged
        MedicinalProductPharmaceutical MedicinalProductUndesirableEffect Organization OrganizationAffiliation Practitioner
        PractitionerRole ResearchStudy Schedule Slot Substance SubstanceNucleicAcid SubstancePolymer SubstanceProtein
        SubstanceReferenceInformation SubstanceSourceMaterial SubstanceSpecification
    """,
    # Terminology, conformance and definitions.
    "public": """
        ActivityDefinition CapabilityStatement ChargeItemDefinition CodeSystem CompartmentDefinition ConceptMap
        EffectEvidenceSynthesis EventDefinition Evidence EvidenceVariable ExampleScenario GraphDefinition
        ImplementationGuide Library Measure MessageDefinition NamingSystem ObservationDefinition OperationDefinition
        PlanDefinition Questionnaire ResearchDefinition ResearchElementDefinition RiskEvidenceSynthesis SearchParameter
        SpecimenDefinition StructureDefinition StructureMap TerminologyCapabilities TestReport TestScript ValueSet
    """,
    # Carries or groups other content, whose owners it does not show by itself: its creator's only.
    "adjacent": """
        Basic Binary Bundle Communication Composition Device DeviceMetric DocumentManifest Group Linkage List
        MeasureReport Media MessageHeader OperationOutcome Person QuestionnaireResponse Subscription Task
        VerificationResult
    """,
    # Says who may see what, or who did what: the patient's, and the system's that wrote it.
    "system": """
        AuditEvent Consent Provenance
    """,
}

ACCESS_CLASS: Final[Mapping[str, AccessClass]] = MappingProxyType(
    {resource_type: access_class for access_class, types in _TYPES.items() for resource_type in types.split()}
)
"""The class of a type. What a resource holds may still make it a patient's, or its creator's: `compartments`."""

OPEN_CLASSES: Final = frozenset(("directory", "public"))
"""Visible to every principal."""

BY_NAME: Final = frozenset(name for name, each in ACCESS_CLASS.items() if each == "directory") | {
    "CareTeam",
    "Group",
    "RelatedPerson",
    "SearchParameter",
}
"""Directory types, those that give rights, and what changes everybody's searches: written only by systems whose scope names the type, not `*`. (Consent apart.)"""

PATIENT_SAYS: Final = frozenset(("Observation", "QuestionnaireResponse", "DocumentReference", "Appointment", "Binary"))
"""What a patient may say of herself, her Consents apart."""

APPOINTMENT_REQUESTS: Final = frozenset(("proposed", "pending", "cancelled"))
"""The states of an Appointment that a patient may write: she asks for one and takes that back; she does not book it."""
