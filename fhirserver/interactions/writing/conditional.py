"""Conditional create, update, patch and delete: the resource is named by criteria.

Always strict, whatever `Prefer` says: a criterion that is passed over could mean another resource. Matches are those that the
caller sees, found in the transaction that writes.

https://hl7.org/fhir/R4/http.html#ccreate, https://hl7.org/fhir/R4/http.html#cond-update and
https://hl7.org/fhir/R4/http.html#3.1.0.7.1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhirserver.interactions.bundles import Done, Entry, Failed, perform
from fhirserver.interactions.context import Context
from fhirserver.interactions.writing.patch import Patch
from fhirserver.search.query.pairs import Pair


async def conditional_create(context: Context, resource_type: str, body: Any, criteria: Sequence[Pair]) -> Done:
    """Create the resource, unless one meets the criteria: then that one, unchanged. Several are PreconditionFailed."""
    return await _alone(context, Entry("POST", resource_type, criteria=criteria, body=body))


async def conditional_update(
    context: Context,
    resource_type: str,
    body: Any,
    criteria: Sequence[Pair],
    *,
    if_match: tuple[str, ...] | None = None,
    if_none_match_any: bool = False,
) -> Done:
    """Update what meets the criteria, or create: under a new id, or under the body's for who may assign ids."""
    entry = Entry(
        "PUT", resource_type, criteria=criteria, body=body, if_match=if_match, if_none_match_any=if_none_match_any
    )
    return await _alone(context, entry)


async def conditional_patch(
    context: Context,
    resource_type: str,
    changes: Patch,
    criteria: Sequence[Pair],
    *,
    if_match: tuple[str, ...] | None = None,
    if_none_match_any: bool = False,
) -> Done:
    """Patch what meets the criteria; none is NotFound."""
    entry = Entry(
        "PATCH", resource_type, criteria=criteria, patch=changes, if_match=if_match, if_none_match_any=if_none_match_any
    )
    return await _alone(context, entry)


async def conditional_delete(
    context: Context, resource_type: str, criteria: Sequence[Pair], *, if_match: tuple[str, ...] | None = None
) -> Done:
    """Delete what meets the criteria, if anything does. Several are PreconditionFailed."""
    return await _alone(context, Entry("DELETE", resource_type, criteria=criteria, if_match=if_match))


async def _alone(context: Context, entry: Entry) -> Done:
    try:
        [done] = await perform(context, [entry], links=False)
    except Failed as failed:
        raise failed.failures[0][1] from None
    return done
