"""The operations `$lookup` and `$subsumes`: what a code system says of a code, and how two of its codes stand to each other.

https://hl7.org/fhir/R4/codesystem-operation-lookup.html and https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhirserver.access.gate.request import Request
from fhirserver.definitions.codes.grammars import GRAMMARS, TITLES
from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level, Operation
from fhirserver.interactions.operations.terminology.subject import codings, parameters, value
from fhirserver.interactions.reading.read import read
from fhirserver.interactions.terminology import worked
from fhirserver.model.outcome import BadRequest, Unresolved
from fhirserver.model.resource import Resource
from fhirserver.terminology import Catalogue, CodeSystem, Concept, needed, whole
from fhirserver.terminology.coded import relation

_DESIGNATIONS: Final = "designation"
_FAMILY: Final = ("parent", "child")


async def lookup(context: Context, invocation: Invocation) -> Resource:
    """`CodeSystem/$lookup`."""
    await context.decide(Request("search-type", "CodeSystem", patients=frozenset()))
    [coded] = codings(invocation, system=None, version="version")
    if coded.system is None:
        raise BadRequest("A 'coding' has a system.", code="required")
    url, version = coded.system, coded.version or invocation.one("version")

    if url in GRAMMARS:
        return _of_grammar(url, coded.code)

    def work(catalogue: Catalogue) -> Resource:
        system = needed(catalogue, url, version)
        concept = system.find(coded.code)
        if concept is None:
            if not system.is_complete:
                whole(catalogue, url, version)
            raise _no_code(system.url, coded.code)
        return _described(system, concept, invocation)

    return await worked(context, work, invocation.one("date"))


def _of_grammar(url: str, code: str) -> Resource:
    """A code that is well-formed is its own display."""
    if not GRAMMARS[url](code):
        raise _no_code(url, code)
    return parameters(value("name", "String", TITLES[url]), value("display", "String", code))


def _described(system: CodeSystem, concept: Concept, invocation: Invocation) -> Resource:
    wanted = set(invocation.parameters.get("property", ()))
    display = concept.shown(invocation.one("displayLanguage")) or concept.code
    return parameters(
        value("name", "String", system.name),
        value("version", "String", system.version),
        value("display", "String", display),
        *_designations(concept, wanted),
        *_properties(system, concept, wanted),
    )


def _designations(concept: Concept, wanted: set[str]) -> Iterator[dict[str, Any]]:
    for each in concept.designations:
        if wanted and _DESIGNATIONS not in wanted and f"lang.{each.get('language')}" not in wanted:
            continue
        parts = (value("language", "Code", each.get("language")), value("use", "Coding", each.get("use")))
        said = (*parts, value("value", "String", each.get("value")))
        yield {"name": "designation", "part": [part for part in said if part is not None]}


def _properties(system: CodeSystem, concept: Concept, wanted: set[str]) -> Iterator[dict[str, Any]]:
    if concept.definition is not None and (not wanted or "definition" in wanted):
        yield _property("definition", "valueString", concept.definition)
    family = {"parent": system.hierarchy.parents, "child": system.hierarchy.children}
    for name, codes in family.items():
        if wanted and name not in wanted:
            continue
        for code in codes.get(concept.code, ()):
            other = system.concepts.get(code)
            yield _property(name, "valueCode", code, None if other is None else other.display)
    for each in concept.stated:
        code = each.get("code", "")
        if system.meaning.get(code, code) in _FAMILY or (wanted and code not in wanted):
            continue
        yield from (_property(code, key, given) for key, given in each.items() if key.startswith("value"))


def _property(code: str, key: str, given: Any, description: str | None = None) -> dict[str, Any]:
    said = (value("code", "Code", code), {"name": "value", key: given}, value("description", "String", description))
    return {"name": "property", "part": [each for each in said if each is not None]}


async def subsumes(context: Context, invocation: Invocation) -> Resource:
    """`CodeSystem/$subsumes`."""
    url, version, one, other = _pair(invocation)
    given: CodeSystem | None = None
    if invocation.level is Level.INSTANCE:
        given = CodeSystem((await read(context, "CodeSystem", invocation.id)).parsed())
        if url not in (None, given.url):
            raise BadRequest("The codes are of another code system than the one in the address.")
        url, version = given.url, None
    else:
        await context.decide(Request("search-type", "CodeSystem", patients=frozenset()))
    if url is None:
        raise BadRequest("The codes are sent with their 'system'.", code="required")
    system_url = url

    def work(catalogue: Catalogue) -> str:
        if given is not None:
            catalogue.give(given)
        if system_url in GRAMMARS:
            return _relation_of_grammar(system_url, one, other)
        system = whole(catalogue, system_url, version)
        outcome = relation(system, one, other)
        if outcome is None:
            raise _no_code(system.url, one if system.find(one) is None else other)
        return outcome

    return parameters(value("outcome", "Code", await worked(context, work)))


def _relation_of_grammar(url: str, one: str, other: str) -> str:
    """Codes made by a grammar stand alone."""
    for each in (one, other):
        if not GRAMMARS[url](each):
            raise _no_code(url, each)
    return "equivalent" if one == other else "not-subsumed"


def _pair(invocation: Invocation) -> tuple[str | None, str | None, str, str]:
    """The system, its version, and the two codes."""
    codes = invocation.one("codeA"), invocation.one("codeB")
    coded = invocation.one("codingA"), invocation.one("codingB")
    system, version = invocation.one("system"), invocation.one("version")
    if None not in codes and coded == (None, None):
        return system, version, *codes
    if None in coded or codes != (None, None):
        raise BadRequest("Send 'codeA' and 'codeB' with their 'system', or 'codingA' and 'codingB'.", code="required")
    systems = {each for each in (system, *(each.get("system") for each in coded)) if each is not None}
    found = [each.get("code") for each in coded]
    if not all(isinstance(each, str) and each for each in (*found, *systems)):
        raise BadRequest("A coding has a system and a code.", code="required")
    if len(systems) > 1:
        raise BadRequest("The two codings are of different code systems; neither can subsume the other.")
    return next(iter(systems), None), version or coded[0].get("version"), found[0], found[1]


def _no_code(url: str, code: str) -> Unresolved:
    return Unresolved(f"The code system '{url[:300]}' has no code '{code[:100]}'.")


LOOKUP: Final = Operation(
    "lookup",
    "http://hl7.org/fhir/OperationDefinition/CodeSystem-lookup",
    frozenset((Level.TYPE,)),
    lookup,
    parameters=frozenset(("code", "system", "version", "coding", "date", "displayLanguage", "property")),
    resource_types=frozenset(("CodeSystem",)),
)
SUBSUMES: Final = Operation(
    "subsumes",
    "http://hl7.org/fhir/OperationDefinition/CodeSystem-subsumes",
    frozenset((Level.TYPE, Level.INSTANCE)),
    subsumes,
    parameters=frozenset(("codeA", "codeB", "system", "version", "codingA", "codingB")),
    resource_types=frozenset(("CodeSystem",)),
)
