"""The plan of what happens together: all that can be known, and refused, before the database is asked.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct

from fhirserver.access.matching import PatientKeys, check_search
from fhirserver.access.principal import allows
from fhirserver.interactions.bundles.criteria import Criteria, conditional_reference, criteria_of
from fhirserver.interactions.bundles.entry import ORDER, Entry, Failed
from fhirserver.interactions.bundles.links import conditional_references
from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.candidate import check_id, resource_of
from fhirserver.interactions.writing.patch import check_scope
from fhirserver.model.json import dump
from fhirserver.model.outcome import BadRequest, FhirError, Forbidden
from fhirserver.model.resource import Resource

OVERLAP: Final = "Two entries are about the same resource; a transaction changes each at most once."
_SAME_NAME: Final = "Two entries have the same fullUrl; links to it could mean either."
_INTERACTIONS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Planned(Struct, frozen=True):
    """An entry that writes, with the text of its resource, if it has one. `id` is where it goes if nothing is found that it is about; None where it then goes nowhere."""

    index: int
    entry: Entry
    resource: Resource | None
    text: bytes
    criteria: Criteria | None
    id: str | None


@dataclass(slots=True)
class Mentioned:
    """A conditional reference: its criteria, the first entry that has it, and the types of resources that do."""

    criteria: Criteria
    index: int
    sources: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Plan:
    """What writes, in the order of processing, and the conditional references in it by their text."""

    entries: Sequence[Entry]
    writes: tuple[Planned, ...]
    references: dict[str, Mentioned]

    @property
    def types(self) -> set[str]:
        """The types that may be written."""
        return {each.entry.resource_type for each in self.writes}

    @property
    def is_settled(self) -> bool:
        """Whether nothing depends on what is stored but the writes themselves."""
        is_plain = all(each.criteria is None and each.entry.method != "PATCH" for each in self.writes)
        return is_plain and not self.references


async def plan(context: Context, entries: Sequence[Entry], *, links: bool) -> Plan:
    """Read the entries. Raises Failed with all that cannot be. `links`: conditional references are resolved."""
    writes: list[Planned] = []
    references: dict[str, Mentioned] = {}
    failures: list[tuple[int, FhirError]] = []
    for index in sorted(range(len(entries)), key=lambda number: ORDER[entries[number].method]):
        if entries[index].method == "GET":
            continue
        await context.pace.step()
        try:
            planned = _planned(context, index, entries[index])
            if links:
                _mention(context, planned, references)
            writes.append(planned)
        except FhirError as error:
            failures.append((index, error))
    if failures:
        raise Failed(sorted(failures, key=lambda each: each[0]))
    check_overlap((each.index, each.entry.resource_type, each.entry.id) for each in writes)
    _check_names(writes)
    return Plan(entries, tuple(writes), references)


def check_overlap(identities: Iterable[tuple[int, str, str | None]]) -> None:
    """Refuse two entries that change the same resource; an id of None is none."""
    seen: dict[tuple[str, str], int] = {}
    for index, resource_type, id in sorted(identities):
        if id is not None and seen.setdefault((resource_type, id), index) != index:
            raise Failed([(index, BadRequest(OVERLAP, code="duplicate"))])


def _check_names(writes: Iterable[Planned]) -> None:
    named: defaultdict[str, list[int]] = defaultdict(list)
    for each in writes:
        if each.entry.full_url is not None and each.resource is not None:
            named[each.entry.full_url].append(each.index)
    for indexes in named.values():
        if len(indexes) > 1:
            raise Failed([(sorted(indexes)[1], BadRequest(_SAME_NAME, code="duplicate"))])


def _planned(context: Context, index: int, entry: Entry) -> Planned:
    if not allows(context.principal, entry.resource_type, _INTERACTIONS[entry.method]):
        raise Forbidden(scope=True)
    resource = None
    if entry.method in ("POST", "PUT"):
        resource = resource_of(entry.body, entry.resource_type)
        if entry.id is not None:
            check_id(resource, entry.id)
    if entry.method == "PATCH":
        check_scope(context, entry.resource_type)
    criteria = None
    if entry.criteria is not None:
        check_search(context.principal, entry.resource_type)
        criteria = criteria_of(context, entry.resource_type, entry.criteria)
    text = b"" if resource is None else dump(resource)
    return Planned(index, entry, resource, text, criteria, _place(context, entry, resource))


def _place(context: Context, entry: Entry, resource: Resource | None) -> str | None:
    if entry.id is not None:
        return entry.id
    match entry.method:
        case "POST":
            return context.services.new_id()
        case "PUT" if resource is not None and "id" in resource:
            id = resource["id"]
            if not isinstance(id, str):
                raise BadRequest("The id in the body is not a string.", expression=f"{entry.resource_type}.id")
            return id
        case "PUT":
            return context.services.new_id()
    return None


def _mention(context: Context, planned: Planned, references: dict[str, Mentioned]) -> None:
    """Take down the conditional references of a resource."""
    services, source = context.services, planned.entry.resource_type
    for text in sorted(conditional_references(planned.text)):
        if (mentioned := references.get(text)) is not None and source in mentioned.sources:
            continue
        found = conditional_reference(text, services.base_url)
        if found is None or found[0] not in services.definitions.structures:
            continue
        if mentioned is None:
            mentioned = Mentioned(criteria_of(context, *found), planned.index)
        if not may_use_key(context, mentioned.criteria, source):
            check_search(context.principal, found[0])
        mentioned.sources.add(source)
        references[text] = mentioned


def may_use_key(context: Context, criteria: Criteria, source: str) -> bool:
    """Whether references from this type may be resolved by the laboratory's key."""
    is_key = criteria.resource_type == "Patient" and criteria.is_one_identifier
    return is_key and PatientKeys.fits(context.principal, source)
