"""The end of every write: what has to hold of it is looked at inside its transaction, and what came of it is said.

Who could break that together meet on locks. A write of which nothing has to hold goes to the store with whatever others come.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from collections.abc import Sequence

from fhirserver.interactions.context import Context
from fhirserver.interactions.writing import consents, integrity
from fhirserver.store import Behind, Outdated, Refused, Tx, Write, Written


async def commit(context: Context, write: Write) -> Written | None:
    """The write, once it is on disk, with what has to hold of it."""
    store, keys = context.services.store, _locks(context, [write])
    if not keys:
        return await store.commit(write)

    async def body(tx: Tx) -> Written | None:
        try:
            return await write_in(context, tx, write)
        except Outdated as outdated:
            raise Behind(outdated.metas[0]) from None

    return await store.transact(body, types=(write.resource_type,), keys=keys)


async def write_in(context: Context, tx: Tx, write: Write) -> Written | None:
    """Do one write in a transaction, with what has to hold of it. Raises what refuses it, or Outdated."""
    try:
        written = await tx.write([write])
        await check(context, tx, [write], written)
    except Refused as refused:
        raise refused.error from None
    return written[0]


def stored(written: Written | None) -> Written:
    """What came of a create, an update or a patch: only a deletion may have nothing to do."""
    assert written is not None, "Only a deletion may have nothing to do."  # noqa: S101 (for the type checker)
    return written


async def check(context: Context, tx: Tx, writes: Sequence[Write], written: Sequence[Written | None]) -> None:
    """Look at writes that the transaction has done. Raises Refused for the first of which something does not hold."""
    if keys := _locks(context, writes):
        await tx.lock(keys)
        await integrity.look(context, tx, writes, written)
        await consents.look(context, tx, writes)


def _locks(context: Context, writes: Sequence[Write]) -> set[str]:
    return integrity.locks(context, writes) | consents.locks(context, (each.resource for each in writes))
