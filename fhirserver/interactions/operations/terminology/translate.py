"""The operation `$translate`: what a code is in another code system, by concept maps.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.interactions.operations.terminology.subject import at_hand, codings, parameters, subject, value
from fhirserver.interactions.terminology import maps_of, worked
from fhirserver.model.outcome import BadRequest
from fhirserver.model.resource import Resource
from fhirserver.terminology import Catalogue
from fhirserver.terminology.translation import Match, is_between, is_met, translated

_NONE: Final = "No map that is here translates the code."
_HANGS: Final = "Some of the matches hang on other elements: send those as 'dependency'."


async def translate(context: Context, invocation: Invocation) -> Resource:
    """`ConceptMap/$translate`."""
    found = await subject(context, invocation, carried="conceptMap", version="conceptMapVersion")
    coded = codings(invocation, system=None, version="version")
    reverse, dependencies = bool(invocation.one("reverse")), _dependencies(invocation)
    systems = sorted({each.system for each in coded if each.system})
    maps = [] if found is not None else await maps_of(context, systems, reverse=reverse)
    source, target = invocation.one("source"), invocation.one("target")

    def work(catalogue: Catalogue) -> list[Match]:
        asked = maps if found is None else [at_hand(catalogue, found)]
        return [
            match
            for each in asked
            if is_between(each, source, target, reverse=reverse)
            for code in coded
            for match in translated(
                catalogue, each, code, target_system=invocation.one("targetsystem"), reverse=reverse
            )
            if not dependencies or is_met(match, dependencies)
        ]

    return _said(await worked(context, work), bool(dependencies))


def _dependencies(invocation: Invocation) -> dict[str, list[Any]]:
    """The concepts that are sent of other elements, by the element."""
    found: dict[str, list[Any]] = {}
    for each in invocation.parameters.get("dependency", ()):
        elements, concepts = (each.get(name, []) if isinstance(each, dict) else [] for name in ("element", "concept"))
        if len(elements) != 1 or len(concepts) != 1 or not isinstance(concepts[0], dict):
            raise BadRequest("A 'dependency' has the parts 'element' and 'concept'.", code="required")
        found.setdefault(elements[0], []).append(concepts[0])
    return found


def _said(matches: list[Match], is_told: bool) -> Resource:
    result = any(each.translates for each in matches)
    hint = _HANGS if not is_told and any(each.depends for each in matches) else None
    return parameters(
        value("result", "Boolean", result),
        value("message", "String", hint if result else _NONE),
        *({"name": "match", "part": _parts(each)} for each in matches),
    )


def _parts(match: Match) -> list[dict[str, Any]]:
    products = ({"name": "product", "part": _product(each)} for each in match.products)
    said = (
        value("equivalence", "Code", match.equivalence),
        value("concept", "Coding", match.concept),
        *products,
        value("source", "Uri", match.source),
    )
    return [each for each in said if each is not None]


def _product(product: Any) -> list[dict[str, Any]]:
    concept = {"system": product.get("system"), "code": product.get("value"), "display": product.get("display")}
    said = (
        value("element", "Uri", product.get("property")),
        value("concept", "Coding", {name: each for name, each in concept.items() if each is not None}),
    )
    return [each for each in said if each is not None]


TRANSLATE: Final = Operation(
    "translate",
    "http://hl7.org/fhir/OperationDefinition/ConceptMap-translate",
    frozenset((Level.TYPE, Level.INSTANCE)),
    translate,
    parameters=frozenset(
        (
            *("url", "conceptMap", "conceptMapVersion", "code", "system", "version", "source", "coding"),
            *("codeableConcept", "target", "targetsystem", "reverse", "dependency"),
        )
    ),
    resource_types=frozenset(("ConceptMap",)),
)
