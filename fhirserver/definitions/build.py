"""Building the compiled files from HL7's `hl7.fhir.r4.core` package.

https://hl7.org/fhir/R4/downloads.html
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from fhirserver.definitions.codes.grammars import UNITS
from fhirserver.definitions.compiling.operations import compile_compartments, compile_operations
from fhirserver.definitions.compiling.package import Definition, read_package
from fhirserver.definitions.compiling.parameters import compile_parameters
from fhirserver.definitions.compiling.profiles import compile_profiles
from fhirserver.definitions.compiling.structures import compile_structures, concrete_types
from fhirserver.definitions.compiling.tables import Tables
from fhirserver.definitions.compiling.terminology import compile_terminology
from fhirserver.definitions.compiling.values import CannotExpandError, Expander
from fhirserver.definitions.wire import WireFile, pack, raw


def build(package: Path, out: Path, terminology: Path | None = None, profiles: Path | None = None) -> None:
    """Compile the package's tarball to these files, as far as they are named; the same package gives the same bytes."""
    source = read_package(package)
    tables = Tables()
    structures = compile_structures(source.of("StructureDefinition"), tables)
    parameters = compile_parameters(source.of("SearchParameter"), tables)
    expander = Expander(source.of("ValueSet"), source.of("CodeSystem"))
    value_sets, unexpanded = _expand(expander, tables.bound_value_sets())
    compiled = WireFile(
        package=f"{source.name}#{source.version}",
        tables=tables.wire(),
        concrete_types=concrete_types(source.of("StructureDefinition")),
        structures=structures,
        parameters=parameters,
        compartments=compile_compartments(source.of("CompartmentDefinition")),
        operations=raw(compile_operations(source.of("OperationDefinition"))),
        value_sets=value_sets,
        unexpanded=unexpanded,
        case_sensitive_systems=raw(_case_sensitive(source.of("CodeSystem"))),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(pack(compiled))
    if terminology is not None:
        terminology.write_bytes(pack(compile_terminology(source)))
    if profiles is not None:
        profiles.write_bytes(pack(compile_profiles(source.of("StructureDefinition"))))


def _expand(expander: Expander, canonicals: list[str]) -> tuple[dict[str, msgspec.Raw], dict[str, str]]:
    """The expansions, and for those that cannot be made, what is missing."""
    expanded: dict[str, msgspec.Raw] = {}
    unexpanded: dict[str, str] = {}
    for canonical in canonicals:
        try:
            expansion = expander.expand(canonical)
        except CannotExpandError as error:
            unexpanded[canonical] = str(error)
        else:
            expanded[canonical] = raw((expansion.by_system(), sorted(expansion.grammars)))
    return expanded, unexpanded


def _case_sensitive(definitions: list[Definition]) -> list[str]:
    return sorted({definition["url"] for definition in definitions if definition.get("caseSensitive")} | {UNITS})
