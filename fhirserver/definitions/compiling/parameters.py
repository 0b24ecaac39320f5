"""SearchParameters, each split into what concerns each of its base types.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from fhirserver.definitions.compiling.package import Definition
from fhirserver.definitions.compiling.tables import Tables
from fhirserver.definitions.wire import WireParameter, raw

_LEADING_NAME = re.compile(r"\(*([A-Za-z][A-Za-z0-9]*)")

# FHIRPath's System.DateTime, written where the FHIR type is meant.
_MISSPELT_TYPE = "as(DateTime)"


def compile_parameters(definitions: list[Definition], tables: Tables) -> dict[str, msgspec.Raw]:
    """The parameters of each base type, by that type's name.

    The package has ten definitions without any base: nothing can ask for those.
    """
    by_url = {definition["url"]: definition for definition in definitions}
    by_type: dict[str, list[WireParameter]] = {}
    for definition in sorted(definitions, key=lambda each: (each["code"], each["url"])):
        for base in definition.get("base", []):
            by_type.setdefault(base, []).append(_parameter(definition, base, by_url, tables))
    return {base: raw(by_type[base]) for base in sorted(by_type)}


def split_union(expression: str) -> list[str]:
    """The parts of the outermost union."""
    parts, depth, start, quoted = [], 0, 0, False
    for at, char in enumerate(expression):
        if char == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "|" and depth == 0:
            parts.append(expression[start:at].strip())
            start = at + 1
    return [*parts, expression[start:].strip()]


def expression_for(expression: str, base: str, bases: list[str]) -> str:
    """What an expression says about one of its base types: the parts that start at it or at no type at all."""
    others = set(bases) - {base}
    kept = []
    for part in split_union(expression):
        name = _LEADING_NAME.match(part)
        if name is None or name[1] not in others:
            kept.append(part)
    return " | ".join(kept)


def _parameter(definition: Definition, base: str, by_url: Mapping[str, Definition], tables: Tables) -> WireParameter:
    return WireParameter(
        code=definition["code"],
        url=definition["url"],
        type=definition["type"],
        expression=expression_for(definition.get("expression", ""), base, definition["base"]),
        base=tables.names(definition["base"]),
        targets=tables.names(definition.get("target", [])),
        components=[_component(component, by_url) for component in definition.get("component", [])],
        multiple_or=definition.get("multipleOr"),
        multiple_and=definition.get("multipleAnd"),
        modifiers=definition.get("modifier", []),
        comparators=definition.get("comparator", []),
        chains=definition.get("chain", []),
        usage=definition.get("xpathUsage"),
    )


def _component(component: Definition, by_url: Mapping[str, Definition]) -> tuple[str, str, str, str]:
    part = by_url[component["definition"]]
    return part["url"], part["code"], part["type"], component["expression"].replace(_MISSPELT_TYPE, "as(dateTime)")
