"""Reindex: the derived fields made again from the text, in place, while the server serves.

Each row is replaced only if it still has the version that was read, and was not derived by search parameters newer than ours. The
place is written down, so a run that was stopped goes on. A deletion has no text: its security facts are those of the version before it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import bson
from pymongo.errors import OperationFailure

from fhirserver.model import json
from fhirserver.search.permit import Permit
from fhirserver.store.commit.attempt import COMMAND_BYTES
from fhirserver.store.commit.prepare import derived_fields, native
from fhirserver.store.commit.write import Derive
from fhirserver.store.connection.client import Document, Mongo, Query, translated
from fhirserver.store.documents import Documents

BATCH: Final = 200

_FIELDS: Final = {"version": 1, "json": 1, "deleted": 1, "generation": 1}


@dataclass(frozen=True, slots=True)
class Stride:
    """A part of a walk: the key of the last row, and how many rows there were."""

    after: Any
    rows: int


@dataclass(frozen=True, slots=True)
class Reindexer:
    """The means of a run."""

    mongo: Mongo
    progress: Documents
    derive: Derive
    native_copy: bool

    async def run(
        self, resource_type: str, permit: Permit, *, report: Callable[[str, int], None] = lambda _, __: None
    ) -> int:
        """Make the derived fields of one type again; how many versions were looked at."""
        # The current versions first: one that is superseded before its turn takes its old facts along into the history.
        rows = await self._walk(resource_type, resource_type, permit, report)
        rows += await self._walk(resource_type, f"{resource_type}.history", permit, report)
        for collection in (resource_type, f"{resource_type}.history"):
            await self.progress.delete(f"reindex:{collection}")
        return rows

    async def _walk(
        self, resource_type: str, collection: str, permit: Permit, report: Callable[[str, int], None]
    ) -> int:
        key = f"reindex:{collection}"
        known = await self.progress.get(key)
        after = known["after"] if known is not None else None
        seen = known["seen"] if known is not None else 0
        while (stride := await self.step(resource_type, collection, after, permit)) is not None:
            after, seen = stride.after, seen + stride.rows
            await self.progress.put({"_id": key, "after": after, "seen": seen})
            report(collection, seen)
        return seen

    async def step(self, resource_type: str, collection: str, after: Any, permit: Permit) -> Stride | None:
        """The rows that follow a key, made again; None where there are none."""
        if not permit.is_system:
            raise PermissionError("Reindexing is the server's own work.")
        while True:
            later: Document = {} if after is None else {"_id": {"$gt": after}}
            query = Query(later, limit=BATCH, projection=_FIELDS, sort=[("_id", 1)], hint="_id_")
            rows = await self.mongo.find(collection, query)
            if not rows:
                return None
            updates = [each for row in rows if (each := await self._update(resource_type, collection, row)) is not None]
            if not await self._send(collection, updates):
                return Stride(rows[-1]["_id"], len(rows))
            # A deletion may have copied the facts of the version before it: these are looked at once more.

    async def _update(self, resource_type: str, collection: str, row: Document) -> Document | None:
        text = row.get("json")
        is_current = collection == resource_type
        if text is None:
            id = row["_id"] if is_current else row["_id"]["id"]
            text = await self._last_text(resource_type, id, row["version"])
            if text is None:
                return None
            fields = self._fields(resource_type, text)
            changes: Document = {"$set": {"security": fields["security"]}}
        else:
            fields = self._fields(resource_type, text)
            if is_current and row.get("generation", 0) > fields.get("generation", 0):
                return None
            if not is_current:
                changes = {"$set": {"security": fields["security"]}}
            elif self.native_copy:
                changes = {"$set": {**fields, "resource": native(text)}}
            else:
                changes = {"$set": fields, "$unset": {"resource": ""}}
        filter: Document = {"_id": row["_id"], "version": row["version"]}
        if is_current and text is not None:
            filter["generation"] = {"$eq": row["generation"]} if "generation" in row else {"$exists": False}
        return {"q": filter, "u": changes}

    def _fields(self, resource_type: str, text: bytes) -> Document:
        return derived_fields(self.derive(resource_type, json.parse(text)))

    async def _last_text(self, resource_type: str, id: str, below: int) -> bytes | None:
        filter = {"_id.id": id, "_id.version": {"$lt": below}, "deleted": False}
        query = Query(filter, limit=1, projection={"json": 1}, sort=[("_id.version", -1)], hint="instance")
        rows = await self.mongo.find(f"{resource_type}.history", query)
        return rows[0]["json"] if rows else None

    async def _send(self, collection: str, updates: list[Document]) -> int:
        """Write the updates; how many found their version superseded."""
        overtaken = 0
        with translated():
            for portion in _portions(updates):
                reply = await self.mongo.command({"update": collection, "updates": portion, "ordered": False})
                for error in reply.get("writeErrors", ()):
                    raise OperationFailure(error["errmsg"], error["code"])
                overtaken += len(portion) - reply["n"]
        return overtaken


def _portions(updates: list[Document]) -> list[list[Any]]:
    """The updates in runs that each fit one command."""
    portions: list[list[Any]] = [[]]
    size = 0
    for update in updates:
        length = len(bson.encode(update))
        if portions[-1] and size + length > COMMAND_BYTES:
            portions.append([])
            size = 0
        portions[-1].append(update)
        size += length
    return [portion for portion in portions if portion]
