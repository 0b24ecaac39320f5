"""The operation `$everything`: what is on record about a patient, about an encounter, or about every patient that the caller sees.

The compartment is searched type by type, each with the type's own permit; what its resources refer to outside of it comes along as
included. So Consents, Provenance and AuditEvents are there for those who may read them, and for nobody else.

https://hl7.org/fhir/R4/operation-patient-everything.html and https://hl7.org/fhir/R4/operation-encounter-everything.html
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from fhirserver.access.gate.request import Request
from fhirserver.access.reasons import INCLUDES_NARROWED, NARROWED
from fhirserver.interactions.context import Context
from fhirserver.interactions.operations.operation import Invocation, Level, Operation, Searchset
from fhirserver.interactions.reading.read import read
from fhirserver.interactions.reading.search import OTHER_COUNT
from fhirserver.model.dates import interval, moment
from fhirserver.model.outcome import BadRequest, Issue
from fhirserver.model.reference import Reference, local_references
from fhirserver.model.resource import Version
from fhirserver.search.compartment import compartment_expression, in_any_compartment
from fhirserver.search.expression import All, Exists, Expression, In, Nothing, Range, all_of, any_of, negate, one_of
from fhirserver.search.permit import Permit
from fhirserver.search.query.pairs import Pair
from fhirserver.search.request import SearchRequest
from fhirserver.store import Page, Position

INCLUDED: Final = 1_000
"""Resources that come along with one page."""
IDS: Final = 5_000
"""References of one page to one type that are followed."""
AHEAD: Final = 12
"""Types that are looked at side by side: of most a record has nothing."""

_TOO_MANY: Final = "More resources are referred to than one page includes; ask for fewer matches a page (_count)."
_BINARY: Final = re.compile(r"(?:.*/)?(Binary/[A-Za-z0-9\-.]{1,64})")


async def everything(context: Context, invocation: Invocation) -> Searchset:
    """A page of it. What is asked about by id is read first: absent and hidden are NotFound, deleted is Gone."""
    asked = _Asked.of(context, invocation)
    patients = None
    if invocation.level is Level.INSTANCE:
        version = await read(context, invocation.resource_type, invocation.id)
        patients = _patients(context, version)
    permit = await context.decide(Request("search-type", invocation.resource_type, patients=patients, includes=True))
    walk = _Walk(context, invocation, asked, permit)
    page = await walk.page()
    included, is_cut = await walk.referred_to(page.matches)
    issues = list(asked.issues)
    if is_cut:
        issues.append(Issue("warning", "too-costly", _TOO_MANY))
    if NARROWED in permit.reasons:
        issues.append(Issue("warning", "incomplete", INCLUDES_NARROWED))
    return Searchset(page.asked, asked.used, page.matches, included, next=page.next, issues=issues)


def _patients(context: Context, version: Version) -> frozenset[str]:
    """Whose record it is, as far as the resource says: the gate then decides for these."""
    if version.resource_type == "Patient":
        return frozenset((version.id,))
    resource = version.parsed()
    subject = resource.get("subject", {}).get("reference", "")
    found = Reference.parse(subject, context.services.base_url).local or ""
    return frozenset((found.removeprefix("Patient/"),)) if found.startswith("Patient/") else frozenset()


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was asked for."""

    count: int
    types: frozenset[str]
    changed: Expression
    during: Expression
    used: tuple[Pair, ...]
    issues: tuple[Issue, ...] = ()

    @classmethod
    def of(cls, context: Context, invocation: Invocation) -> _Asked:
        """Read the parameters. Raises BadRequest."""
        most = context.services.bounds.max_count
        count = invocation.one("_count")
        issues: tuple[Issue, ...] = ()
        if count is not None and count < 1:
            raise BadRequest("The parameter '_count' is a whole number, one or more.")
        if count is not None and count > most:
            issues = (Issue("warning", "too-costly", f"A page has at most {most} matches; '_count' was lowered."),)
        count = min(count or most, most)
        types = [each.strip() for text in invocation.parameters.get("_type", ()) for each in text.split(",")]
        if unknown := [each for each in types if each not in context.services.definitions.resource_types]:
            raise BadRequest(f"The parameter '_type' names no resource type: {unknown[0][:100]}.")
        texts = {name: [str(each) for each in values] for name, values in invocation.parameters.items()}
        texts["_count"] = [str(count)] if "_count" in texts else []
        used = tuple((name, text) for name, values in texts.items() for text in values)
        return cls(count, frozenset(types), _changed(invocation), _during(invocation), used, issues)

    def wants(self, resource_type: str) -> bool:
        """Whether resources of the type are wanted."""
        return not self.types or resource_type in self.types


def _changed(invocation: Invocation) -> Expression:
    """When it was changed."""
    since = invocation.one("_since")
    try:
        return All() if since is None else Range("updated", moment(interval(since)[0]), None)
    except ValueError as error:
        raise BadRequest(f"The parameter '_since' cannot be read: {error}") from None


def _during(invocation: Invocation) -> Expression:
    """When the care was given; what has no date of care is always there."""
    start, end = invocation.one("start"), invocation.one("end")
    if start is None and end is None:
        return All()
    after = All() if start is None else Range("security.high", interval(start)[0], None)
    before = All() if end is None else Range("security.low", None, interval(end)[1])
    return any_of(negate(Exists("security.low")), all_of(after, before))


@dataclass(frozen=True, slots=True)
class _Page:
    asked: datetime
    matches: Sequence[Version]
    next: str | None


@dataclass(slots=True)
class _Walk:
    """The steps in which the resources are looked for, one type after the other; a cursor names a step and a place in it."""

    context: Context
    invocation: Invocation
    asked: _Asked
    permit: Permit
    _members: dict[str, Expression] = field(default_factory=dict)

    def steps(self) -> list[tuple[str, Expression]]:
        """What is looked for, in this order: the resource itself, then its compartment."""
        type, id = self.invocation.resource_type, self.invocation.id
        definitions = self.context.services.definitions
        members = sorted(definitions.compartments[type].resources)
        if self.invocation.level is Level.TYPE:
            # Whoever is seen is asked about: that she is referred to by another patient adds nothing.
            others = [(each, in_any_compartment(definitions, type, each)) for each in members if each != type]
            return [(type, Exists("_id")), *others]
        reference = In("index._refs", frozenset((f"{type}/{id}",)))
        own = [(type, one_of("_id", id))]
        rest = [(each, all_of(reference, self._compartment(each))) for each in members]
        return [*own, *((each, expression) for each, expression in rest if not isinstance(expression, Nothing))]

    def _compartment(self, resource_type: str) -> Expression:
        """What of a type is referred to by the compartment, the resource itself apart."""
        type, id = self.invocation.resource_type, self.invocation.id
        inside = compartment_expression(self.context.services.definitions, type, id, resource_type)
        return all_of(inside, negate(one_of("_id", id))) if resource_type == type else inside

    async def page(self) -> _Page:
        services, audience = self.context.services, self.context.audience(self._query())
        steps = [each for each in self.steps() if self.asked.wants(each[0])]
        now, number, position = self.context.now(), 0, None
        if self.invocation.cursor is not None:
            opened = services.store.cursor.open_(self.invocation.cursor, audience=audience, now=services.clock())
            if opened["count"] != self.asked.count:
                raise BadRequest(OTHER_COUNT)
            now, number = opened["asked"], opened["step"]
            position = None if opened["at"] is None else Position.from_dict(opened["at"])
        matches, place = await self._matches(steps, number, position)
        if place is None:
            return _Page(now, matches, None)
        step, at = place
        held = {"asked": now, "count": self.asked.count, "step": step, "at": None if at is None else at.as_dict()}
        return _Page(now, matches, services.store.cursor.seal(held, audience=audience, now=services.clock()))

    async def _matches(
        self, steps: Sequence[tuple[str, Expression]], number: int, position: Position | None
    ) -> tuple[list[Version], tuple[int, Position | None] | None]:
        """A page from this step on, and where the next one begins; None if nothing is left."""
        found: list[Version] = []
        while number < len(steps):
            # A full page looks on for one more: a link to an empty page would promise something.
            room = self.asked.count - len(found)
            ahead = steps[number : number + (1 if position is not None else AHEAD)]
            pages = await asyncio.gather(*(self._found(step, max(room, 1), position) for step in ahead))
            for page in pages:
                left = self.asked.count - len(found)
                if left == 0 and page.matches:
                    return found, (number, None)
                if left < room and (len(page.matches) > left or page.next is not None):
                    break  # those before it took of its room: it is asked again, for what is left
                found += page.matches
                if page.next is not None:
                    return found, (number, page.next)
                number, position = number + 1, None
        return found, None

    async def _found(self, step: tuple[str, Expression], count: int, position: Position | None) -> Page:
        resource_type, expression = step
        wanted = all_of(expression, self.asked.changed, self.asked.during)
        return await self.context.reads.find(
            SearchRequest(resource_type, wanted, count=count), self.permit, position=position
        )

    async def referred_to(self, matches: Iterable[Version]) -> tuple[list[Version], bool]:
        """What the matches refer to outside of the compartment, and whether a bound cut it short."""
        found: list[Version] = []
        is_cut = False
        inside = dict(self.steps()[1:]) if self.invocation.level is Level.INSTANCE else {}
        for resource_type, ids in sorted(self._targets(matches).items()):
            if not self.asked.wants(resource_type):
                continue
            outside = negate(self._inside(resource_type, inside))
            is_cut = is_cut or len(ids) > IDS
            expression = all_of(In("_id", frozenset(sorted(ids)[:IDS])), outside, self.asked.changed)
            request = SearchRequest(resource_type, expression, count=INCLUDED - len(found) + 1)
            page = await self.context.reads.find(request, self.permit)
            found += page.matches
            if len(found) > INCLUDED:
                return found[:INCLUDED], True
        return found, is_cut

    def _inside(self, resource_type: str, steps: Mapping[str, Expression]) -> Expression:
        type = self.invocation.resource_type
        if self.invocation.level is Level.TYPE:
            return in_any_compartment(self.context.services.definitions, type, resource_type)
        own = one_of("_id", self.invocation.id) if resource_type == type else Nothing()
        return any_of(own, steps.get(resource_type, Nothing()))

    def _targets(self, matches: Iterable[Version]) -> Mapping[str, set[str]]:
        base_url, definitions = self.context.services.base_url, self.context.services.definitions
        found: defaultdict[str, set[str]] = defaultdict(set)
        for version in matches:
            resource = version.parsed()
            for reference in (*local_references(resource, base_url), *_contents(resource, base_url)):
                resource_type, _, id = reference.partition("/")
                if resource_type in definitions.resource_types:
                    found[resource_type].add(id)
        return found

    def _query(self) -> str:
        used = [pair for pair in self.asked.used if pair[0] != "_count"]
        return f"{self.invocation.resource_type}/{self.invocation.id}/$everything {sorted(used)}"


def _contents(resource: Any, base_url: str) -> set[str]:
    """The Binaries that attachments point to."""
    found: set[str] = set()
    waiting = [resource]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            url = value.get("url")
            if isinstance(url, str) and _BINARY.fullmatch(url) is not None:
                found |= {local} if (local := Reference.parse(url, base_url).local) is not None else set()
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


_PARAMETERS: Final = frozenset(("_since", "_type", "_count"))
EVERYTHING: Final = (
    Operation(
        "everything",
        "http://hl7.org/fhir/OperationDefinition/Patient-everything",
        frozenset((Level.TYPE, Level.INSTANCE)),
        everything,
        _PARAMETERS | {"start", "end"},
        resource_types=frozenset(("Patient",)),
        has_pages=True,
    ),
    Operation(
        "everything",
        "http://hl7.org/fhir/OperationDefinition/Encounter-everything",
        frozenset((Level.INSTANCE,)),
        everything,
        _PARAMETERS,
        resource_types=frozenset(("Encounter",)),
        has_pages=True,
    ),
)
