"""OperationDefinitions and CompartmentDefinitions.

https://hl7.org/fhir/R4/operationdefinition.html
https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from fhirserver.definitions.compiling.package import Definition
from fhirserver.definitions.wire import WireOperation, WireOperationParameter


def compile_operations(definitions: list[Definition]) -> list[WireOperation]:
    """The operations, by id."""
    return [_operation(definition) for definition in sorted(definitions, key=lambda each: str(each["id"]))]


def compile_compartments(definitions: list[Definition]) -> dict[str, dict[str, list[str]]]:
    """For each compartment, the parameters of each resource type that can be in it."""
    return {
        definition["code"]: {each["code"]: each["param"] for each in definition["resource"] if "param" in each}
        for definition in sorted(definitions, key=lambda each: str(each["code"]))
    }


def _operation(definition: Definition) -> WireOperation:
    return WireOperation(
        id=definition["id"],
        url=definition["url"],
        code=definition["code"],
        system=definition["system"],
        type=definition["type"],
        instance=definition["instance"],
        affects_state=definition.get("affectsState"),
        resources=definition.get("resource", []),
        parameters=[_parameter(each) for each in definition.get("parameter", [])],
    )


def _parameter(parameter: Definition) -> WireOperationParameter:
    return WireOperationParameter(
        name=parameter["name"],
        use=parameter.get("use", ""),
        min=parameter["min"],
        max=-1 if parameter["max"] == "*" else int(parameter["max"]),
        type=parameter.get("type"),
        search_type=parameter.get("searchType"),
        target_profiles=parameter.get("targetProfile", []),
        parts=[_parameter(each) for each in parameter.get("part", [])],
    )
