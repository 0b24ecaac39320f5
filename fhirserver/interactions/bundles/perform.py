"""What happens together: found, linked, admitted, written and read in one transaction, or not at all.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, Literal

from msgspec import structs

from fhirserver.access.principal import may_create_at
from fhirserver.interactions.bundles.criteria import answered_criteria
from fhirserver.interactions.bundles.entry import Done, Entry, Failed, at
from fhirserver.interactions.bundles.links import Links, link_key
from fhirserver.interactions.bundles.plan import Plan, Planned, plan
from fhirserver.interactions.bundles.records import strangers
from fhirserver.interactions.bundles.resolve import Resolution, resolve, settled
from fhirserver.interactions.context import Context
from fhirserver.interactions.writing import consents
from fhirserver.interactions.writing.candidate import Examined, admit, examined, identified, let_in
from fhirserver.interactions.writing.carried import carried
from fhirserver.interactions.writing.commit import check
from fhirserver.interactions.writing.delete import deletion
from fhirserver.interactions.writing.patch import next_state
from fhirserver.model.outcome import Conflict, FhirError, PreconditionFailed
from fhirserver.store import Outdated, Refused, Tx, Write, Written
from fhirserver.store.pace import beside

_TOGETHER: Final = 1_000
"""Entries of which the gate is asked in one turn of the event loop."""
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
    planned = await _answered(context, await plan(context, entries, links=links))
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

    keys = await _keys(context, planned)
    return await context.services.store.transact(body, types=planned.types, keys=keys, size=len(planned.writes))


async def _keys(context: Context, planned: Plan) -> set[str]:
    """The locks of all criteria by which something is written, and of the Consents, as far as they are known before."""
    keys = consents.locks(context, (each.resource for each in planned.writes))
    for each in planned.writes:
        if each.criteria is not None:
            await context.pace.step()
            keys.add(each.criteria.key)
    return keys


async def _answered(context: Context, planned: Plan) -> Plan:
    """The plan with what its criteria ask of code systems and value sets answered, before the transaction."""
    writes = list(planned.writes)
    for number, each in enumerate(writes):
        if each.criteria is not None:
            await context.pace.step()
            with at(each.index):
                writes[number] = structs.replace(each, criteria=await answered_criteria(context, each.criteria))
    for mentioned in planned.references.values():
        with at(mentioned.index):
            mentioned.criteria = await answered_criteria(context, mentioned.criteria)
    return replace(planned, writes=tuple(writes))


async def _carry_out(context: Context, tx: Tx, planned: Plan, writes: _Writes) -> list[Done]:
    try:
        writes, written = await _written(context, tx, writes)
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


async def _written(context: Context, tx: Tx, writes: _Writes) -> tuple[_Writes, list[Written | None]]:
    """What is written, and what came of it: updates with the tags and labels that they carry forward."""
    if not writes.writes:
        return writes, []
    try:
        return writes, await tx.write(writes.writes)
    except Outdated as outdated:
        writes = await _with_carried(context.deciding_once(tx), writes, outdated.metas)
        return writes, await tx.write(writes.writes)


async def _with_carried(context: Context, writes: _Writes, metas: Mapping[int, Mapping[str, Any]]) -> _Writes:
    async def one(number: int, meta: Mapping[str, Any]) -> Write:
        write = writes.writes[number]
        await context.pace.step()
        with at(writes.indexes[number]):
            admitted = await admit(context, "update", carried(write.resource or {}, meta), exists=True)
        return admitted.write(
            write.by,
            if_match=write.if_match,
            if_none_match_any=write.if_none_match_any,
            may_create=write.may_create,
            forward=True,
        )

    outcomes = await asyncio.gather(*(one(*each) for each in metas.items()), return_exceptions=True)
    changed = list(writes.writes)
    for number, outcome in zip(metas, outcomes, strict=True):
        if isinstance(outcome, BaseException):
            raise outcome
        changed[number] = outcome
    return replace(writes, writes=tuple(changed))


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
    links = await _links(context, planned, resolution)
    admitting = [each for each in planned.writes if each.index in resolution.ids]
    states: list[Examined | FhirError | None] = []
    for each in admitting:
        await context.pace.step()
        states.append(await _examined(context, each, resolution, links))
    admissions = (
        _outcome(_admit(context, each, state, resolution, links)) for each, state in zip(admitting, states, strict=True)
    )
    outcomes: list[Write | BaseException] = []
    if context.principal.is_operator:  # for whom the gate reads nothing
        for admission in admissions:
            await context.pace.step()
            outcomes.append(await admission)
    else:
        # Side by side: what the gate reads for entries of one turn is one query.
        while together := list(islice(admissions, _TOGETHER)):
            outcomes += await asyncio.gather(*together, return_exceptions=True)
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


async def _links(context: Context, planned: Plan, resolution: Resolution) -> Links:
    services = context.services
    targets: dict[str, str] = {}
    for each in planned.writes:
        await context.pace.step()
        if each.resource is None or each.entry.full_url is None:
            continue
        index = resolution.same.get(each.index, each.index)
        version = resolution.found.get(index)
        id = version.id if version is not None else resolution.ids[index]
        targets[link_key(each.entry.full_url, services.base_url)] = f"{each.entry.resource_type}/{id}"
    return Links(services.definitions, services.base_url, targets, resolution.references)


async def _examined(
    context: Context, planned: Planned, resolution: Resolution, links: Links
) -> Examined | FhirError | None:
    """The state that an entry sends, linked and examined, or why it is refused; None where it sends none."""
    resource, id = planned.resource, resolution.ids[planned.index]
    if resource is None:
        return None
    interaction = "create" if _creates(planned, resolution) else "update"

    def work() -> Examined:
        linked = links.rewritten(identified(resource, id), planned.entry.full_url, planned.text)
        return examined(context, interaction, linked)

    try:
        return await beside(len(planned.text), work)
    except FhirError as error:
        return error


def _creates(planned: Planned, resolution: Resolution) -> bool:
    """Whether a state is written under an id that the server chose."""
    entry = planned.entry
    if entry.method == "POST":
        return True
    return _is_free(planned, resolution) and planned.resource is not None and "id" not in planned.resource


def _is_free(planned: Planned, resolution: Resolution) -> bool:
    """Whether the criteria of an entry found nothing that it replaces."""
    return planned.entry.criteria is not None and planned.index not in resolution.replaced


async def _admit(
    context: Context, planned: Planned, state: Examined | FhirError | None, resolution: Resolution, links: Links
) -> Write:
    entry, id = planned.entry, resolution.ids[planned.index]
    if isinstance(state, FhirError):
        raise state
    if state is None:
        if entry.method == "DELETE":
            return await deletion(context, entry.resource_type, id, entry.if_match)
        return await _patch(context, entry, id, links)
    if _creates(planned, resolution):
        return await _creation(context, entry, state)
    admitted = await let_in(context, "update", state, exists=True)
    return admitted.write(
        context.by(),
        if_match=entry.if_match,
        if_none_match_any=entry.if_none_match_any or _is_free(planned, resolution),
        may_create=may_create_at(context.principal, entry.resource_type),
        forward=True,
    )


async def _creation(context: Context, entry: Entry, state: Examined) -> Write:
    admitted = await let_in(context, "create", state, exists=False)
    method: Literal["POST", "PUT"] = "POST" if entry.method == "POST" else "PUT"
    return admitted.write(context.by(), method=method, if_match=entry.if_match, may_create=True)


async def _patch(context: Context, entry: Entry, id: str, links: Links) -> Write:
    assert entry.patch is not None, "A PATCH entry has its patch."  # noqa: S101
    version, resource = await next_state(
        context, entry.resource_type, id, entry.patch, entry.if_match, if_none_match_any=entry.if_none_match_any
    )
    admitted = await admit(context, "patch", links.rewritten(resource, entry.full_url), exists=True)
    return admitted.write(context.by(), if_match=(version.version_id,))
