"""The OpenAPI document: an operation for each route of each of the eight types, with parameters, schemas and examples.

https://spec.openapis.org/oas/v3.0.3.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

from fhirserver.definitions import Definitions, shipped
from fhirserver.interactions.operations import OPERATIONS
from fhirserver.model.json import parse
from fhirserver.rest.address import BASE_PATH, LEVELS, Kind
from fhirserver.rest.openapi.interactions import (
    ANY,
    BUNDLE,
    CONDITIONAL,
    HEADERS,
    INTERACTIONS,
    JSON,
    NOTHING,
    OTHER,
    PARAMETERS,
    RESOURCE,
    Interaction,
    form_body,
    refusals,
)
from fhirserver.rest.openapi.schemas import Schema, reference_to, schemas
from fhirserver.rest.routes import ROUTES
from fhirserver.search.query.result import READERS
from fhirserver.search.registry import Searchable, registry

TYPES: Final = (
    "Patient",
    "Appointment",
    "Slot",
    "MedicationRequest",
    "Observation",
    "Immunization",
    "Coverage",
    "Consent",
)
"""The types that the description shows. The server has every other type of R4 by the same routes."""
_SYSTEM: Final = "System"
_HEALTH: Final = "Health"
_COMPARTMENT: Final = "Patient"
_ABOUT: Final = (
    "FHIR R4 (4.0.1) on MongoDB, in which the patient's Consent is part of every query. Shown are eight resource types; every "
    "other type of R4 has the same routes. The whole promise is at `/fhir/metadata`. What a caller may not see does not exist "
    "for that caller: the same 404, the same empty page."
)


@dataclass(frozen=True, slots=True)
class About:
    """What the document says of this very server."""

    version: str
    base_url: str
    open_mode: bool


def description(definitions: Definitions, about: About) -> dict[str, Any]:
    """The document."""
    examples = _examples()
    paths: dict[str, dict[str, Any]] = {}
    for kind in Kind:
        for resource_type in TYPES if "[type]" in kind else ("",):
            path, operations = _path(kind, resource_type), _operations(definitions, kind, resource_type, examples)
            if operations and _is_shown(definitions, kind, resource_type):
                paths[path] = operations
    paths |= _health()
    return {
        "openapi": "3.0.3",
        "info": {"title": "fhirserver", "version": about.version, "description": _ABOUT},
        "servers": [{"url": urlsplit(about.base_url).path.removesuffix(BASE_PATH) or "/"}],
        "tags": [*({"name": name} for name in TYPES), {"name": _SYSTEM}, {"name": _HEALTH}],
        "paths": paths,
        "components": {
            "schemas": schemas(definitions, (*TYPES, BUNDLE, PARAMETERS, "OperationOutcome", "CapabilityStatement"))
            | _OURS,
            "responses": refusals(),
            **({} if about.open_mode else {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}),
        },
        **({} if about.open_mode else {"security": [{"token": []}]}),
    }


_OURS: Final[dict[str, Schema]] = {
    "Patch": {
        "type": "array",
        "description": "A JSON Patch (RFC 6902).",
        "items": {
            "type": "object",
            "properties": {
                "op": {"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
                "path": {"type": "string"},
                "from": {"type": "string"},
                "value": {},
            },
            "required": ["op", "path"],
        },
        "example": [{"op": "replace", "path": "/status", "value": "entered-in-error"}],
    }
}

_FHIRPATH_PATCH: Final[dict[str, Any]] = {
    "resourceType": PARAMETERS,
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "replace"},
                {"name": "path", "valueString": "status"},
                {"name": "value", "valueCode": "entered-in-error"},
            ],
        }
    ],
}


def _examples() -> dict[str, dict[str, Any]]:
    """The first resource of each type in the seed; none where no seed is shipped."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(shipped("seed").glob("[0-9]*.json")):
        for entry in parse(path.read_bytes())["entry"]:
            found.setdefault(entry["resource"]["resourceType"], entry["resource"])
        if found.keys() >= set(TYPES):
            break
    return found


def _path(kind: Kind, resource_type: str) -> str:
    """An address as R4 writes it, as OpenAPI writes it."""
    path = kind.replace("[base]", BASE_PATH).replace("[type]", resource_type).replace("[compartment]", _COMPARTMENT)
    return path.replace("[id]", "{id}").replace("[vid]", "{vid}").replace("[operation]", "{operation}")


def _is_shown(definitions: Definitions, kind: Kind, resource_type: str) -> bool:
    """Compartments hold some types only; a Patient's own is shown as a Patient."""
    if kind not in (Kind.COMPARTMENT, Kind.COMPARTMENT_SEARCH):
        return True
    return bool(definitions.compartments[_COMPARTMENT].resources.get(resource_type)) and resource_type != _COMPARTMENT


def _operations(
    definitions: Definitions, kind: Kind, resource_type: str, examples: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    methods = {method: route.interaction for method, route in ROUTES[kind].items()}
    if kind is Kind.METADATA:
        methods = {"GET": "capabilities"}
    return {
        method.lower(): _operation(definitions, kind, method, name, resource_type, examples)
        for method, name in methods.items()
    }


_IN_AN_ID: Final = str.maketrans({"/": "-", "{": None, "}": None})


def _operation(
    definitions: Definitions,
    kind: Kind,
    method: str,
    name: str,
    resource_type: str,
    examples: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    known = INTERACTIONS.get(name, Interaction(name, "https://hl7.org/fhir/R4/http.html", ((200, "Done"),)))
    example = examples.get(resource_type)
    parameters = _in_path(kind, resource_type, example)
    queried = _queried(definitions, resource_type) if name == "search-type" else _PARTS.get(name, [])
    by_form = name == "search-type" and method == "POST"
    summary = known.summary
    if kind is Kind.TYPE and name in CONDITIONAL:
        summary, queried = CONDITIONAL[name], _criteria(definitions, resource_type)
    operation: dict[str, Any] = {
        "tags": [resource_type or _SYSTEM],
        "summary": summary,
        "description": f"The [{name}]({known.clause}) interaction.",
        "operationId": method.lower() + _path(kind, resource_type).translate(_IN_AN_ID),
        "parameters": [*parameters, *([] if by_form else queried), *map(_header, known.headers)],
        "responses": _responses(known, resource_type, example, needs_token=name != "capabilities"),
    }
    if by_form:
        operation["requestBody"] = form_body(queried)
    elif known.takes is not None:
        operation["requestBody"] = _body(known, name, resource_type, example)
    if name == "capabilities":
        operation["security"] = []
    return operation


def _header(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": HEADERS[name], "schema": {"type": "string"}}


def _in_path(kind: Kind, resource_type: str, example: dict[str, Any] | None) -> list[dict[str, Any]]:
    schema = {"type": "string", "pattern": r"^[A-Za-z0-9\-.]{1,64}$"}
    found = []
    if "[id]" in kind:
        inside = "[compartment]" in kind
        shown = {} if example is None or inside else {"example": example["id"]}
        about = f"The id of the {_COMPARTMENT}" if inside else "The logical id"
        found.append({"name": "id", "in": "path", "required": True, "description": about, "schema": schema} | shown)
    if "[vid]" in kind:
        found.append(
            {
                "name": "vid",
                "in": "path",
                "required": True,
                "description": "The version",
                "schema": schema,
                "example": "1",
            }
        )
    if kind in LEVELS:
        codes = [each.code for each in OPERATIONS.at(LEVELS[kind], resource_type)]
        named = {"type": "string", "enum": codes}
        found.append(
            {"name": "operation", "in": "path", "required": True, "description": "The operation", "schema": named}
        )
    return found


def _queried(definitions: Definitions, resource_type: str) -> list[dict[str, Any]]:
    """The parameters of a search: those of the type, then those that shape the answer."""
    searchable = registry(definitions, resource_type).searchable
    own = sorted(searchable, key=lambda code: (code.startswith("_"), code))
    return [
        *(_query(code, _said(searchable[code])) for code in own),
        *(_query(code, "Shapes the answer.") for code in sorted(READERS)),
    ]


def _query(name: str, about: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": about, "schema": {"type": "string"}}


_SHAPES: Final = [_query(name, "Shapes the answer.") for name in ("_elements", "_summary")]
_SPAN: Final = [
    _query("_since", "Versions written at this instant or later."),
    _query("_at", "Versions that were current at some moment of this time."),
    _query("_list", "Versions of what this List names."),
    _query("_sort", "`_lastUpdated`, or `-_lastUpdated`: the newest first."),
    _query("_count", "Versions on a page."),
]
_PARTS: Final = {
    "read": _SHAPES,
    "vread": _SHAPES,
    **{f"history-{level}": [*_SPAN, *_SHAPES] for level in ("instance", "type", "system")},
}


def _criteria(definitions: Definitions, resource_type: str) -> list[dict[str, Any]]:
    """The parameters of the search of a conditional interaction: those of the type alone."""
    searchable = registry(definitions, resource_type).searchable
    return [_query(code, _said(searchable[code])) for code in sorted(searchable) if not code.startswith("_")]


def _said(parameter: Searchable) -> str:
    targets = f" to {', '.join(parameter.targets)}" if parameter.targets else ""
    modifiers = f" Modifiers: {', '.join(sorted(parameter.modifiers))}." if parameter.modifiers else ""
    return f"{parameter.type}{targets}.{modifiers}"


def _responses(
    known: Interaction, resource_type: str, example: dict[str, Any] | None, *, needs_token: bool
) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, about in known.answers:
        responses[str(status)] = {"description": about}
        if known.gives != NOTHING and status != HTTPStatus.NOT_MODIFIED:
            content = {"schema": _schema(known.gives, resource_type), "example": _shown(known.gives, example)}
            responses[str(status)]["content"] = {JSON: content}
    for status in sorted({*known.refusals, *((401, 403) if needs_token else ())}):
        responses[str(status)] = {"$ref": f"#/components/responses/{status}"}
    responses["default"] = {"$ref": f"#/components/responses/{OTHER}"}
    return responses


def _schema(gives: str, resource_type: str) -> Schema:
    return reference_to(resource_type or "Resource") if gives == RESOURCE else reference_to(gives)


def _shown(gives: str, example: dict[str, Any] | None) -> dict[str, Any]:
    """A resource of the seed, by itself or on a page; without one, what every page has. None is made up from a schema."""
    if gives in (PARAMETERS, ANY):
        return {"resourceType": PARAMETERS, "parameter": [{"name": "return", "valueMeta": {"versionId": "1"}}]}
    if gives not in (RESOURCE, BUNDLE):
        return {"resourceType": gives, "status": "active", "kind": "instance", "fhirVersion": "4.0.1"}
    if gives == RESOURCE:
        return example or {"resourceType": "Basic"}
    page: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    if example is None:
        return page
    address = f"{example['resourceType']}/{example['id']}"
    entry = {"fullUrl": f"https://fhir.example.org/fhir/{address}", "resource": example}
    return page | {"entry": [entry | {"search": {"mode": "match"}}]}


def _body(known: Interaction, name: str, resource_type: str, example: dict[str, Any] | None) -> dict[str, Any]:
    assert known.takes is not None, "Asked of interactions that take a body."  # noqa: S101
    media_type, gives = known.takes
    content: dict[str, Any] = {"schema": _schema(gives, resource_type)}
    if gives == RESOURCE and example is not None:
        # The server chooses the id of what is created.
        content["example"] = (
            example if name == "update" else {key: each for key, each in example.items() if key != "id"}
        )
    elif gives == BUNDLE:
        entry = {"request": {"method": "GET", "url": "Slot?status=free&_count=5"}}
        content["example"] = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    others = {}
    if known.or_takes is not None:
        other_type, other = known.or_takes
        others[other_type] = {"schema": _schema(other, resource_type), "example": _FHIRPATH_PATCH}
    return {"required": True, "content": {media_type: content, **others}}


def _health() -> dict[str, Any]:
    def check(summary: str, *statuses: tuple[int, str]) -> dict[str, Any]:
        shown = {"application/json": {"schema": {"type": "object", "properties": {"status": {"type": "string"}}}}}
        return {
            "get": {
                "tags": [_HEALTH],
                "summary": summary,
                "security": [],
                "responses": {str(status): {"description": about, "content": shown} for status, about in statuses},
            }
        }

    return {
        "/health/live": check("Is the process alive", (200, "It is")),
        "/health/ready": check("Do reads and writes work", (200, "They do"), (503, "They do not, at the moment")),
    }
