"""R4's own code systems, value sets and concept maps: their codes and how they hang together, without their prose.

What is kept is FHIR's own JSON, so that these and the ones that a server stores are read by the same code. Definitions, comments
and designations are left out, and so are the displays of code systems that are not HL7's: those have publishers of their own.

https://hl7.org/fhir/R4/terminology-module.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fhirserver.definitions.codes import currencies
from fhirserver.definitions.compiling.package import Definition, Package
from fhirserver.definitions.wire import WireTerminology, raw

_OWN: Final = ("http://hl7.org/fhir/", "http://terminology.hl7.org/")
"""The code systems whose displays are HL7's, published under CC0 1.0."""
_HEAD: Final = ("resourceType", "url", "version", "name", "status")
_CODE_SYSTEM: Final = (*_HEAD, "caseSensitive", "valueSet", "hierarchyMeaning", "content")
_CONTENT: Final = ("complete", "fragment", "example")
_CONCEPT_MAP: Final = (*_HEAD, "sourceUri", "sourceCanonical", "targetUri", "targetCanonical")
_GROUP: Final = ("source", "sourceVersion", "target", "targetVersion")


def compile_terminology(package: Package) -> WireTerminology:
    """The three kinds, each by URL."""
    systems = [each for each in package.of("CodeSystem") if each["content"] in _CONTENT]
    return WireTerminology(
        code_systems={each["url"]: raw(_code_system(each)) for each in (*systems, _currencies())},
        value_sets={each["url"]: raw(_value_set(each)) for each in package.of("ValueSet") if "compose" in each},
        concept_maps={each["url"]: raw(_concept_map(each)) for each in package.of("ConceptMap")},
    )


def _currencies() -> Definition:
    """The one code system to which R4 binds and whose codes are kept here by hand."""
    system: Definition = {
        "resourceType": "CodeSystem",
        "url": currencies.SYSTEM,
        "name": "Currencies",
        "status": "active",
    }
    concepts = [{"code": code} for code in sorted(currencies.CODES)]
    return system | {"caseSensitive": True, "content": "complete", "concept": concepts}


def _only(definition: Definition, names: Iterable[str]) -> Definition:
    return {name: definition[name] for name in names if name in definition}


def _has_displays(system: str) -> bool:
    return system.startswith(_OWN)


def _code_system(definition: Definition) -> Definition:
    kept = _only(definition, _CODE_SYSTEM)
    if "property" in definition:
        kept["property"] = [_only(each, ("code", "uri", "type")) for each in definition["property"]]
    kept["concept"] = _concepts(definition.get("concept", []), _has_displays(definition["url"]))
    return kept


def _concepts(concepts: Iterable[Definition], displays: bool) -> list[Definition]:
    return [_concept(each, displays) for each in concepts]


def _concept(concept: Definition, displays: bool) -> Definition:
    kept = _only(concept, ("code", "display", "property") if displays else ("code", "property"))
    if "concept" in concept:
        kept["concept"] = _concepts(concept["concept"], displays)
    return kept


def _value_set(definition: Definition) -> Definition:
    compose = definition["compose"]
    parts = {name: [_part(each) for each in compose[name]] for name in ("include", "exclude") if name in compose}
    return _only(definition, _HEAD) | {"compose": _only(compose, ("inactive", "lockedDate")) | parts}


def _part(part: Definition) -> Definition:
    kept = _only(part, ("system", "version", "filter", "valueSet"))
    if "concept" in part:
        names = ("code", "display") if _has_displays(part["system"]) else ("code",)
        kept["concept"] = [_only(each, names) for each in part["concept"]]
    return kept


def _concept_map(definition: Definition) -> Definition:
    return _only(definition, _CONCEPT_MAP) | {"group": [_group(each) for each in definition.get("group", [])]}


def _group(group: Definition) -> Definition:
    elements = [_only(each, ("code",)) | _targets(each) for each in group["element"]]
    return _only(group, (*_GROUP, "unmapped")) | {"element": elements}


def _targets(element: Definition) -> Definition:
    if "target" not in element:
        return {}
    return {"target": [_target(each) for each in element["target"]]}


def _target(target: Definition) -> dict[str, Any]:
    kept = _only(target, ("code", "equivalence"))
    for name in ("dependsOn", "product"):
        if name in target:
            kept[name] = [_only(each, ("property", "system", "value")) for each in target[name]]
    return kept
