"""Terminology out of the store, beside R4's own, as the caller sees it at this moment.

Every request asks the store anew, under the caller's permit: what was written a moment ago counts, and what is hidden is not there.
Without a version a canonical means the active resource of the latest version; one that is draft or retired counts only where its
version, or its id, is named, save that a profile may be a draft where none of its URL is active. What belongs to a patient is nobody's terminology.

https://hl7.org/fhir/R4/references.html#canonical and https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar

from fhirserver.access.gate.request import Request
from fhirserver.access.principal import allows
from fhirserver.definitions import load_terminology
from fhirserver.interactions.context import Context
from fhirserver.interactions.reading.read import read
from fhirserver.model.dates import interval
from fhirserver.model.outcome import BadRequest, Gone, Issue, NotFound, TooCostly, Unprocessable, Unresolved
from fhirserver.model.reference import Reference
from fhirserver.model.resource import Resource, Version
from fhirserver.search.expression import Expression, Member, Prefixed, Relation, any_of, one_of
from fhirserver.search.parameters.token import escape, pair
from fhirserver.search.pending import members, replace_members
from fhirserver.search.request import SearchRequest
from fhirserver.terminology import Asked, Catalogue, Held, Wanted, value_set, whole
from fhirserver.terminology.catalogue import SUPPLEMENTS
from fhirserver.terminology.knowledge import Known

T = TypeVar("T")

MAX_TOKENS: Final = 5_000
"""Codes that a search may be asked for by a value set or a hierarchy."""
MAX_SAME: Final = 10
"""Active resources of one canonical among which the latest is looked for."""
MAX_MAPS: Final = 50
"""Concept maps that are looked through for one translation."""
_LITERAL: Final = re.compile(r"(CodeSystem|ValueSet|ConceptMap|StructureDefinition)/([A-Za-z0-9\-.]{1,64})")
_PATIENCE: Final = 30.0
"""Seconds after which a store that does not answer is given up."""
_NOT_ALL: Final = (
    "Not every code and profile was looked up: the resource would lead to too many; validate a part of it."
)
_TOGETHER: Final = (
    "The entries of a batch have been held against as much as they may be together; send fewer at a time."
)
_ASKED: Final = 50
"""Steps of validation that asking the store counts as."""
_PIECE_BITS: Final = 8
_NUMBERS: Final = re.compile(r"\d+")


async def worked(
    context: Context, work: Callable[[Catalogue], T], date: str | None = None, *, supplemented: bool = True
) -> T:
    """What the work gives, with everything at hand that it asks for; as it was on a date, if that is named."""
    catalogue = Catalogue(load_terminology(), context.services.code_systems, supplemented=supplemented)
    while True:
        try:
            return work(catalogue)
        except Wanted as wanted:
            found = await _stored(context, wanted.asked)
            if found is not None:
                check_unchanged(context, found.updated, date, wanted.asked.canonical)
            catalogue.add(wanted.asked, found)


def check_unchanged(context: Context, updated: datetime, date: str | None, name: str) -> None:
    """Raise Unprocessable if something was written after a date: how it was then is not worked with."""
    if date is None:
        return
    try:
        end = interval(date)[1]
    except ValueError as error:
        raise BadRequest(str(error)) from None
    if end < min(_microseconds(context.now()), _microseconds(updated)):
        raise Unprocessable(
            f"'{name[:300]}' was changed after {date[:40]}; only what is unchanged since can be asked for by a date.",
            code="not-supported",
        )


def _microseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000)


async def judged(context: Context, work: Callable[[Known], list[Issue]]) -> list[Issue]:
    """The issues of a work that is done beside the loop, since it may take its time, and asks the store as it goes."""
    loop, allowance = asyncio.get_running_loop(), context.allowance

    def find(asked: Asked) -> Held | None:
        allowance.take(_ASKED)
        return asyncio.run_coroutine_threadsafe(_stored(context, asked), loop).result(_PATIENCE)

    def target(reference: str) -> Resource | None:
        if allowance.is_spent:
            raise TooCostly(_TOGETHER)
        allowance.take(_ASKED)
        return asyncio.run_coroutine_threadsafe(_target(context, reference), loop).result(_PATIENCE)

    catalogue = Catalogue(load_terminology(), context.services.code_systems, find=find, supplemented=True)
    known = Known(catalogue, target)
    async with context.services.judging:
        if allowance.is_spent:
            raise TooCostly(_TOGETHER)
        issues = await asyncio.to_thread(work, known)
    return [*issues, Issue("information", "too-costly", _NOT_ALL)] if known.is_exhausted else issues


async def _target(context: Context, reference: str) -> Resource | None:
    """What a reference to this server leads to, as the caller may read it."""
    local = Reference.parse(reference, context.services.base_url).local
    if local is None:
        return None
    type, _, id = local.partition("/")
    if not allows(context.principal, type, "read"):
        return None
    try:
        version = await read(context, type, id)
    except (NotFound, Gone):
        return None
    context.allowance.take(len(version.json or b"") >> _PIECE_BITS)
    return version.parsed()


async def answered(context: Context, request: SearchRequest) -> SearchRequest:
    """The search with what it asks of code systems and value sets answered. Raises BadRequest where that is not here."""
    expression = await answered_expression(context, request.expression)
    return request if expression is request.expression else replace(request, expression=expression)


async def answered_expression(context: Context, expression: Expression) -> Expression:
    """The expression with every `Member` in it answered."""
    wanted = sorted(members(expression), key=lambda node: (node.path, node.relation, node.of))
    if not wanted:
        return expression
    case_sensitive = context.services.definitions.case_sensitive_systems
    try:
        answers = await worked(
            context,
            lambda catalogue: {each: _answer(catalogue, each, case_sensitive) for each in wanted},
            supplemented=False,
        )
    except (Unresolved, Unprocessable) as error:
        raise BadRequest(error.issues[0].diagnostics, code=error.issues[0].code) from None
    return replace_members(expression, answers)


def _answer(catalogue: Catalogue, asked: Member, case_sensitive: frozenset[str]) -> Expression:
    if asked.relation is Relation.IN:
        grammars, listed = value_set(catalogue, asked.of).listed()
        codes = [(each.system, each.code) for each in listed]
        by_grammar: Iterable[Expression] = (Prefixed(asked.path, escape(each) + "|") for each in sorted(grammars))
    else:
        system, _, code = asked.of.partition("|")
        codes, by_grammar = [(system, each) for each in _related(catalogue, system, code, asked.relation)], ()
    tokens = {pair(system, code, case_sensitive)[0] for system, code in codes}
    if len(tokens) > MAX_TOKENS:
        raise TooCostly(
            f"The search would ask for {len(tokens)} codes; at most {MAX_TOKENS} can be asked for: name fewer."
        )
    return any_of(one_of(asked.path, *tokens), *by_grammar)


def _related(catalogue: Catalogue, url: str, code: str, relation: Relation) -> frozenset[str]:
    system = whole(catalogue, url)
    concept = system.find(code)
    if concept is None:
        raise Unresolved(f"The code system '{url[:300]}' has no code '{code[:100]}'.")
    below = relation is Relation.BELOW
    return (system.hierarchy.descendants if below else system.hierarchy.ancestors)(concept.code)


async def maps_of(context: Context, systems: Sequence[str], *, reverse: bool) -> list[Resource]:
    """The active concept maps from these code systems, or with `reverse` to them: R4's own, and those of the store."""
    end = "target" if reverse else "source"
    own = load_terminology().concept_maps
    found = [each for each in own.values() if any(group.get(end) in systems for group in each.get("group", ()))]
    if not allows(context.principal, "ConceptMap", "search-type"):
        return found
    values = ",".join(map(_escaped, systems))
    rows = await _rows(context, "ConceptMap", [(f"{end}-system", values), ("status", "active")], MAX_MAPS)
    if len(rows) > MAX_MAPS:
        raise TooCostly(f"More than {MAX_MAPS} concept maps might translate the code; name one by its url.")
    return found + [row.parsed() for row in rows if row.json is not None]


async def _stored(context: Context, asked: Asked) -> Held | None:
    """What the caller sees of it in the store. A type that the token does not reach is not there."""
    if asked.resource_type == SUPPLEMENTS:
        return await _supplements(context, asked.url)
    if not allows(context.principal, asked.resource_type, "search-type"):
        return None
    local = asked.url.removeprefix(context.services.base_url + "/")
    literal = _LITERAL.fullmatch(local)
    if literal is not None and literal[1] == asked.resource_type:
        pairs = [("_id", literal[2])]
    else:
        pairs = [("url", _escaped(asked.url))]
        if asked.version is not None:
            pairs.append(("version", _escaped(asked.version)))
        elif asked.resource_type != "StructureDefinition":
            pairs.append(("status", "active"))  # profiles are drafts for most of their life, and are asked for as such
    rows = await _rows(context, asked.resource_type, pairs, MAX_SAME)
    if len(rows) > MAX_SAME:
        raise TooCostly(f"More than {MAX_SAME} resources have the canonical '{asked.canonical[:300]}'; name a version.")
    found = [(each, each.parsed()) for each in rows]
    if asked.version is not None:
        found = [each for each in found if each[1].get("version") == asked.version]
    if not found:
        return None
    version, resource = max(
        found,
        key=lambda each: (
            each[1].get("status") == "active",
            _version_key(each[1].get("version", "")),
            each[0].updated,
            each[0].id,
        ),
    )
    return Held((version.resource_type, version.id, version.version, version.updated), resource, version.updated)


async def _supplements(context: Context, url: str) -> Held | None:
    """The active supplements of a code system, the latest written last."""
    if not allows(context.principal, "CodeSystem", "search-type"):
        return None
    rows = await _rows(context, "CodeSystem", [("supplements", _escaped(url)), ("status", "active")], MAX_SAME)
    if len(rows) > MAX_SAME:
        raise TooCostly(f"More than {MAX_SAME} code systems supplement '{url[:300]}'; retire some of them.")
    rows.sort(key=lambda row: (row.updated, row.id))
    found = [row.parsed() for row in rows]
    found = [each for each in found if each.get("content") == "supplement"]
    if not found:
        return None
    key = tuple((row.id, row.version, row.updated) for row in rows)
    return Held((SUPPLEMENTS, key), {"supplements": found}, rows[-1].updated)


async def _rows(context: Context, resource_type: str, pairs: Sequence[tuple[str, str]], most: int) -> list[Version]:
    """The resources that these parameters find, one more than `most` at the most."""
    services = context.services
    request = services.parse_search(resource_type, pairs)
    # No patient is named, so no Consent is asked: what remains to be seen is public, or the caller's own.
    permit = await context.decide(Request("search-type", resource_type, patients=frozenset()))
    page = await context.reads.find(replace(request, count=most + 1), permit)
    return page.matches


def _escaped(text: str) -> str:
    """A value of a search parameter that means this text."""
    return re.sub(r"([\\,|$])", r"\\\1", text)


def _version_key(version: Any) -> tuple[list[int], str]:
    """What orders versions: their numbers, then their text; dates and dotted numbers come out as they are meant."""
    text = version if isinstance(version, str) else ""
    return [int(number[:18]) for number in _NUMBERS.findall(text)], text
