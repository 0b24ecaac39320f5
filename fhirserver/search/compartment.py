"""Compartments as conditions: `Patient/p1/Observation` finds the Observations that the definition puts there.

https://hl7.org/fhir/R4/compartmentdefinition.html and https://hl7.org/fhir/R4/search.html#2.1.1.2
"""

from __future__ import annotations

from dataclasses import replace

from fhirserver.definitions import Definitions
from fhirserver.search.expression import Exists, Expression, In, Prefixed, all_of, any_of, one_of
from fhirserver.search.registry import registry
from fhirserver.search.request import SearchRequest


def compartment_expression(definitions: Definitions, compartment_type: str, id: str, resource_type: str) -> Expression:
    """True of the resources of the type that are in the compartment; `Nothing` where the type never is."""
    searchable = registry(definitions, resource_type).searchable
    reference = f"{compartment_type}/{id}"
    terms: list[Expression] = [
        In(f"{searchable[code].path}.r", frozenset({reference}))
        for code in definitions.compartments[compartment_type].resources.get(resource_type, ())
        if code in searchable and searchable[code].type == "reference"
    ]
    if resource_type == compartment_type:
        terms.append(one_of("_id", id))
    return any_of(*terms)


def in_any_compartment(definitions: Definitions, compartment_type: str, resource_type: str) -> Expression:
    """True of the resources of the type that are in the compartment of anybody at all."""
    searchable = registry(definitions, resource_type).searchable
    terms = [
        Prefixed(f"{searchable[code].path}.r", f"{compartment_type}/")
        for code in definitions.compartments[compartment_type].resources.get(resource_type, ())
        if code in searchable and searchable[code].type == "reference"
    ]
    return Exists("_id") if resource_type == compartment_type else any_of(*terms)


def in_compartment(definitions: Definitions, request: SearchRequest, compartment_type: str, id: str) -> SearchRequest:
    """The same search, within the compartment."""
    inside = compartment_expression(definitions, compartment_type, id, request.resource_type)
    # What is in Patient/Patient may also be another patient, by a link, which makes nobody an owner.
    narrows = compartment_type == "Patient" and request.resource_type != "Patient"
    if narrows and (request.patients is None or len(request.patients) > 1):
        request = replace(request, patients=frozenset({id}), mentions=frozenset({id}))
    return replace(request, expression=all_of(inside, request.expression))
