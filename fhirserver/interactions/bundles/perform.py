"""What happens together: found, linked, admitted, written and read in one transaction, or not at all.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fhirserver.access.principal import may_create_at
from fhirserver.interactions.bundles.criteria import answered_criteria
from fhirserver.interactions.bundles.entry import Done, Entry, Failed, at
from fhirserver.interactions.bundles.links import Links, link_key
from fhirserver.interactions.bundles.plan import Plan, Planned, plan
from fhirserver.interactions.bundles.records import strangers
from fhirserver.interactions.bundles.resolve import Resolution, resolve, settled
from fhirserver.interactions.candidate import admit, identified
from fhirserver.interactions.context import Context
from fhirserver.interactions.integrity import check
from fhirserver.interactions.patch import next_state
from fhirserver.model.outcome import Conflict, FhirError, PreconditionFailed
from fhirserver.store import Refused, Tx, Write, Written

_PORTION: Final = 100
"""Entries that are admitted in one turn of the event loop; others have their turn in between."""
_TAKEN: Final = "The id in the body is that of another resource than the criteria ask for."


@dataclass(frozen=True, slots=True)
class _Writes:
    """Where the entries go, and the writes with the numbers of their entries."""

    resolution: Resolution
    indexes: tuple[int, ...]
    writes: tuple[Write, ...]


class _Rehearsed(Exception):
    """What would have come of it: raised so that the transaction ends without a commit."""

    def __init__(self, done: list[Done]) -> None:
        super().__init__()
        self.done = done


async def perform(context: Context, entries: Sequence[Entry], *, links: bool) -> list[Done]:
    """What came of each entry, in their order. Raises Failed, and nothing is changed. `links`: entries refer to each other."""
    return await _perform(context, entries, links=links, is_rehearsal=False)


async def rehearse(context: Context, entry: Entry) -> Done:
    """What would come of an entry: it is carried out, and never committed. Raises Failed."""
    try:
        await _perform(context, [entry], links=False, is_rehearsal=True)
    except _Rehearsed as rehearsed:
        return rehearsed.done[0]
    raise AssertionError("A rehearsal ends by its exception.")


async def _perform(context: Context, entries: Sequence[Entry], *, links: bool, is_rehearsal: bool) -> list[Done]:
    planned = await _answered(context, plan(context, entries, links=links))
    # What does not depend on the transaction is done before it, once.
    ready = await _admitted(context, planned, settled(planned)) if planned.is_settled else None

    async def body(tx: Tx) -> list[Done]:
        writes = ready
        if writes is None:
            within = context.deciding_once(tx)
            writes = await _admitted(within, planned, await resolve(within, tx, planned))
        done = await _carry_out(context, tx, planned, writes)
        if is_rehearsal:
            raise _Rehearsed(done)
        return done

    return await context.services.store.transact(body, types=planned.types, keys=planned.keys)


async def _answered(context: Context, planned: Plan) -> Plan:
    """The plan with what its criteria ask of code systems and value sets answered, before the transaction."""
    writes = list(planned.writes)
    for number, each in enumerate(writes):
        if each.criteria is not None:
            with at(each.index):
                writes[number] = replace(each, criteria=await answered_criteria(context, each.criteria))
    for mentioned in planned.references.values():
        with at(mentioned.index):
            mentioned.criteria = await answered_criteria(context, mentioned.criteria)
    return replace(planned, writes=tuple(writes))


async def _carry_out(context: Context, tx: Tx, planned: Plan, writes: _Writes) -> list[Done]:
    try:
        written = await tx.write(writes.writes) if writes.writes else []
        await check(context, tx, writes.writes, written)
    except Refused as refused:
        index = writes.indexes[refused.index]
        raise Failed([(index, _said(planned, writes.resolution, index, refused.error))]) from None
    done = [Done()] * len(planned.entries)
    for index, each in zip(writes.indexes, written, strict=True):
        done[index] = _done(each)
    for index, version in writes.resolution.found.items():
        done[index] = Done(version)
    for index, other in writes.resolution.same.items():
        done[index] = Done(done[other].version)
    inside = context.inside(tx)
    for index, entry in enumerate(planned.entries):
        if entry.read is not None:
            with at(index):
                done[index] = Done(answer=await entry.read(inside))
    return done


def _done(written: Written | None) -> Done:
    return Done() if written is None else Done(written.version, created=written.created, written=True)


def _said(planned: Plan, resolution: Resolution, index: int, error: FhirError) -> FhirError:
    """The refusal of a write, in the words of what was asked: a conditional update that would create at an id in use."""
    entry = planned.entries[index]
    creates = entry.method == "PUT" and entry.criteria is not None and index not in resolution.replaced
    if creates and entry.if_match is None and not entry.if_none_match_any and isinstance(error, PreconditionFailed):
        return Conflict(_TAKEN)
    return error


async def _admitted(context: Context, planned: Plan, resolution: Resolution) -> _Writes:
    """Rewrite the links and let every write through the door, side by side. Raises Failed with all that is refused."""
    links = _links(context, planned, resolution)
    admitting = [each for each in planned.writes if each.index in resolution.ids]
    outcomes: list[Write | BaseException] = []
    for start in range(0, len(admitting), _PORTION):
        portion = admitting[start : start + _PORTION]
        if context.principal.is_operator:  # for whom the gate reads nothing
            outcomes += [await _outcome(_admit(context, each, resolution, links)) for each in portion]
            await asyncio.sleep(0)
            continue
        # Side by side: what the gate reads for entries of one turn is one query.
        admissions = (_admit(context, each, resolution, links) for each in portion)
        outcomes += await asyncio.gather(*admissions, return_exceptions=True)
    failures: list[tuple[int, FhirError]] = []
    writes: list[Write] = []
    for each, outcome in zip(admitting, outcomes, strict=True):
        if isinstance(outcome, FhirError):
            failures.append((each.index, outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            writes.append(outcome)
    indexes = tuple(each.index for each in admitting)
    if not failures:
        failures = strangers(context, tuple(zip(indexes, writes, strict=True)))
    if failures:
        raise Failed(sorted(failures, key=lambda failure: failure[0]))
    return _Writes(resolution, indexes, tuple(writes))


async def _outcome(admission: Awaitable[Write]) -> Write | FhirError:
    try:
        return await admission
    except FhirError as error:
        return error


def _links(context: Context, planned: Plan, resolution: Resolution) -> Links:
    services = context.services
    targets: dict[str, str] = {}
    for each in planned.writes:
        if each.resource is None or each.entry.full_url is None:
            continue
        index = resolution.same.get(each.index, each.index)
        version = resolution.found.get(index)
        id = version.id if version is not None else resolution.ids[index]
        targets[link_key(each.entry.full_url, services.base_url)] = f"{each.entry.resource_type}/{id}"
    return Links(services.definitions, services.base_url, targets, resolution.references)


async def _admit(context: Context, planned: Planned, resolution: Resolution, links: Links) -> Write:
    entry, id = planned.entry, resolution.ids[planned.index]
    match entry.method:
        case "DELETE":
            return await _deletion(context, entry, id)
        case "PATCH":
            return await _patch(context, entry, id, links)
        case "POST":
            return await _creation(context, planned, id, links)
    is_free = entry.criteria is not None and planned.index not in resolution.replaced
    if is_free and planned.resource is not None and "id" not in planned.resource:
        return await _creation(context, planned, id, links)
    linked = links.rewritten(identified(planned.resource or {}, id), entry.full_url)
    admitted = await admit(context, "update", linked, exists=True)
    return Write(
        method="PUT",
        resource_type=entry.resource_type,
        id=id,
        resource=admitted.resource,
        derived=admitted.derived,
        by=context.by(),
        permit=admitted.permit,
        if_match=entry.if_match,
        if_none_match_any=entry.if_none_match_any or is_free,
        may_create=may_create_at(context.principal, entry.resource_type),
    )


async def _creation(context: Context, planned: Planned, id: str, links: Links) -> Write:
    entry = planned.entry
    linked = links.rewritten(identified(planned.resource or {}, id), entry.full_url)
    admitted = await admit(context, "create", linked, exists=False)
    return Write(
        method="POST" if entry.method == "POST" else "PUT",
        resource_type=entry.resource_type,
        id=id,
        resource=admitted.resource,
        derived=admitted.derived,
        by=context.by(),
        permit=admitted.permit,
        if_match=entry.if_match,
        may_create=True,
    )


async def _deletion(context: Context, entry: Entry, id: str) -> Write:
    permit = await context.services.gate.decide(context.principal, "delete", entry.resource_type, ids=(id,))
    return Write(
        method="DELETE",
        resource_type=entry.resource_type,
        id=id,
        resource=None,
        derived=None,
        by=context.by(),
        permit=permit,
        if_match=entry.if_match,
    )


async def _patch(context: Context, entry: Entry, id: str, links: Links) -> Write:
    assert entry.patch is not None, "A PATCH entry has its patch."  # noqa: S101
    version, resource = await next_state(
        context, entry.resource_type, id, entry.patch, entry.if_match, if_none_match_any=entry.if_none_match_any
    )
    admitted = await admit(context, "patch", links.rewritten(resource, entry.full_url), exists=True)
    return Write(
        method="PUT",
        resource_type=entry.resource_type,
        id=id,
        resource=admitted.resource,
        derived=admitted.derived,
        by=context.by(),
        permit=admitted.permit,
        if_match=(version.version_id,),
    )
