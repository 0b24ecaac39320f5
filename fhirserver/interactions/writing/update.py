"""The update interaction: a new version of a resource, or its first under an id of the client's.

https://hl7.org/fhir/R4/http.html#update and https://hl7.org/fhir/R4/http.html#concurrency
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhirserver.access.principal import may_create_at
from fhirserver.interactions.context import Context
from fhirserver.interactions.writing import consents
from fhirserver.interactions.writing.candidate import admit, check_id, identified, resource_of
from fhirserver.interactions.writing.carried import carried
from fhirserver.interactions.writing.commit import commit, stored, write_in
from fhirserver.model.resource import Resource
from fhirserver.store import Behind, Outdated, Tx, Write, Written


@dataclass(frozen=True, slots=True)
class _Conditions:
    if_match: tuple[str, ...] | None
    if_none_match_any: bool


async def update(
    context: Context,
    resource_type: str,
    id: str,
    body: Any,
    *,
    if_match: tuple[str, ...] | None = None,
    if_none_match_any: bool = False,
) -> Written:
    """Store the resource as the next version. Who may assign ids creates where there is nothing yet."""
    sent = resource_of(body, resource_type)
    check_id(sent, id)
    resource = identified(sent, id)
    conditions = _Conditions(if_match, if_none_match_any)
    try:
        return stored(await commit(context, await _write(context, resource, conditions)))
    except Behind:
        # Most resources have no tags that an update leaves out; that this one has is known from the attempt.
        return await _with_carried(context, resource, conditions)


async def _write(context: Context, resource: Resource, conditions: _Conditions) -> Write:
    admitted = await admit(context, "update", resource, exists=True)
    return admitted.write(
        context.by(),
        if_match=conditions.if_match,
        if_none_match_any=conditions.if_none_match_any,
        may_create=may_create_at(context.principal, resource["resourceType"]),
        forward=True,
    )


async def _with_carried(context: Context, resource: Resource, conditions: _Conditions) -> Written:
    """The update with what it carries forward, read and written in one transaction: nobody tags the resource meanwhile."""
    resource_type, id = resource["resourceType"], resource["id"]

    async def body(tx: Tx) -> Written:
        inside = context.inside(tx)
        try:
            return stored(await write_in(context, tx, await _write(inside, resource, conditions)))
        except Outdated as outdated:
            whole = carried(resource, outdated.metas[0])
        return stored(await write_in(context, tx, await _write(inside, whole, conditions)))

    keys = {f"patch {resource_type}/{id}", *consents.locks(context, (resource,))}
    return await context.services.store.transact(body, types=(resource_type,), keys=keys)
