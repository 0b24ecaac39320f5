"""Every seeded breach of a rule is reported once, at its place, with its key. https://hl7.org/fhir/R4/conformance-rules.html#constraints"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.model.json import Number
from fhirserver.validation import Validator, error_for

VALIDATOR = Validator(load())
XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
TEXT = {"status": "generated", "div": f"<div {XHTML}>a</div>"}
PATIENT_REFERENCE = {"reference": "Patient/p1"}
UCUM = "http://unitsofmeasure.org"

BASES: dict[str, dict[str, Any]] = {
    "Patient": {"id": "p1"},
    "Appointment": {
        "status": "booked",
        "start": "2026-01-02T10:00:00Z",
        "end": "2026-01-02T10:30:00Z",
        "participant": [{"actor": PATIENT_REFERENCE, "status": "accepted"}],
    },
    "Slot": {
        "schedule": {"reference": "Schedule/s"},
        "status": "free",
        "start": "2026-01-02T10:00:00Z",
        "end": "2026-01-02T10:30:00Z",
    },
    "MedicationRequest": {
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": "m"},
        "subject": PATIENT_REFERENCE,
    },
    "Observation": {"status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "1-8"}]}},
    "Immunization": {
        "status": "completed",
        "vaccineCode": {"text": "v"},
        "patient": PATIENT_REFERENCE,
        "occurrenceDateTime": "2026",
    },
    "Coverage": {
        "status": "active",
        "beneficiary": PATIENT_REFERENCE,
        "payor": [{"reference": "Organization/o1"}],
    },
    "Consent": {
        "status": "active",
        "scope": {"coding": [{"system": "something", "code": "x"}]},
        "category": [{"text": "c"}],
        "patient": PATIENT_REFERENCE,
        "policyRule": {"text": "r"},
    },
    "Organization": {"name": "o"},
    "Bundle": {"type": "collection"},
    "Parameters": {},
    "Condition": {"subject": PATIENT_REFERENCE, "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}},
    "AllergyIntolerance": {"patient": PATIENT_REFERENCE, "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}},
    "Questionnaire": {"status": "draft", "item": [{"linkId": "1", "type": "string"}]},
    "ValueSet": {"status": "draft"},
    "Task": {"status": "draft", "intent": "order"},
    "List": {"status": "current", "mode": "working"},
    "Group": {"type": "person", "actual": True},
    "Goal": {"lifecycleStatus": "active", "description": {"text": "g"}, "subject": PATIENT_REFERENCE},
    "CarePlan": {"status": "active", "intent": "plan", "subject": PATIENT_REFERENCE},
    "ServiceRequest": {"status": "active", "intent": "order", "subject": PATIENT_REFERENCE, "code": {"text": "c"}},
    "QuestionnaireResponse": {"status": "completed"},
    "RiskAssessment": {"status": "final", "subject": PATIENT_REFERENCE},
    "MedicationDispense": {"status": "completed", "medicationCodeableConcept": {"text": "m"}},
    "MedicationAdministration": {"status": "completed", "medicationCodeableConcept": {"text": "m"}, "subject": PATIENT_REFERENCE, "effectiveDateTime": "2026"},
    "PlanDefinition": {"status": "draft"},
    "FamilyMemberHistory": {"status": "completed", "patient": PATIENT_REFERENCE, "relationship": {"text": "m"}},
    "AppointmentResponse": {"appointment": {"reference": "Appointment/a"}, "participantStatus": "accepted", "actor": PATIENT_REFERENCE},
    "Composition": {"status": "final", "type": {"text": "t"}, "date": "2026", "author": [PATIENT_REFERENCE], "title": "t"},
    "ConceptMap": {"status": "draft"},
    "NamingSystem": {"name": "N", "status": "draft", "kind": "codesystem", "date": "2026", "uniqueId": [{"type": "uri", "value": "http://e.org"}]},
    "OperationDefinition": {"name": "N", "status": "draft", "kind": "operation", "code": "c", "system": True, "type": False, "instance": False},
    "SearchParameter": {"url": "http://e.org", "name": "N", "status": "draft", "description": "d", "code": "c", "base": ["Patient"], "type": "string"},
    "AuditEvent": {"type": {"code": "t"}, "recorded": "2026-01-02T10:00:00Z", "agent": [{"requestor": True}], "source": {"observer": {"reference": "Device/d"}}},
    "MolecularSequence": {"coordinateSystem": 1},
    "Linkage": {"item": [{"type": "source", "resource": PATIENT_REFERENCE}, {"type": "source", "resource": PATIENT_REFERENCE}]},
    "InsurancePlan": {"name": "n"},
    "Claim": {},
}  # fmt: skip


def extended(**value: Any) -> dict[str, Any]:
    """A value of any type, in an extension."""
    return {"extension": [{"url": "http://e.org/x", **value}]}


def period(start: str, end: str) -> dict[str, Any]:
    return {"period": {"start": start, "end": end}}


def timed(**repeat: Any) -> dict[str, Any]:
    return {"dosageInstruction": [{"timing": {"repeat": repeat}}]}


def entry(*entries: dict[str, Any], type: str = "collection", **more: Any) -> dict[str, Any]:
    return {"type": type, "entry": list(entries), **more}


REPEAT = "MedicationRequest.dosageInstruction[0].timing.repeat"
PATIENT = {"resourceType": "Patient", "id": "p", "text": TEXT}
DOC = {"resourceType": "Practitioner", "id": "doc"}
ENTERED_IN_ERROR = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-ver-status", "code": "entered-in-error"}]
}
ALLERGY_IN_ERROR = {
    "coding": [
        {"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-verification", "code": "entered-in-error"}
    ]
}
X = "extension[0]"

# type, what is changed (None takes away), place, key
BREACHES: list[tuple[str, dict[str, Any], str, str]] = [
    # Elements
    ("Patient", {"maritalStatus": {"id": "a"}}, "Patient.maritalStatus", "ele-1"),
    ("Patient", {"name": [{"family": "A"}, {"id": "a"}]}, "Patient.name[1]", "ele-1"),
    ("Patient", {"_birthDate": {"id": "a"}}, "Patient.birthDate", "ele-1"),
    ("Patient", {"name": [{"given": ["a", None], "_given": [None, {"id": "a"}]}]}, "Patient.name[0].given[1]", "ele-1"),
    ("Observation", {"component": [{"code": {"text": "a"}, "valueQuantity": {"id": "a"}}]}, "Observation.component[0].valueQuantity", "ele-1"),
    ("Observation", {"subject": {"id": "a"}}, "Observation.subject", "ele-1"),
    ("Coverage", {"period": {"id": "a"}}, "Coverage.period", "ele-1"),
    ("Consent", {"meta": {"id": "a"}}, "Consent.meta", "ele-1"),
    ("Patient", extended(), "Patient.extension[0]", "ext-1"),
    ("Patient", extended(valueString="a", extension=[{"url": "b", "valueString": "c"}]), "Patient.extension[0]", "ext-1"),
    ("Patient", {"birthDate": "1980", "_birthDate": {"extension": [{"url": "a"}]}}, "Patient.birthDate.extension[0]", "ext-1"),
    ("Immunization", {"modifierExtension": [{"url": "a"}]}, "Immunization.modifierExtension[0]", "ext-1"),
    # Resources that contain others
    ("Patient", {"contained": [{**DOC, "contained": [{"resourceType": "Patient", "id": "x"}]}], "generalPractitioner": [{"reference": "#doc"}]}, "Patient.contained[0].contained", "dom-2"),
    ("Patient", {"contained": [DOC]}, "Patient", "dom-3"),
    ("Patient", {"contained": [DOC, {**DOC, "id": "other"}], "generalPractitioner": [{"reference": "#doc"}]}, "Patient", "dom-3"),
    ("Patient", {"contained": [{**DOC, "meta": {"versionId": "1"}}], "generalPractitioner": [{"reference": "#doc"}]}, "Patient", "dom-4"),
    ("Patient", {"contained": [{**DOC, "meta": {"lastUpdated": "2026-01-02T10:00:00Z"}}], "generalPractitioner": [{"reference": "#doc"}]}, "Patient", "dom-4"),
    ("Patient", {"contained": [{**DOC, "meta": {"security": [{"code": "R"}]}}], "generalPractitioner": [{"reference": "#doc"}]}, "Patient", "dom-5"),
    ("Patient", {"generalPractitioner": [{"reference": "#doc"}]}, "Patient.generalPractitioner[0]", "ref-1"),
    ("MedicationRequest", {"medicationCodeableConcept": None, "medicationReference": {"reference": "#m"}}, "MedicationRequest.medicationReference", "ref-1"),
    # Narratives
    ("Patient", {"text": {"status": "generated", "div": f"<div {XHTML}><script>a</script></div>"}}, "Patient.text.div", "txt-1"),
    ("Patient", {"text": {"status": "generated", "div": f"<div {XHTML}><p onclick='a()'>b</p></div>"}}, "Patient.text.div", "txt-1"),
    ("Patient", {"text": {"status": "generated", "div": f"<div {XHTML}><a href='javascript:a()'>b</a></div>"}}, "Patient.text.div", "txt-1"),
    ("Patient", {"text": {"status": "generated", "div": f"<div {XHTML}><form>b</form></div>"}}, "Patient.text.div", "txt-1"),
    ("Patient", {"text": {"status": "generated", "div": f"<div {XHTML}><iframe src='a'>b</iframe></div>"}}, "Patient.text.div", "txt-1"),
    ("Patient", {"text": {"status": "generated", "div": f"<div {XHTML}> \n</div>"}}, "Patient.text.div", "txt-2"),
    ("Patient", {"text": {"status": "generated", "div": f"<div {XHTML}><!-- a > b --><p/></div>"}}, "Patient.text.div", "txt-2"),
    # Appointment
    ("Appointment", {"participant": [{"status": "accepted"}]}, "Appointment.participant[0]", "app-1"),
    ("Appointment", {"participant": [{"actor": PATIENT_REFERENCE, "status": "accepted"}, {"status": "accepted", "required": "required"}]}, "Appointment.participant[1]", "app-1"),
    ("Appointment", {"status": "proposed", "end": None}, "Appointment", "app-2"),
    ("Appointment", {"status": "proposed", "start": None}, "Appointment", "app-2"),
    ("Appointment", {"start": None, "end": None}, "Appointment", "app-3"),
    ("Appointment", {"status": "arrived", "start": None, "end": None}, "Appointment", "app-3"),
    ("Appointment", {"cancelationReason": {"text": "a"}}, "Appointment", "app-4"),
    ("Appointment", {"status": "waitlist", "cancelationReason": {"text": "a"}}, "Appointment", "app-4"),
    ("Appointment", {"requestedPeriod": [{"start": "2026-02", "end": "2026-01"}]}, "Appointment.requestedPeriod[0]", "per-1"),
    # Consent
    ("Consent", {"policyRule": None}, "Consent", "ppc-1"),
    ("Consent", {"patient": None, "scope": {"coding": [{"system": "something", "code": "patient-privacy"}]}}, "Consent", "ppc-2"),
    ("Consent", {"patient": None, "scope": {"coding": [{"system": "something", "code": "research"}]}}, "Consent", "ppc-3"),
    ("Consent", {"patient": None, "scope": {"coding": [{"system": "something", "code": "adr"}]}}, "Consent", "ppc-4"),
    ("Consent", {"patient": None, "scope": {"coding": [{"system": "something", "code": "treatment"}]}}, "Consent", "ppc-5"),
    ("Consent", {"provision": period("2026", "2025")}, "Consent.provision.period", "per-1"),
    ("Consent", {"provision": {"provision": [period("2026-02", "2026-01")]}}, "Consent.provision.provision[0].period", "per-1"),
    ("Consent", {"sourceAttachment": {"data": "YQ=="}}, "Consent.sourceAttachment", "att-1"),
    # Immunization
    ("Immunization", {"education": [{"publicationDate": "2026"}]}, "Immunization.education[0]", "imm-1"),
    ("Immunization", {"education": [{"documentType": "a"}, {"presentationDate": "2026"}]}, "Immunization.education[1]", "imm-1"),
    ("Immunization", {"doseQuantity": {"value": 1, "code": "ml"}}, "Immunization.doseQuantity", "qty-3"),
    ("Immunization", {"doseQuantity": {"value": 1, "comparator": "<"}}, "Immunization.doseQuantity.comparator", "sqty-1"),
    # Observation
    ("Observation", {"referenceRange": [{"age": {"low": {"value": 1}}}]}, "Observation.referenceRange[0]", "obs-3"),
    ("Observation", {"component": [{"code": {"text": "a"}, "referenceRange": [{"type": {"text": "b"}}]}]}, "Observation.component[0].referenceRange[0]", "obs-3"),
    ("Observation", {"valueString": "a", "dataAbsentReason": {"text": "b"}}, "Observation", "obs-6"),
    ("Observation", {"valueBoolean": False, "dataAbsentReason": {"text": "b"}}, "Observation", "obs-6"),
    ("Observation", {"valueString": "a", "component": [{"code": {"coding": [{"system": "http://loinc.org", "code": "1-8"}]}}]}, "Observation", "obs-7"),
    ("Observation", {"valueQuantity": {"value": 1, "code": "g"}}, "Observation.valueQuantity", "qty-3"),
    ("Observation", {"component": [{"code": {"text": "a"}, "valueQuantity": {"value": 1, "code": "g"}}]}, "Observation.component[0].valueQuantity", "qty-3"),
    ("Observation", {"referenceRange": [{"low": {"value": 1, "code": "g"}}]}, "Observation.referenceRange[0].low", "qty-3"),
    ("Observation", {"effectivePeriod": {"start": "2026-01-02", "end": "2026-01-01"}}, "Observation.effectivePeriod", "per-1"),
    ("Observation", {"valueRange": {"low": {"value": 2}, "high": {"value": 1}}}, "Observation.valueRange", "rng-2"),
    ("Observation", {"valueRange": {"low": {"value": 2, "system": UCUM, "code": "g"}, "high": {"value": 1999, "system": UCUM, "code": "mg"}}}, "Observation.valueRange", "rng-2"),
    ("Observation", {"valueRatio": {"numerator": {"value": 1}}}, "Observation.valueRatio", "rat-1"),
    ("Observation", {"valueRatio": {"denominator": {"value": 1}}}, "Observation.valueRatio", "rat-1"),
    # Patient
    ("Patient", {"contact": [{"gender": "male"}]}, "Patient.contact[0]", "pat-1"),
    ("Patient", {"contact": [{"name": {"text": "a"}}, {"relationship": [{"text": "b"}]}]}, "Patient.contact[1]", "pat-1"),
    ("Patient", {"telecom": [{"value": "1"}]}, "Patient.telecom[0]", "cpt-2"),
    ("Patient", {"telecom": [{"system": "phone", "value": "1"}, {"value": "2", "use": "home"}]}, "Patient.telecom[1]", "cpt-2"),
    ("Patient", {"photo": [{"data": "YQ=="}]}, "Patient.photo[0]", "att-1"),
    ("Patient", {"identifier": [period("2026-01-02", "2026-01-01")]}, "Patient.identifier[0].period", "per-1"),
    ("Patient", {"address": [period("2026-01-02T10:00:00Z", "2026-01-02T09:59:59Z")]}, "Patient.address[0].period", "per-1"),
    ("Patient", {"name": [period("2026-01-02T10:00:00+03:00", "2026-01-02T06:59:59Z")]}, "Patient.name[0].period", "per-1"),
    # Coverage and Slot
    ("Coverage", {"period": {"start": "2026-02-01", "end": "2026-01"}}, "Coverage.period", "per-1"),
    ("Coverage", {"costToBeneficiary": [{"valueQuantity": {"value": 1, "code": "g"}}]}, "Coverage.costToBeneficiary[0].valueQuantity", "qty-3"),
    ("Coverage", {"identifier": [{"value": "1", "period": {"start": "2026", "end": "2025"}}]}, "Coverage.identifier[0].period", "per-1"),
    ("Slot", {"text": {"status": "generated", "div": f"<div {XHTML}><object>a</object></div>"}}, "Slot.text.div", "txt-1"),
    ("Slot", {"identifier": [period("2027", "2026-12")]}, "Slot.identifier[0].period", "per-1"),
    # MedicationRequest and Timing
    ("MedicationRequest", timed(duration=1), REPEAT, "tim-1"),
    ("MedicationRequest", timed(period=1), REPEAT, "tim-2"),
    ("MedicationRequest", timed(duration=-1, durationUnit="h"), REPEAT, "tim-4"),
    ("MedicationRequest", timed(period=Number("-0.5"), periodUnit="h"), REPEAT, "tim-5"),
    ("MedicationRequest", timed(periodMax=1), REPEAT, "tim-6"),
    ("MedicationRequest", timed(durationMax=1), REPEAT, "tim-7"),
    ("MedicationRequest", timed(countMax=1), REPEAT, "tim-8"),
    ("MedicationRequest", timed(offset=10), REPEAT, "tim-9"),
    ("MedicationRequest", timed(offset=10, when=["CM"]), REPEAT, "tim-9"),
    ("MedicationRequest", timed(timeOfDay=["08:00:00"], when=["AC"]), REPEAT, "tim-10"),
    ("MedicationRequest", timed(boundsPeriod={"start": "2026-02", "end": "2026-01"}), f"{REPEAT}.boundsPeriod", "per-1"),
    ("MedicationRequest", timed(boundsRange={"low": {"value": 3}, "high": {"value": 2}}), f"{REPEAT}.boundsRange", "rng-2"),
    ("MedicationRequest", timed(boundsDuration={"value": 3, "code": "d", "system": "http://e.org"}), f"{REPEAT}.boundsDuration", "drt-1"),
    ("MedicationRequest", timed(boundsDuration={"code": "d", "system": UCUM}), f"{REPEAT}.boundsDuration", "drt-1"),
    ("MedicationRequest", {"dosageInstruction": [{"maxDosePerPeriod": {"numerator": {"value": 1}}}]}, "MedicationRequest.dosageInstruction[0].maxDosePerPeriod", "rat-1"),
    ("MedicationRequest", {"dosageInstruction": [{"doseAndRate": [{"doseRange": {"low": {"value": 2}, "high": {"value": 1}}}]}]}, "MedicationRequest.dosageInstruction[0].doseAndRate[0].doseRange", "rng-2"),
    ("MedicationRequest", {"dispenseRequest": {"quantity": {"value": 1, "comparator": "<"}}}, "MedicationRequest.dispenseRequest.quantity.comparator", "sqty-1"),
    ("MedicationRequest", {"dispenseRequest": {"validityPeriod": {"start": "2026-02", "end": "2026-01"}}}, "MedicationRequest.dispenseRequest.validityPeriod", "per-1"),
    # Data types, in extensions
    ("Patient", extended(valueAge={"value": 1}), f"Patient.{X}.valueAge", "age-1"),
    ("Patient", extended(valueAge={"value": -1, "code": "a", "system": UCUM}), f"Patient.{X}.valueAge", "age-1"),
    ("Patient", extended(valueAge={"value": 1, "code": "a", "system": "http://e.org"}), f"Patient.{X}.valueAge", "age-1"),
    ("Patient", extended(valueCount={"value": 1, "code": "g", "system": UCUM}), f"Patient.{X}.valueCount", "cnt-3"),
    ("Patient", extended(valueCount={"value": Number("1.5"), "code": "1", "system": UCUM}), f"Patient.{X}.valueCount", "cnt-3"),
    ("Patient", extended(valueDistance={"value": 1}), f"Patient.{X}.valueDistance", "dis-1"),
    ("Patient", extended(valueDistance={"value": 1, "code": "m", "system": "http://e.org"}), f"Patient.{X}.valueDistance", "dis-1"),
    ("Patient", extended(valueExpression={"language": "text/fhirpath"}), f"Patient.{X}.valueExpression", "exp-1"),
    ("Patient", extended(valueDataRequirement={"type": "Patient", "codeFilter": [{"code": [{"code": "a"}]}]}), f"Patient.{X}.valueDataRequirement.codeFilter[0]", "drq-1"),
    ("Patient", extended(valueDataRequirement={"type": "Patient", "codeFilter": [{"path": "a", "searchParam": "b"}]}), f"Patient.{X}.valueDataRequirement.codeFilter[0]", "drq-1"),
    ("Patient", extended(valueDataRequirement={"type": "Patient", "dateFilter": [{"valueDateTime": "2026"}]}), f"Patient.{X}.valueDataRequirement.dateFilter[0]", "drq-2"),
    ("Patient", extended(valueTriggerDefinition={"type": "data-added", "timingDate": "2026", "data": [{"type": "Patient"}]}), f"Patient.{X}.valueTriggerDefinition", "trd-1"),
    ("Patient", extended(valueTriggerDefinition={"type": "named-event", "name": "a", "condition": {"language": "text/cql", "expression": "a"}}), f"Patient.{X}.valueTriggerDefinition", "trd-2"),
    ("Patient", extended(valueTriggerDefinition={"type": "named-event"}), f"Patient.{X}.valueTriggerDefinition", "trd-3"),
    ("Patient", extended(valueTriggerDefinition={"type": "periodic"}), f"Patient.{X}.valueTriggerDefinition", "trd-3"),
    ("Patient", extended(valueReference={"reference": "#none"}), f"Patient.{X}.valueReference", "ref-1"),
    ("Patient", extended(valueTiming={"repeat": {"duration": 1}}), f"Patient.{X}.valueTiming.repeat", "tim-1"),
    ("Patient", extended(valueContactPoint={"value": "1"}), f"Patient.{X}.valueContactPoint", "cpt-2"),
    # Organization, Bundle, Parameters
    ("Organization", {"name": None, "active": True}, "Organization", "org-1"),
    ("Organization", {"address": [{"use": "work"}, {"use": "home"}]}, "Organization.address[1]", "org-2"),
    ("Organization", {"telecom": [{"use": "home", "system": "phone"}]}, "Organization.telecom[0]", "org-3"),
    ("Bundle", {"total": 1}, "Bundle", "bdl-1"),
    ("Bundle", entry({"resource": PATIENT, "search": {"mode": "match"}}), "Bundle", "bdl-2"),
    ("Bundle", entry({"resource": PATIENT, "request": {"method": "GET", "url": "a"}}), "Bundle", "bdl-3"),
    ("Bundle", entry({"resource": PATIENT}, type="transaction"), "Bundle", "bdl-3"),
    ("Bundle", entry({"resource": PATIENT, "response": {"status": "200"}}), "Bundle", "bdl-4"),
    ("Bundle", entry({"resource": PATIENT}, type="batch-response"), "Bundle", "bdl-4"),
    ("Bundle", entry({"fullUrl": "http://e.org/Patient/1"}), "Bundle.entry[0]", "bdl-5"),
    ("Bundle", entry({"fullUrl": "http://e.org/Patient/p", "resource": PATIENT}, {"fullUrl": "http://e.org/Patient/p", "resource": PATIENT}), "Bundle", "bdl-7"),
    ("Bundle", entry({"fullUrl": "http://e.org/Patient/p/_history/1", "resource": PATIENT}), "Bundle.entry[0]", "bdl-8"),
    ("Bundle", entry({"resource": {"resourceType": "Composition", **BASES["Composition"]}}, type="document", timestamp="2026-01-02T10:00:00Z"), "Bundle", "bdl-9"),
    ("Bundle", entry({"resource": {"resourceType": "Composition", **BASES["Composition"]}}, type="document", identifier={"system": "a", "value": "b"}), "Bundle", "bdl-10"),
    ("Bundle", entry({"resource": PATIENT}, type="document", identifier={"system": "a", "value": "b"}, timestamp="2026-01-02T10:00:00Z"), "Bundle", "bdl-11"),
    ("Bundle", entry({"resource": PATIENT}, type="message"), "Bundle", "bdl-12"),
    ("Bundle", entry({"resource": {"resourceType": "Observation", **BASES["Observation"], "valueString": "a", "dataAbsentReason": {"text": "b"}}}), "Bundle.entry[0].resource", "obs-6"),
    ("Bundle", entry({"resource": {**PATIENT, "contained": [DOC]}}), "Bundle.entry[0].resource", "dom-3"),
    ("Parameters", {"parameter": [{"name": "a"}]}, "Parameters.parameter[0]", "inv-1"),
    ("Parameters", {"parameter": [{"name": "a", "valueString": "b", "resource": PATIENT}]}, "Parameters.parameter[0]", "inv-1"),
    ("Parameters", {"parameter": [{"name": "a", "part": [{"name": "b"}]}]}, "Parameters.parameter[0].part[0]", "inv-1"),
    # Other types
    ("Condition", {"abatementString": "gone"}, "Condition", "con-4"),
    ("Condition", {"verificationStatus": ENTERED_IN_ERROR}, "Condition", "con-5"),
    ("Condition", {"stage": [{"type": {"text": "a"}}]}, "Condition.stage[0]", "con-1"),
    ("Condition", {"evidence": [extended(valueString="a")]}, "Condition.evidence[0]", "con-2"),
    ("AllergyIntolerance", {"clinicalStatus": None}, "AllergyIntolerance", "ait-1"),
    ("AllergyIntolerance", {"verificationStatus": ALLERGY_IN_ERROR}, "AllergyIntolerance", "ait-2"),
    ("Questionnaire", {"item": [{"linkId": "1", "type": "group"}]}, "Questionnaire.item[0]", "que-1"),
    ("Questionnaire", {"item": [{"linkId": "1", "type": "group", "item": [{"linkId": "1", "type": "string"}]}]}, "Questionnaire", "que-2"),
    ("Questionnaire", {"item": [{"linkId": "1", "type": "group", "item": [{"linkId": "2", "type": "display", "readOnly": True}]}]}, "Questionnaire.item[0].item[0]", "que-9"),
    ("Questionnaire", {"item": [{"linkId": "1", "type": "string", "enableWhen": [{"question": "2", "operator": "exists", "answerInteger": 1}]}]}, "Questionnaire.item[0].enableWhen[0]", "que-7"),
    ("Questionnaire", {"item": [{"linkId": "1", "type": "date", "maxLength": 1}]}, "Questionnaire.item[0]", "que-10"),
    ("ValueSet", {"compose": {"include": [{"version": "1"}]}}, "ValueSet.compose.include[0]", "vsd-1"),
    ("Task", {"authoredOn": "2026-01-02", "lastModified": "2026-01-01"}, "Task", "inv-1"),
    ("List", {"entry": [{"item": PATIENT_REFERENCE, "deleted": True}]}, "List", "lst-2"),
    ("List", {"mode": "changes", "entry": [{"item": PATIENT_REFERENCE, "date": "2026"}]}, "List", "lst-3"),
    ("Group", {"actual": False, "member": [{"entity": PATIENT_REFERENCE}]}, "Group", "grp-1"),
    ("Goal", {"target": [{"detailString": "a"}]}, "Goal.target[0]", "gol-1"),
    ("CarePlan", {"activity": [{"detail": {"status": "scheduled"}, "reference": {"reference": "Task/t"}}]}, "CarePlan.activity[0]", "cpl-3"),
    ("ServiceRequest", {"code": None, "orderDetail": [{"text": "a"}]}, "ServiceRequest", "prr-1"),
    ("QuestionnaireResponse", {"item": [{"linkId": "1", "answer": [{"valueString": "a"}], "item": [{"linkId": "2"}]}]}, "QuestionnaireResponse.item[0]", "qrs-1"),
    ("RiskAssessment", {"prediction": [{"probabilityDecimal": 101}]}, "RiskAssessment.prediction[0]", "ras-2"),
    ("RiskAssessment", {"prediction": [{"probabilityRange": {"low": {"value": 1}}}]}, "RiskAssessment.prediction[0].probabilityRange", "ras-1"),
    ("MedicationDispense", {"whenPrepared": "2026-02", "whenHandedOver": "2026-01"}, "MedicationDispense", "mdd-1"),
    ("MedicationAdministration", {"dosage": {"text": "a"}}, "MedicationAdministration.dosage", "mad-1"),
    ("FamilyMemberHistory", {"ageString": "1", "bornString": "2"}, "FamilyMemberHistory", "fhs-1"),
    ("FamilyMemberHistory", {"estimatedAge": True}, "FamilyMemberHistory", "fhs-2"),
    ("AppointmentResponse", {"actor": None}, "AppointmentResponse", "apr-1"),
    ("Composition", {"section": [{"title": "a"}]}, "Composition.section[0]", "cmp-1"),
    ("Composition", {"section": [{"emptyReason": {"text": "a"}, "entry": [PATIENT_REFERENCE]}]}, "Composition.section[0]", "cmp-2"),
    ("ConceptMap", {"group": [{"element": [{"code": "a"}], "unmapped": {"mode": "fixed"}}]}, "ConceptMap.group[0].unmapped", "cmd-2"),
    ("NamingSystem", {"kind": "root", "uniqueId": [{"type": "uuid", "value": "a"}]}, "NamingSystem", "nsd-1"),
    ("OperationDefinition", {"parameter": [{"name": "a", "use": "in", "min": 0, "max": "1"}]}, "OperationDefinition.parameter[0]", "opd-1"),
    ("SearchParameter", {"chain": ["a"]}, "SearchParameter", "spd-2"),
    ("AuditEvent", {"entity": [{"name": "a", "query": "YQ=="}]}, "AuditEvent.entity[0]", "sev-1"),
    ("MolecularSequence", {"coordinateSystem": 2}, "MolecularSequence", "msq-3"),
    ("Linkage", {"item": [{"type": "source", "resource": PATIENT_REFERENCE}]}, "Linkage", "lnk-1"),
    ("InsurancePlan", {"name": None, "status": "draft"}, "InsurancePlan", "ipn-1"),
]  # fmt: skip
EIGHT = ("Patient", "Appointment", "Slot", "MedicationRequest", "Observation", "Immunization", "Coverage", "Consent")
COMMON = (
    "Element Extension Narrative Reference Period Quantity SimpleQuantity Age Count Distance Duration Range Ratio Attachment"
    " ContactPoint Timing Timing.repeat Expression TriggerDefinition DataRequirement"
    " DataRequirement.codeFilter DataRequirement.dateFilter"
)


def resource(type: str, changes: dict[str, Any]) -> dict[str, Any]:
    made = {"resourceType": type, "text": TEXT, **copy.deepcopy(BASES[type]), **copy.deepcopy(changes)}
    if type in ("Bundle", "Parameters"):
        made.pop("text", None)
    return {name: value for name, value in made.items() if value is not None}


@pytest.mark.parametrize("type", sorted({type for type, *_ in BREACHES}))
def test_what_is_changed_below_breaks_no_rule_as_it_is(type: str) -> None:
    assert [issue for issue in VALIDATOR.validate(resource(type, {})) if issue.severity == "error"] == []


@pytest.mark.parametrize(
    ("type", "changes", "place", "key"), BREACHES, ids=[f"{key}: {place}" for _, _, place, key in BREACHES]
)
def test_a_broken_rule_is_reported_once_with_its_key_and_place(
    type: str, changes: dict[str, Any], place: str, key: str
) -> None:
    issues = [issue for issue in VALIDATOR.validate(resource(type, changes)) if issue.severity == "error"]
    assert [(issue.diagnostics.partition(":")[0], issue.expression) for issue in issues] == [(key, place)]
    assert error_for(issues) is not None
    assert issues[0].diagnostics[-1] == "."


def test_there_is_a_breach_of_every_rule_of_the_main_types_and_the_common_data_types() -> None:
    assert len(BREACHES) >= 120
    seeded = {key for _, _, _, key in BREACHES}
    structures = load().structures
    rules = set()
    for name in (*EIGHT, *COMMON.split()):
        for element in structures[name.partition(".")[0]].elements:
            rules |= {each.key for each in element.constraints if each.severity == "error"}
    assert rules - seeded == set()


SATISFIED: list[tuple[str, dict[str, Any]]] = [
    ("Patient", {"contained": [DOC], "generalPractitioner": [{"reference": "#doc"}]}),
    ("Patient", {"contained": [{"resourceType": "Observation", "id": "o", **BASES["Observation"], "subject": {"reference": "#"}}]}),
    ("Patient", {"name": [period("2026", "2026-01")]}),
    ("Patient", {"name": [period("2026-01-02", "2026-01-02")]}),
    ("Patient", {"_birthDate": {"extension": [{"url": "a", "valueString": "b"}]}}),
    ("Patient", {"text": {"status": "generated", "div": f"<div {XHTML}><img src='a.png' alt='a'/></div>"}}),
    ("Patient", {"text": {"status": "generated", "div": f"<div {XHTML}><a href='http://e.org' title='b'>a</a></div>"}}),
    ("Patient", {"text": {"status": "generated", "div": f"<div {XHTML}><table border=\"1\"><tr><td colspan='2'>a</td></tr></table></div>"}}),
    ("Observation", {"valueRange": {"low": {"value": 1, "unit": "g"}, "high": {"value": 2, "unit": "kg"}}}),
    ("Observation", {"valueString": "a", "component": [{"code": {"text": "a"}}]}),
    ("Appointment", {"status": "cancelled", "start": None, "end": None, "cancelationReason": {"text": "a"}}),
    ("Appointment", {"status": "noshow", "cancelationReason": {"text": "a"}}),
    ("Consent", {"patient": None, "scope": {"coding": [{"system": "other", "code": "research"}]}}),
    ("MedicationRequest", timed(offset=10, when=["ACM"])),
    ("RiskAssessment", {"prediction": [{"rationale": "a"}]}),
    ("Questionnaire", {"item": [{"linkId": "1", "type": "string", "enableWhen": [{"question": "2", "operator": "exists", "answerBoolean": True}]}]}),
]  # fmt: skip


@pytest.mark.parametrize(("type", "changes"), SATISFIED)
def test_what_only_looks_like_a_breach_is_none(type: str, changes: dict[str, Any]) -> None:
    assert [issue for issue in VALIDATOR.validate(resource(type, changes)) if issue.severity == "error"] == []


def test_a_warning_does_not_refuse_and_is_told_with_its_place() -> None:
    bare = {"resourceType": "Patient", "active": True}
    issues = VALIDATOR.validate(bare)
    assert [(issue.severity, issue.diagnostics[:6], issue.expression) for issue in issues] == [
        ("warning", "dom-6:", "Patient")
    ]
    assert error_for(issues) is None
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": PATIENT}, {"resource": bare}]}
    assert [issue.expression for issue in VALIDATOR.validate(bundle)] == ["Bundle.entry[1].resource"]
    named = resource("ValueSet", {"name": "lower"})
    assert [issue.diagnostics.partition(":")[0] for issue in VALIDATOR.validate(named)] == ["vsd-0"]


MESSAGES = [
    ("Appointment", {"status": "proposed", "end": None}, "app-2: An appointment has both a start and an end, or neither."
     ' Found: start "2026-01-02T10:00:00Z", no end.'),
    ("Observation", {"valueString": "a", "dataAbsentReason": {"text": "b"}}, "obs-6: An observation that has a value has no reason"
     ' for its absence. Found: dataAbsentReason, valueString "a".'),
    ("Patient", {"telecom": [{"value": "1" * 100}]}, "cpt-2: A telecom with a value says what it is: system."
     f' Found: value "{"1" * 39}..., no system.'),
]  # fmt: skip


@pytest.mark.parametrize(("type", "changes", "text"), MESSAGES)
def test_a_message_says_what_is_asked_and_what_was_found(type: str, changes: dict[str, Any], text: str) -> None:
    assert [issue.diagnostics for issue in VALIDATOR.validate(resource(type, changes))] == [text]
