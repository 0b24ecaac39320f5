"""The capabilities interaction: what this server does, from the tables by which it does it.

https://hl7.org/fhir/R4/http.html#capabilities and https://hl7.org/fhir/R4/capabilitystatement.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhirserver.definitions import Definitions, own_profiles
from fhirserver.interactions.operations import OPERATIONS, Level
from fhirserver.interactions.writing.patch import PATCH_TYPES
from fhirserver.model.resource import Resource
from fhirserver.search.registry import Searchable, registry

FHIR_VERSION = "4.0.1"
_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_COMPARTMENT = "http://hl7.org/fhir/CompartmentDefinition/"
_SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"

_FURTHER = {
    "_type": "The types that a search of everything goes through; all that there are, if none is named.",
    "_list": "What a List names. What is on the current lists ($current-problems, ...) is decided from the records.",
    "_has": "Reverse chains, up to three deep; chained parameters go up to three references far.",
    "_filter": "The whole grammar; each operator on the parameter types that can be compared so.",
}
"""What searches of every type understand beside their own parameters."""


@dataclass(frozen=True, slots=True)
class Instance:
    """What the statement says of this very server."""

    base_url: str
    version: str
    date: str
    open_mode: bool
    guards_references: bool = False
    cors: bool = False


def capabilities(
    definitions: Definitions, interactions: Sequence[str], system: Sequence[str], instance: Instance
) -> Resource:
    """The CapabilityStatement. `interactions` are those that the routes have for every type, `system` those with all of them."""
    tables = {name: registry(definitions, name).searchable for name in definitions.resource_types}
    policies = ("literal", "logical", *(("enforced",) if instance.guards_references else ()))
    pointing = _pointing(tables, definitions.resource_types)
    return {
        "resourceType": "CapabilityStatement",
        "url": f"{instance.base_url}/metadata",
        "version": instance.version,
        "name": "FhirServer",
        "title": "FHIR R4 on MongoDB, with Consent in every query",
        "status": "active",
        "date": instance.date,
        "kind": "instance",
        "software": {"name": "fhirserver", "version": instance.version},
        "implementation": {"description": "fhirserver", "url": instance.base_url},
        "fhirVersion": FHIR_VERSION,
        "format": ["json", "application/fhir+json", "xml", "application/fhir+xml"],
        "patchFormat": list(PATCH_TYPES),
        "rest": [
            {
                "mode": "server",
                "security": _security(instance),
                "resource": [
                    _resource(name, interactions, tables[name], pointing[name], policies)
                    for name in definitions.resource_types
                ],
                "interaction": [{"code": code} for code in system],
                "searchParam": [
                    {"name": name, "type": "special", "documentation": text} for name, text in _FURTHER.items()
                ],
                "operation": _operations((Level.SYSTEM,)),
                "compartment": [_COMPARTMENT + name.lower() for name in sorted(definitions.compartments)],
            }
        ],
    }


def _security(instance: Instance) -> dict[str, Any]:
    if instance.open_mode:
        return {"cors": instance.cors, "description": "Open mode: no token is asked for; loopback only."}
    return {
        "cors": instance.cors,
        "service": [
            {
                "coding": [{"system": _SECURITY_SERVICE, "code": "OAuth"}],
                "text": "OAuth 2.0 bearer tokens with SMART on FHIR scopes",
            }
        ],
        "description": "What a caller may see is decided by scopes, compartment and the patient's Consent together. "
        "A record that the caller may not see does not exist for that caller.",
    }


def _resource(
    resource_type: str,
    interactions: Sequence[str],
    parameters: Mapping[str, Searchable],
    pointing: Sequence[str],
    policies: Sequence[str],
) -> dict[str, Any]:
    includes = [f"{resource_type}:{code}" for code, each in sorted(parameters.items()) if each.type == "reference"]
    resource: dict[str, Any] = {
        "type": resource_type,
        "profile": _STRUCTURE + resource_type,
        **({"supportedProfile": profiles} if (profiles := own_profiles(resource_type)) else {}),
        "interaction": [{"code": code} for code in interactions],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
    }
    resource["referencePolicy"] = list(policies)
    if operations := _operations((Level.TYPE, Level.INSTANCE), resource_type):
        resource["operation"] = operations
    if includes:
        resource["searchInclude"] = ["*", f"{resource_type}:*", *includes]
    if pointing:
        resource["searchRevInclude"] = ["*", *pointing]
    resource["searchParam"] = [_parameter(each) for _, each in sorted(parameters.items())]
    return resource


def _operations(levels: Sequence[Level], resource_type: str = "") -> list[dict[str, Any]]:
    found = dict.fromkeys(each for level in levels for each in OPERATIONS.at(level, resource_type))
    return [{"name": each.code, "definition": each.definition} for each in found]


def _parameter(parameter: Searchable) -> dict[str, Any]:
    said = {"name": parameter.code, "definition": parameter.definition.url, "type": parameter.type}
    if parameter.modifiers:
        said["documentation"] = f"Modifiers: {', '.join(sorted(parameter.modifiers))}."
    return said


def _pointing(tables: Mapping[str, Mapping[str, Searchable]], resource_types: Sequence[str]) -> Mapping[str, list[str]]:
    """For each type, the reference parameters of all types that may point to it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, parameters in sorted(tables.items()):
        for code, each in sorted(parameters.items()):
            if each.type == "reference":
                for target in each.targets or resource_types:
                    found[target].append(f"{name}:{code}")
    return found
