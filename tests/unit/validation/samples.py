"""Valid resources that the tests of this room break, and the ways to break them."""

from __future__ import annotations

import copy
from typing import Any

from fhirserver.model.json import parse
from fhirserver.model.outcome import Issue

_TEXTS = {
    "observation": """
      {"resourceType": "Observation", "id": "o1", "meta": {"profile": ["http://example.org/StructureDefinition/lab"]},
       "text": {"status": "generated", "div": "<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p>a &amp; b</p></div>"},
       "identifier": [{"system": "urn:oid:1.2.643", "value": "7", "period": {"start": "2026-01-02"}}], "status": "final",
       "code": {"coding": [{"system": "http://loinc.org", "code": "718-7", "display": "Hb"}], "text": "Hb"},
       "subject": {"reference": "Patient/p1", "display": "Ivanova"}, "effectiveDateTime": "2026-01-02T08:30:00+03:00",
       "issued": "2026-01-02T10:00:00.123Z", "performer": [{"reference": "Organization/lab"}],
       "valueQuantity": {"value": 134.50, "unit": "g/L", "system": "http://unitsofmeasure.org", "code": "g/L"},
       "note": [{"authorString": "me", "time": "2026-01", "text": "# fasting"}],
       "referenceRange": [{"low": {"value": 130}, "high": {"value": 160.0}}],
       "component": [{"code": {"text": "a"}, "valueInteger": 3}, {"code": {"text": "b"}, "valueTime": "10:20:30"}]}""",
    "patient": """
      {"resourceType": "Patient", "id": "p1", "active": true, "gender": "female", "birthDate": "1980-02-29",
       "_birthDate": {"extension": [{"url": "http://example.org/time", "valueDateTime": "1980-02-29T10:00:00Z"}]},
       "name": [{"family": "Ivanova", "given": ["Anna", "Maria"], "_given": [null, {"id": "second"}], "use": "official"}],
       "multipleBirthInteger": 2, "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "ru"}]}}],
       "photo": [{"contentType": "image/png", "data": "iVBORw0KGgo=", "url": "http://example.org/a.png", "size": 8}],
       "managingOrganization": {"reference": "Organization/o1"}, "link": [{"other": {"reference": "Patient/p2"},
       "type": "seealso"}], "extension": [{"url": "http://example.org/a", "extension": [{"url": "b", "valueCode": "c d"}]}]}""",
    "prescription": """
      {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "contained": [
        {"resourceType": "Medication", "id": "m", "code": {"text": "x"}, "manufacturer": {"reference": "#o"}},
        {"resourceType": "Organization", "id": "o", "name": "y"}],
       "medicationReference": {"reference": "#m"}, "subject": {"reference": "Patient/p1", "type": "Patient"},
       "requester": {"identifier": {"value": "1"}, "type": "Practitioner"},
       "dosageInstruction": [{"sequence": 1, "asNeededBoolean": false, "doseAndRate": [{"doseQuantity": {"value": 1}}],
         "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d", "timeOfDay": ["08:00:00"]}}}],
       "dispenseRequest": {"quantity": {"value": 30}, "numberOfRepeatsAllowed": 0}}""",
    "condition": """
      {"resourceType": "Condition", "subject": {"reference": "Patient/p1"}, "code": {"text": "cold"},
       "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical",
         "code": "active"}]}}""",
    "bundle": """
      {"resourceType": "Bundle", "type": "searchset", "total": 1, "timestamp": "2026-01-02T10:00:00Z", "entry": [
        {"fullUrl": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520", "resource": {"resourceType": "Patient", "gender": "male"}},
        {"resource": {"resourceType": "Observation", "status": "final", "code": {"text": "a"}}}]}""",
    "questionnaire": """
      {"resourceType": "Questionnaire", "status": "draft", "subjectType": ["Patient"], "item": [
        {"linkId": "1", "type": "group", "item": [{"linkId": "1.1", "type": "string", "maxLength": 5}]}]}""",
    "parameters": """
      {"resourceType": "Parameters", "parameter": [{"name": "a", "valueUuid": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
       {"name": "b", "resource": {"resourceType": "Binary", "contentType": "text/plain", "data": "YQ=="}},
       {"name": "c", "part": [{"name": "d", "valueOid": "urn:oid:1.2.3"}]}]}""",
}  # fmt: skip

Path = tuple[str | int, ...]


def sample(name: str) -> dict[str, Any]:
    """A fresh copy of a valid resource."""
    resource = parse(_TEXTS[name].encode())
    assert isinstance(resource, dict)
    return resource


def names() -> list[str]:
    """The names of all samples."""
    return list(_TEXTS)


class Absent:
    """Instead of a value: remove it."""


def changed(resource: Any, path: Path, value: Any) -> Any:
    """A copy in which the value at the path is another, or is absent."""
    resource = copy.deepcopy(resource)
    owner = resource
    for step in path[:-1]:
        owner = owner[step]
    if value is Absent:
        del owner[path[-1]]
    elif isinstance(owner, list) and path[-1] == len(owner):
        owner.append(value)
    else:
        owner[path[-1]] = value
    return resource


def paths(value: Any, path: Path = ()) -> list[Path]:
    """The paths of everything inside a value."""
    found: list[Path] = [path] if path else []
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        found.extend(paths(each, (*path, key)))
    return found


def read(issues: list[Issue]) -> list[Issue]:
    """What the readers say, without what rules say."""
    return [issue for issue in issues if issue.code != "invariant"]
