"""What `/metadata` promises is what `capability/` says, and what the server does.

With FHIRSERVER_WRITE_CAPABILITY set the file is written again, for a reviewer to read the difference.

https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from fhir.resources.R4B.capabilitystatement import CapabilityStatement

from fhirserver.definitions import load, shipped
from fhirserver.interactions.capabilities import Instance, capabilities
from fhirserver.interactions.operations import OPERATIONS, Level
from fhirserver.rest.address import Kind
from fhirserver.rest.routes import ROUTES, SYSTEM_INTERACTIONS, TYPE_INTERACTIONS
from fhirserver.search.registry import registry
from fhirserver.validation import Validator
from tests.integration.serving import FHIR, Server

PROMISE = shipped("capability", "CapabilityStatement.json")
OF_THE_INSTANCE = ("url", "implementation")
HEART = ("Patient", "Appointment", "Slot", "MedicationRequest", "Observation", "Immunization", "Coverage", "Consent")
SAMPLES = {
    "token": "true", "string": "a", "date": "ge2026", "reference": "Patient/a", "uri": "urn:a", "number": "gt5",
    "quantity": "5||mg", "special": "55.7|37.6",
}  # fmt: skip
OF_MODIFIERS = {
    "missing": "true",
    "identifier": "a|b",
    "of-type": "a|b|c",
    "in": "http://hl7.org/fhir/ValueSet/administrative-gender",
    "not-in": "http://hl7.org/fhir/ValueSet/administrative-gender",
}
HIERARCHIES = {
    "token": "http://hl7.org/fhir/administrative-gender|male",
    "uri": "http://a.org/b",
    "reference": "http://a.org/b|1",
}


def sample(resource_type: str, parameter: dict[str, Any], modifier: str = "") -> str:
    """A value that the parameter can be asked for."""
    if modifier in OF_MODIFIERS:
        return OF_MODIFIERS[modifier]
    if modifier in ("above", "below"):
        return HIERARCHIES[parameter["type"]]
    if parameter["type"] == "composite":
        parts = registry(load(), resource_type).searchable[parameter["name"]].parts
        return "$".join(SAMPLES[part.type] for part in parts)
    return SAMPLES[parameter["type"]]


def written(statement: dict[str, Any]) -> str:
    """The statement as its file holds it: one line a resource type."""
    rest = statement["rest"][0]
    resources = ",\n".join(json.dumps(each) for each in rest["resource"])
    marked = {**statement, "rest": [{**rest, "resource": ["HERE"]}]}
    return json.dumps(marked, indent=1).replace('"HERE"', "\n" + resources + "\n") + "\n"


def general(statement: dict[str, Any]) -> dict[str, Any]:
    """The statement without what depends on where it is served."""
    return {name: value for name, value in statement.items() if name not in OF_THE_INSTANCE}


async def served(server: Server) -> dict[str, Any]:
    """The statement of a running server."""
    answer = await server("GET", "/metadata")
    assert answer.status_code == 200
    statement: dict[str, Any] = answer.json()
    return statement


async def test_metadata_is_what_was_promised(gated: Server) -> None:
    statement = await served(gated)
    if os.environ.get("FHIRSERVER_WRITE_CAPABILITY"):
        PROMISE.write_text(written(general(statement)), encoding="utf-8")
    assert json.loads(PROMISE.read_text(encoding="utf-8")) == general(statement)


async def test_metadata_needs_no_token_and_names_where_it_is(gated: Server) -> None:
    statement = await served(gated)
    assert (statement["fhirVersion"], statement["kind"]) == ("4.0.1", "instance")
    assert statement["implementation"]["url"] == FHIR
    coding = statement["rest"][0]["security"]["service"][0]["coding"][0]
    assert coding["code"] == "OAuth", "SMART is more than its scopes: there is no launch and no discovery here."
    assert (await gated("OPTIONS", "")).json() == statement


async def test_open_mode_does_not_promise_security(server: Server) -> None:
    assert "service" not in (await served(server))["rest"][0]["security"]


async def test_the_statement_is_valid(gated: Server) -> None:
    """Our own validator and an independent reader agree."""
    statement = await served(gated)
    issues = Validator(load()).validate(statement, resource_type="CapabilityStatement")
    assert [issue for issue in issues if issue.severity == "error"] == []
    assert CapabilityStatement.model_validate(statement).fhirVersion == "4.0.1"


def test_every_interaction_of_the_routes_is_promised_and_no_other() -> None:
    of_jobs = {"job-status", "job-cancel"}  # which are no interactions of R4's
    routed = {route.interaction for methods in ROUTES.values() for route in methods.values()} | {"batch"}
    routed -= of_jobs
    statement = capabilities(
        load(), TYPE_INTERACTIONS, SYSTEM_INTERACTIONS, Instance(FHIR, "0", "2026", open_mode=False)
    )
    of_system = {each["code"] for each in statement["rest"][0]["interaction"]}
    assert of_system == {"batch", "transaction", "history-system", "search-system"}
    for resource in statement["rest"][0]["resource"]:
        assert {each["code"] for each in resource["interaction"]} == routed - of_system - {"operation"}
    assert [each["type"] for each in statement["rest"][0]["resource"]] == list(load().resource_types)
    assert set(ROUTES) == set(Kind)


OURS = {"reindex"}


def test_every_operation_is_promised_where_it_can_be_invoked() -> None:
    """And its definition is R4's own, if R4 has any."""
    instance = Instance(FHIR, "0", "2026", open_mode=False)
    rest = capabilities(load(), TYPE_INTERACTIONS, SYSTEM_INTERACTIONS, instance)["rest"][0]
    defined = {each.url: each for each in load().operations}
    for each in OPERATIONS:
        own = {"name": each.code, "definition": each.definition}
        if each.code in OURS:
            assert each.definition not in defined
            assert (own in rest["operation"]) is (Level.SYSTEM in each.levels)
            continue
        known = defined[each.definition]
        assert (each.code, Level.SYSTEM in each.levels) == (known.code, known.system)
        assert (Level.TYPE in each.levels, Level.INSTANCE in each.levels) == (known.type, known.instance)
        assert (own in rest["operation"]) is known.system
        for resource in rest["resource"]:
            stands = each.resource_types is None or resource["type"] in each.resource_types
            assert (own in resource["operation"]) is ((known.type or known.instance) and stands)


@pytest.mark.parametrize("resource_type", HEART)
async def test_every_promised_parameter_can_be_searched_with_its_modifiers(server: Server, resource_type: str) -> None:
    resources = (await served(server))["rest"][0]["resource"]
    [promised] = [each for each in resources if each["type"] == resource_type]
    for parameter in promised["searchParam"]:
        name, value = parameter["name"], sample(resource_type, parameter)
        modifiers = parameter.get("documentation", "Modifiers: .")[len("Modifiers: ") : -1].split(", ")
        asked = [(name, value)]
        for modifier in filter(None, modifiers):
            target = "Patient" if modifier == "[type]" else modifier
            if modifier == "[type]" and "Patient" not in targets(resource_type, name):
                continue
            asked.append((f"{name}:{target}", sample(resource_type, parameter, modifier)))
        for key, each in asked:
            answer = await server("GET", f"/{resource_type}", params={key: each})
            assert answer.status_code == 200, (key, answer.text)
    for name in ("searchInclude", "searchRevInclude"):
        key = "_include" if name == "searchInclude" else "_revinclude"
        for value in promised.get(name, [])[:40]:
            answer = await server("GET", f"/{resource_type}", params={key: value, "_count": "1"})
            assert answer.status_code == 200, (key, value, answer.text)


def targets(resource_type: str, code: str) -> tuple[str, ...]:
    """The types that a reference parameter may point to; any, if it names none."""
    parameter = load().search_parameters(resource_type)[code]
    return parameter.targets or ("Patient",)


async def test_every_type_can_be_searched_read_and_written_to(server: Server) -> None:
    """No type is promised whose routes do not work."""
    for resource_type in load().resource_types:
        for method, path, status in (
            ("GET", f"/{resource_type}?_count=1", {200}),
            ("GET", f"/{resource_type}/absent", {404}),
            ("GET", f"/{resource_type}/absent/_history", {404}),
        ):
            answer = await server(method, path)
            assert answer.status_code in status, (method, path, answer.text)
        body = {"resourceType": resource_type, "unknownElement": True}
        assert (await server("PUT", f"/{resource_type}/x", json={**body, "id": "x"})).status_code == 400
        assert (await server("POST", f"/{resource_type}", json=body)).status_code == 400
