"""The operation `$translate`: what a code is in another code system, by concept maps.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from typing import Any, Final

from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.interactions.operations.terminology.subject import at_hand, codings, parameters, subject, value
from fhirserver.interactions.terminology import maps_of, worked
from fhirserver.model.resource import Resource
from fhirserver.terminology import Catalogue
from fhirserver.terminology.translation import Match, is_between, translated

_NONE: Final = "No map that is here translates the code."


async def translate(context: Context, invocation: Invocation) -> Resource:
    """`ConceptMap/$translate`."""
    found = await subject(context, invocation, carried="conceptMap", version="conceptMapVersion")
    coded = codings(invocation, system=None, version="version")
    reverse = bool(invocation.one("reverse"))
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
        ]

    return _said(await worked(context, work))


def _said(matches: list[Match]) -> Resource:
    result = any(each.translates for each in matches)
    return parameters(
        value("result", "Boolean", result),
        None if result else value("message", "String", _NONE),
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
            *("codeableConcept", "target", "targetsystem", "reverse"),
        )
    ),
    resource_types=frozenset(("ConceptMap",)),
)
