"""`%name`: the resource, the context, the well-known systems, and what the caller gave.

https://hl7.org/fhir/R4/fhirpath.html#variables
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fhirserver.fhirpath.environment import Environment
from fhirserver.fhirpath.errors import FhirPathError
from fhirserver.fhirpath.language.syntax import External
from fhirserver.fhirpath.runtime import Collection
from fhirserver.fhirpath.tables import resource_type
from fhirserver.fhirpath.values.nodes import STRING, Node

if TYPE_CHECKING:
    from fhirserver.fhirpath.compiling.compiler import Compiler

SYSTEMS: Mapping[str, str] = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "us-zip": "[0-9]{5}(-[0-9]{4}){0,1}",
}
PREFIXES: Mapping[str, str] = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


def external(compiler: Compiler, tree: External) -> Collection:
    """The value of a variable. Those of the caller are known when the expression runs."""
    name = tree.name
    constant = SYSTEMS.get(name)
    for prefix, address in PREFIXES.items():
        if name.startswith(prefix):
            constant = address + name.removeprefix(prefix)
    if constant is not None:
        nodes: list[Node] = [(STRING, constant)]
        return lambda value, environment: nodes
    if name in ("resource", "rootResource", "context"):
        return _KNOWN[name]

    def given(value: Any, environment: Environment) -> list[Node]:
        found = environment.variables.get(name)
        if found is None:
            raise FhirPathError(f"There is no variable %{name}.", tree.position, compiler.expression)
        return list(found)

    return given


def _resource(value: Any, environment: Environment) -> list[Node]:
    return _node(environment.resource)


def _root(value: Any, environment: Environment) -> list[Node]:
    return _node(environment.container)


def _context(value: Any, environment: Environment) -> list[Node]:
    return [] if environment.context is None else [environment.context]


def _node(resource: Any) -> list[Node]:
    return [] if resource is None else [(resource_type(resource), resource)]


_KNOWN: Mapping[str, Collection] = {"resource": _resource, "rootResource": _root, "context": _context}
