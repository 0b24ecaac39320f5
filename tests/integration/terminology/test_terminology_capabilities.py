"""What `/metadata?mode=terminology` says.

https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fhirserver.definitions import load
from fhirserver.interactions.operations.terminology import TERMINOLOGY
from fhirserver.validation import Validator
from tests.integration.serving import Server, serving_alone


@pytest.fixture(scope="module")
async def server(mongo_url: str) -> AsyncIterator[Server]:
    async with serving_alone(mongo_url) as running:
        yield running


async def test_the_terminology_that_is_here_is_stated(server: Server) -> None:
    answer = await server("GET", "/metadata?mode=terminology")
    assert answer.status_code == 200
    stated = answer.json()
    assert stated["resourceType"] == "TerminologyCapabilities"
    issues = Validator(load()).validate(stated, resource_type="TerminologyCapabilities")
    assert [each for each in issues if each.severity == "error"] == []
    systems = {each["uri"]: each for each in stated["codeSystem"]}
    assert systems["http://hl7.org/fhir/administrative-gender"]["version"][0]["code"] == "4.0.1"
    assert "http://unitsofmeasure.org" in systems
    assert "http://snomed.info/sct" not in systems


async def test_other_modes_are_the_statement_of_capabilities(server: Server) -> None:
    for path in ("/metadata", "/metadata?mode=full", "/metadata?mode=normative"):
        assert (await server("GET", path)).json()["resourceType"] == "CapabilityStatement"


async def test_the_statement_of_capabilities_names_the_operations_where_they_stand(server: Server) -> None:
    resources = (await server("GET", "/metadata")).json()["rest"][0]["resource"]
    stated = {(each["type"], operation["definition"]) for each in resources for operation in each.get("operation", ())}
    for operation in TERMINOLOGY:
        types = {resource_type for resource_type, definition in stated if definition == operation.definition}
        assert types == (operation.resource_types or set())
