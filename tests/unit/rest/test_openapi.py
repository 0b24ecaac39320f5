"""The OpenAPI document says what the routes and the tables of search say, and its schemas and examples agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV30SpecValidator

from fhirserver.cli.demo import bundles
from fhirserver.definitions import load
from fhirserver.model.json import dump, parse
from fhirserver.rest.address import Kind, addresses
from fhirserver.rest.interactions import histories
from fhirserver.rest.openapi.document import TYPES, About, description
from fhirserver.rest.openapi.interactions import INTERACTIONS
from fhirserver.rest.routes import ROUTES
from fhirserver.search.query.result import READERS
from fhirserver.search.registry import registry
from fhirserver.validation import Validator

BASE = "https://fhir.example.org/fhir"
Document = dict[str, Any]


def made(*, open_mode: bool = False, base_url: str = BASE) -> Document:
    document: Document = parse(dump(description(load(), About("1.2.3", base_url, open_mode))))
    return document


@pytest.fixture(scope="module")
def document() -> Document:
    return made()


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


def kind_of(path: str) -> Kind:
    """What the server's own parser takes this path for."""
    address = path.replace("{id}", "1").replace("{vid}", "1").replace("{operation}", "meta")
    return addresses(load()).parse(address.encode()).kind


def test_it_is_openapi(document: Document) -> None:
    """An independent reader of OpenAPI 3.0 has nothing to say against it."""
    assert [str(error) for error in OpenAPIV30SpecValidator(document).iter_errors()] == []


def test_every_operation_is_a_route_and_every_route_is_shown(document: Document) -> None:
    shown: dict[Kind, set[str]] = {}
    for path, method, operation in operations(document):
        if path.startswith("/fhir"):
            kind = kind_of(path)
            shown.setdefault(kind, set()).add(method)
            route = ROUTES[kind].get(method)
            name = "capabilities" if route is None else route.interaction
            assert f"[{name}](" in operation["description"]
    routed = {kind: set(methods) for kind, methods in ROUTES.items() if methods}
    assert shown == {**routed, Kind.METADATA: {"GET"}}


@pytest.mark.parametrize("resource_type", TYPES)
def test_each_of_the_eight_has_every_route_of_a_type(document: Document, resource_type: str) -> None:
    for kind, methods in ROUTES.items():
        if "[type]" in kind and "[compartment]" not in kind:
            path = kind.replace("[base]", "/fhir").replace("[type]", resource_type)
            path = path.replace("[id]", "{id}").replace("[vid]", "{vid}").replace("[operation]", "{operation}")
            assert {method.upper() for method in document["paths"][path]} == set(methods)


def test_every_interaction_of_the_routes_is_described() -> None:
    assert {route.interaction for methods in ROUTES.values() for route in methods.values()} <= set(INTERACTIONS)


@pytest.mark.parametrize("resource_type", TYPES)
def test_a_search_has_the_parameters_that_work_and_no_other(document: Document, resource_type: str) -> None:
    search = document["paths"][f"/fhir/{resource_type}"]["get"]
    names = {each["name"] for each in search["parameters"] if each["in"] == "query"}
    assert names == {*registry(load(), resource_type).searchable, *READERS}
    form = document["paths"][f"/fhir/{resource_type}/_search"]["post"]["requestBody"]["content"]
    assert form["application/x-www-form-urlencoded"]["schema"]["properties"].keys() == names


def test_a_history_has_the_parameters_that_it_names_where_one_is_refused(document: Document) -> None:
    said = set(re.findall(r"_[a-z]+", histories._KNOWN)) - {"_format", "_pretty"}
    for path in ("/fhir/_history", "/fhir/Patient/_history", "/fhir/Patient/{id}/_history"):
        shown = {each["name"] for each in document["paths"][path]["get"]["parameters"] if each["in"] == "query"}
        assert shown == said


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_write_has_the_preconditions_of_a_version(document: Document, method: str) -> None:
    parameters = document["paths"]["/fhir/Patient/{id}"][method]["parameters"]
    assert {"If-Match", "If-Unmodified-Since"} <= {each["name"] for each in parameters if each["in"] == "header"}


def test_every_parameter_of_a_path_is_declared(document: Document) -> None:
    for path, _, operation in operations(document):
        declared = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"]
        assert declared == re.findall(r"\{(\w+)\}", path)
    names = [operation["operationId"] for path, _, operation in operations(document) if path.startswith("/fhir")]
    assert len(names) == len(set(names))


def test_an_example_is_a_valid_record_of_the_seed(document: Document) -> None:
    seeded = {entry["request"]["url"]: entry["resource"] for bundle in bundles() for entry in bundle["entry"]}
    validator = Validator(load())
    for resource_type in TYPES:
        example = document["paths"][f"/fhir/{resource_type}/{{id}}"]["put"]["requestBody"]["content"]
        resource = example["application/fhir+json"]["example"]
        assert resource == parse(dump(seeded[f"{resource_type}/{resource['id']}"]))
        assert [issue for issue in validator.validate(resource) if issue.severity == "error"] == []
        new = document["paths"][f"/fhir/{resource_type}"]["post"]["requestBody"]["content"]["application/fhir+json"]
        assert new["example"] == {name: value for name, value in resource.items() if name != "id"}


@pytest.mark.parametrize("resource_type", TYPES)
def test_what_the_seed_holds_passes_the_schema_and_what_is_broken_does_not(
    document: Document, resource_type: str
) -> None:
    whole = {"$ref": f"#/components/schemas/{resource_type}", "components": document["components"]}
    schema = OAS30Validator(whole)
    found = [
        entry["resource"]
        for bundle in bundles()
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == resource_type
    ][:25]
    assert found
    for resource in found:
        plain = parse(dump(resource))
        assert [error.message for error in schema.iter_errors(_plain(plain))] == []
    assert not schema.is_valid({"resourceType": "Basic"})
    assert not schema.is_valid(_plain(found[0]) | {"id": 1})


def _plain(value: Any) -> Any:
    """The value with numbers of Python's own, which the schema's reader knows."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value if isinstance(value, (str, bool, int)) else float(str(value))


def test_every_schema_that_is_referred_to_is_there(document: Document) -> None:
    targets = set(re.findall(rb'"\$ref":"#/components/([^"]+)"', dump(document)))
    there = {
        f"{section}/{name}".encode() for section in ("schemas", "responses") for name in document["components"][section]
    }
    assert targets <= there


def test_a_token_is_asked_for_unless_the_mode_is_open(document: Document) -> None:
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/fhir/metadata"]["get"]["security"] == []
    assert document["paths"]["/health/ready"]["get"]["security"] == []
    opened = made(open_mode=True)
    assert "security" not in opened
    assert "securitySchemes" not in opened["components"]


@pytest.mark.parametrize(
    ("base_url", "server"),
    [(BASE, "/"), ("http://127.0.0.1:8000/fhir", "/"), ("https://example.org/clinic/fhir", "/clinic")],
)
def test_requests_go_to_the_place_that_the_page_came_from(base_url: str, server: str) -> None:
    assert made(base_url=base_url)["servers"] == [{"url": server}]


def test_every_answer_that_is_not_listed_is_an_operation_outcome(document: Document) -> None:
    """What a bound, a media type or a busy server refuses is described too; no caller finds a status without a description."""
    for path, method, operation in operations(document):
        if path.startswith("/fhir"):
            listed = {status: each for status, each in operation["responses"].items() if status[0] not in "23"}
            shown = [document["components"]["responses"][each["$ref"].rpartition("/")[2]] for each in listed.values()]
            schemas = {str(each["content"]["application/fhir+json"]["schema"]["$ref"]) for each in shown}
            assert "default" in listed, (path, method)
            assert schemas == {"#/components/schemas/OperationOutcome"}
