"""Referential integrity, where the setting asks for it: what a resource refers to exists, and what is referred to stays.

Both are judged by what the writer sees: a hidden target is refused as an absent one is, and a hidden reference does not hold a
deletion up. The check runs inside the write's transaction. A snapshot does not see what another one writes meanwhile, so who
refers to a resource and who deletes it meet on a lock.

https://hl7.org/fhir/R4/http.html#delete and https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from zlib import crc32

from fhirserver.access.reasons import OTHER_RECORD
from fhirserver.access.writes import is_of_another
from fhirserver.interactions.context import Context
from fhirserver.model.outcome import Conflict, Unprocessable
from fhirserver.model.reference import local_references
from fhirserver.model.resource import Resource
from fhirserver.search.expression import In, Nothing
from fhirserver.search.permit import Permit
from fhirserver.store import Refused, Tx, Write, Written

NO_TARGET: Final = "The resource refers to one that does not exist."
REFERRED_TO: Final = "Another resource refers to this one; it cannot be deleted."

_BUCKETS: Final = 4096
"""Locks, so that their rows do not become as many as the resources."""
_SLOTS: Final = 8
"""Parts of a lock: who refers takes one of them, who deletes all, so that the many who refer to one patient rarely meet."""


async def look(context: Context, tx: Tx, writes: Sequence[Write], written: Sequence[Written | None]) -> None:
    """Look at the references of writes that the transaction has done. Raises Refused for the first that is not whole."""
    if not context.services.guards_references:
        return
    present = {_address(write) for write in writes if write.method != "DELETE"}
    for index, write in enumerate(writes):
        if write.resource is not None:
            wanted = _targets(context, write.resource) - present
            found = await _existing(tx, wanted, write.permit)
            if found is None:
                raise Refused(index, Unprocessable(NO_TARGET, code="not-found"))
            if not context.principal.is_operator and _strays(write, found):
                raise Refused(index, Unprocessable(OTHER_RECORD, code="business-rule"))
        elif written[index] is not None and await _is_referred_to(context, tx, write):
            raise Refused(index, Conflict(REFERRED_TO))


async def _existing(tx: Tx, references: Iterable[str], permit: Permit) -> list[Mapping[str, Any]] | None:
    """The security facts of what is referred to, patients apart; None where one of them is not there."""
    found: list[Mapping[str, Any]] = []
    by_type: dict[str, set[str]] = defaultdict(set)
    for reference in references:
        resource_type, _, id = reference.partition("/")
        by_type[resource_type].add(id)
    for resource_type, ids in by_type.items():
        rows = await tx.facts(resource_type, ids, permit)
        if {row["_id"] for row in rows if not row["deleted"]} != ids:
            return None
        if resource_type != "Patient":
            found += [row["security"] for row in rows]
    return found


def _strays(write: Write, targets: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the write is of one patient's record, and one of the targets of another's."""
    owners = write.derived.security.get("owners") if write.derived is not None else None
    is_of_patient = bool(owners) and write.resource_type != "Patient"
    return is_of_patient and any(is_of_another(target, owners or ()) for target in targets)


async def _is_referred_to(context: Context, tx: Tx, write: Write) -> bool:
    referring = In("index._refs", frozenset((_address(write),)))
    for resource_type in context.services.definitions.resource_types:
        is_visible = not isinstance(write.permit.of(resource_type), Nothing)
        if is_visible and await tx.facts(resource_type, referring, write.permit, limit=1):
            return True
    return False


def _targets(context: Context, resource: Resource) -> set[str]:
    """The resources of this server that a resource names; those of another, and logical references, are not ours to know."""
    types = context.services.definitions.resource_types
    found = local_references(resource, context.services.base_url)
    return {each for each in found if each.partition("/")[0] in types}


def locks(context: Context, writes: Iterable[Write]) -> set[str]:
    """The locks of these writes."""
    found: set[str] = set()
    if not context.services.guards_references:
        return found
    for write in writes:
        if write.resource is None:
            found.update(_lock(_address(write), slot) for slot in range(_SLOTS))
        else:
            slot = crc32(write.id.encode()) % _SLOTS
            found.update(_lock(each, slot) for each in _targets(context, write.resource))
    return found


def _lock(reference: str, slot: int) -> str:
    return f"reference {crc32(reference.encode()) % _BUCKETS} {slot}"


def _address(write: Write) -> str:
    return f"{write.resource_type}/{write.id}"
