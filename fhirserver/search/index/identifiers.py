"""The stored values of the parameter `identifier` alone: what resources are told apart by before anything else is known of them.

https://hl7.org/fhir/R4/resource.html#identification
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhirserver.definitions import Definitions
from fhirserver.fhirpath import Plan
from fhirserver.search.parameters import TYPES
from fhirserver.search.parameters.term import Circumstances
from fhirserver.search.registry import registry, resource_types

IDENTIFIER_PATH = "index.identifier"

Identifiers = Callable[[str, Mapping[str, Any]], Sequence[str] | None]
"""The values of a resource of this type; None where the type has no such parameter of identifiers alone."""


def identifiers(definitions: Definitions, base_url: str = "") -> Identifiers:
    """What reads them. It may stumble over a resource that is not valid."""
    circumstances = Circumstances(base_url, definitions.case_sensitive_systems, resource_types(definitions))
    indexed = TYPES["token"].indexed
    plans: dict[str, Plan | None] = {}

    def values(resource_type: str, resource: Mapping[str, Any]) -> Sequence[str] | None:
        if resource_type not in plans:
            plans[resource_type] = _plan(definitions, resource_type)
        plan = plans[resource_type]
        if plan is None:
            return None
        nodes = plan(resource).get("identifier")
        if not nodes:
            return ()
        stored = indexed(nodes, circumstances)
        return () if stored is None else tuple(stored[0])

    return values


def _plan(definitions: Definitions, resource_type: str) -> Plan | None:
    known = registry(definitions, resource_type).searchable.get("identifier")
    if known is None or known.type != "token" or known.definition.expression != f"{resource_type}.identifier":
        return None
    return Plan(definitions, resource_type, {"identifier": known.definition.expression})
