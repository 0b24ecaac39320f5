"""Elements that were valid before are known by their text, and that changes no judgement.

https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fhirserver.definitions import load
from fhirserver.model.json import texts
from fhirserver.model.outcome import FhirError
from fhirserver.validation import Validator, accept, error_for

Resource = dict[str, Any]
VALIDATOR = Validator(load())
PRACTITIONER = {"resourceType": "Practitioner", "id": "p"}
CODE = {"coding": [{"system": "http://loinc.org", "code": "718-7"}]}


def encounter(contained: list[Resource]) -> Resource:
    return {
        "resourceType": "Encounter",
        **({"contained": contained} if contained else {}),
        "status": "finished",
        "class": {"code": "AMB"},
        "participant": [{"individual": {"reference": "#p"}}],
    }


def observation(**elements: Any) -> Resource:
    return {"resourceType": "Observation", "status": "final", "code": CODE, **elements}


def definition(type: str) -> Resource:
    elements = [{"id": "Patient", "path": "Patient", "definition": "x", "base": {"path": "Patient", "min": 0, "max": "*"}, "min": 0, "max": "*"}]  # fmt: skip
    return {
        "resourceType": "StructureDefinition",
        "url": "http://example.org/p",
        "name": "P",
        "status": "draft",
        "kind": "resource",
        "abstract": False,
        "type": type,
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "snapshot": {"element": elements},
    }


def bundle(resource: Resource) -> Resource:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:uuid:x", "resource": resource}]}


def refusal(resource: Resource, texts: Mapping[str, str | bytes] | None) -> FhirError | None:
    try:
        VALIDATOR.check(resource, resource["resourceType"], texts)
    except FhirError as error:
        return error
    return None


SEQUENCES: dict[str, list[Resource]] = {
    "what is contained this time and not that time": [encounter([PRACTITIONER]), encounter([]), encounter([PRACTITIONER])],
    "a rule of the whole resource": [definition("Patient"), definition("Group"), definition("Patient")],
    "advice on a resource inside": [bundle(observation()), bundle(observation()), bundle(observation(status="x"))],
    "a code that excludes a value": [
        observation(valueString="a", component=[{"code": {"text": "b"}, "valueString": "b"}]),
        observation(valueString="a", component=[{"code": CODE, "valueString": "b"}]),
        observation(component=[{"code": CODE, "valueString": "b"}]),
    ],
    "an element where it does not belong": [
        observation(method={"text": "a"}),
        observation(bodySite=[{"text": "a"}]),
        observation(category={"text": "a"}),
        observation(category=[{"text": "a"}]),
        observation(status={"text": "a"}),
    ],
    "what is contained under the name of what is known": [
        observation(method={"text": "a"}),
        observation(
            method={"text": "a"},
            contained=[observation(id="o", method={"text": 1})],
            hasMember=[{"reference": "#o"}],
        ),
    ],
    "a number and its text": [
        observation(component=[{"code": CODE, "valueInteger": 1}]),
        observation(component=[{"code": CODE, "valueInteger": "1"}]),
        observation(component=[{"code": CODE, "valueInteger": True}]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", SEQUENCES)
def test_a_judgement_is_the_same_whatever_came_before(case: str) -> None:
    """A validator that has seen nothing is the oracle."""
    fresh = [Validator(load()).validate(resource) for resource in SEQUENCES[case]]
    for _ in range(2):
        assert [VALIDATOR.validate(resource) for resource in SEQUENCES[case]] == fresh
        for texts_of in (texts, lambda _: None):
            refusals = [refusal(resource, texts_of(resource)) for resource in SEQUENCES[case]]
            assert list(map(str, refusals)) == list(map(str, map(error_for, fresh)))
    assert len({str(issues) for issues in fresh}) > 1


def test_what_is_known_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accept, "_KNOWN", 5)
    validator = Validator(load())
    for number in range(20):
        assert validator.validate(observation(method={"text": str(number)})) == validator.validate(observation())
        assert len(validator._acceptor()._known) <= 5
    long = observation(method={"text": "x" * 2_000})
    validator.validate(long)
    assert not any(len(text) > 2_000 for _, text in validator._acceptor()._known)
