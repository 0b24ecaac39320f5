"""One attempt at a group: one MongoDB transaction that reads, decides each member, and writes those that may be written.

The read is the guard: it carries each member's permit, and a version changed after it makes the transaction conflict, never a
lost update. Members that fail leave before anything is written.

https://hl7.org/fhir/R4/http.html#concurrency
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import bson
from bson.raw_bson import RawBSONDocument

from fhirserver.model.outcome import Conflict, FhirError, Forbidden, MethodNotAllowed, PreconditionFailed
from fhirserver.model.resource import Version
from fhirserver.search.compile import compile as compile_filter
from fhirserver.search.expression import Expression, In, Nothing, all_of
from fhirserver.search.match import match
from fhirserver.store.commit.meta import check_meta
from fhirserver.store.commit.prepare import Prepared, finish
from fhirserver.store.commit.write import Companion, Member, Seal, Write, Written
from fhirserver.store.connection.client import Document, Mongo, Query, Session
from fhirserver.store.connection.coalesce import paths
from fhirserver.store.history import feed
from fhirserver.store.layout.collections import FEED
from fhirserver.store.pace import Pace

COMMAND_BYTES: Final = 4 * 1024 * 1024
"""Bytes of documents in one insert or update command, unless one alone is larger: MongoDB takes 16 MiB, and the event loop is held for as
long as a command is put together."""

NO_SUCH_ID = "Resources are created with POST; the server chooses their ids."
NOT_WRITABLE = "This resource may be read, but not changed, with this access token."
WRONG_VERSION = "The resource's current version is not one that If-Match names."
EXISTS = "The resource exists already, and If-None-Match forbids to replace it."

_DUPLICATE_KEY: Final = 11000
_TOO_LARGE_FOR_CACHE: Final = 388
_CURRENT: Final[tuple[str, ...]] = ("version", "updated", "deleted", "method", "created", "by", "json", "security")

Outcome = Written | FhirError | None
Item = TypeVar("Item")


class Aborted(Exception):
    """MongoDB did not accept a document, or a version was not there any more."""


class Taken(Aborted):
    """A key is taken."""


class Overfull(Aborted):
    """The database's cache cannot hold all that is not committed yet; nor will it the next time."""


_ABORTED: Final[Mapping[int, type[Aborted]]] = {_DUPLICATE_KEY: Taken, _TOO_LARGE_FOR_CACHE: Overfull}
"""What errors of MongoDB about one write mean, by code."""


@dataclass(frozen=True, slots=True)
class _Update:
    """A change of one document, and the bytes that it takes."""

    id: str
    change: Any
    size: int


@dataclass(slots=True)
class _Plan:
    """What the members that pass will write."""

    outcomes: list[Outcome]
    members: list[Member] = field(default_factory=list)
    inserts: dict[str, list[RawBSONDocument]] = field(default_factory=lambda: defaultdict(list))
    updates: dict[str, list[_Update]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class Attempt:
    """The means of an attempt."""

    mongo: Mongo
    session: Session
    clock: Callable[[], datetime]
    seal: Seal
    pace: Pace | None = None
    """Where a group takes its steps that may have thousands of members."""
    stamped: Callable[[], object] = lambda: None
    """Called when the versions get their time: from there on the commit has to follow within its bound."""

    async def run(self, group: Sequence[Prepared], *, check_ids: bool, whole: bool = False) -> list[Outcome]:
        """Decide and write, up to but without the commit. `check_ids` looks for taken ids even where the server made them;
        a `whole` group is written only if no member fails."""
        current = await self._current(group)
        taken = await self._taken(group, current, check_ids)
        now = self.clock()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self.stamped()
        plan = _Plan([])
        for prepared in group:
            if self.pace is not None:
                await self.pace.step()
            key = (prepared.write.resource_type, prepared.write.id)
            try:
                plan.outcomes.append(_decide(plan, prepared, current.get(key), key in taken, now))
            except FhirError as error:
                plan.outcomes.append(error)
        if plan.members and not (whole and any(isinstance(outcome, FhirError) for outcome in plan.outcomes)):
            companions = itertools.chain(
                (companion for member in plan.members for companion in member.write.companions), self.seal(plan.members)
            )
            await self._write(plan, companions)
        return plan.outcomes

    async def _current(self, group: Sequence[Prepared]) -> dict[tuple[str, str], Document]:
        """The visible current versions of what the group changes: the permits are in the query, and matched again."""
        wanted: dict[str, dict[str, tuple[Expression, Expression]]] = defaultdict(dict)
        for prepared in group:
            write = prepared.write
            visible = write.permit.of(write.resource_type)
            if write.method != "POST" and not isinstance(visible, Nothing):
                wanted[write.resource_type][write.id] = (visible, write.permit.writes(write.resource_type))
        found: dict[tuple[str, str], Document] = {}
        for resource_type, each in wanted.items():
            for row in await self._guarded(resource_type, each):
                if match(each[row["_id"]][0], row):
                    found[resource_type, row["_id"]] = row
        return found

    async def _guarded(self, resource_type: str, each: Mapping[str, tuple[Expression, Expression]]) -> list[Document]:
        branches: dict[Expression, set[str]] = defaultdict(set)
        roots = set(_CURRENT)
        for id, (visible, writable) in each.items():
            branches[visible].add(id)
            roots |= paths(visible) | paths(writable)
        filters = [compile_filter(all_of(In("_id", frozenset(ids)), visible)) for visible, ids in branches.items()]
        filter = filters[0] if len(filters) == 1 else {"$or": filters}
        projection = dict.fromkeys(roots - {"_id"}, 1)
        return await self.mongo.find_plainly(
            resource_type, Query(filter, limit=len(each), projection=projection, hint="_id_"), self.session
        )

    async def _taken(
        self, group: Sequence[Prepared], current: Mapping[tuple[str, str], Document], check_ids: bool
    ) -> set[tuple[str, str]]:
        """Which ids that are to be new exist already. Only ids are read: that an id is taken is all that may come of it."""
        wanted: dict[str, list[str]] = defaultdict(list)
        for prepared in group:
            write = prepared.write
            is_new = write.method == "PUT" and write.may_create and (write.resource_type, write.id) not in current
            if is_new or (check_ids and write.method == "POST"):
                wanted[write.resource_type].append(write.id)
        taken: set[tuple[str, str]] = set()
        for resource_type, ids in wanted.items():
            query = Query({"_id": {"$in": ids}}, limit=len(ids), projection={"_id": 1}, hint="_id_")
            rows = await self.mongo.find_plainly(resource_type, query, self.session)
            taken |= {(resource_type, row["_id"]) for row in rows}
        return taken

    async def _write(self, plan: _Plan, companions: Iterable[Companion]) -> None:
        for collection, document in companions:
            plan.inserts[collection].append(RawBSONDocument(bson.encode(document)))
        if self.pace is not None:
            await self.pace.step()
        await insert(self.mongo, self.session, plan.inserts)
        for collection, updates in plan.updates.items():
            for run in _portions(updates, lambda update: update.size):
                # The guard has read each of them in this transaction, so the id alone is enough, and is the fastest way.
                changes = [{"q": {"_id": update.id}, "u": update.change} for update in run]
                if await _send(self.mongo, self.session, {"update": collection, "updates": changes}) != len(run):
                    raise Aborted


async def insert(mongo: Mongo, session: Session, documents: Mapping[str, Sequence[RawBSONDocument]]) -> None:
    """Put these into their collections. Raises Aborted, or Taken."""
    for collection, each in documents.items():
        for portion in _portions(each, lambda document: len(document.raw)):
            await _send(mongo, session, {"insert": collection, "documents": portion})


async def _send(mongo: Mongo, session: Session, command: Document) -> int:
    reply = await mongo.command(command, session)
    for error in reply.get("writeErrors", ()):
        raise _ABORTED.get(error["code"], Aborted)(error["code"])
    count: int = reply["n"]
    return count


def _decide(plan: _Plan, prepared: Prepared, current: Document | None, taken: bool, now: datetime) -> Outcome:
    write = prepared.write
    if write.method == "POST":
        if taken:
            raise Conflict
        return _create(plan, prepared, now)
    if current is None:
        return _decide_unseen(plan, prepared, taken, now)
    if write.method == "DELETE" and current["deleted"]:
        return None
    _check(write, current)
    check_meta(write, current)
    updated = max(now, current["updated"].replace(tzinfo=UTC))
    number = current["version"] + 1
    if write.method == "DELETE":
        version = Version(write.resource_type, write.id, number, updated, None, "DELETE")
        document, security = _tombstone(write, version, current["security"])
        change: Any = document
    else:
        is_back = bool(current["deleted"])
        text, document = finish(prepared, number, updated, created=is_back)
        version = Version(write.resource_type, write.id, number, updated, text, "PUT", is_back)
        security = write.derived.security if write.derived is not None else {}
        # For a whole new document MongoDB works out the difference, which costs seven times as much as to set the fields.
        change = (
            {"$set": document} if prepared.native_tail is not None else {"$set": document, "$unset": {"resource": ""}}
        )
    plan.inserts[f"{write.resource_type}.history"].append(_superseded(write.id, current))
    plan.updates[write.resource_type].append(_Update(write.id, change, len(document.raw)))
    return _planned(plan, Member(write, version, bool(current["deleted"])), security)


def _decide_unseen(plan: _Plan, prepared: Prepared, taken: bool, now: datetime) -> Outcome:
    """A write to an id that is absent or hidden: the answers do not tell which, save the one to clients that choose ids."""
    write = prepared.write
    if write.method == "DELETE":
        return None
    if not write.may_create:
        raise MethodNotAllowed(NO_SUCH_ID)
    if write.if_match is not None:
        raise PreconditionFailed(WRONG_VERSION)
    if taken:
        raise Conflict
    return _create(plan, prepared, now)


def _check(write: Write, current: Document) -> None:
    if not match(write.permit.writes(write.resource_type), current):
        raise Forbidden(NOT_WRITABLE)
    if write.if_none_match_any and not current["deleted"]:
        raise PreconditionFailed(EXISTS)
    if write.if_match is None or str(current["version"]) in write.if_match:
        return
    if "*" not in write.if_match or current["deleted"]:
        raise PreconditionFailed(WRONG_VERSION)


def _create(plan: _Plan, prepared: Prepared, now: datetime) -> Written:
    write = prepared.write
    text, document = finish(prepared, 1, now)
    plan.inserts[write.resource_type].append(document)
    version = Version(write.resource_type, write.id, 1, now, text, write.method, True)
    return _planned(plan, Member(write, version, True), write.derived.security if write.derived is not None else {})


def _planned(plan: _Plan, member: Member, security: Mapping[str, Any]) -> Written:
    plan.members.append(member)
    row = feed.row(member.version, member.created, security, member.write.by.principal)
    plan.inserts[FEED].append(RawBSONDocument(bson.encode(row)))
    return Written(member.version, member.created)


def _superseded(id: str, current: Document) -> RawBSONDocument:
    kept = {name: current[name] for name in _CURRENT if name in current}
    return RawBSONDocument(bson.encode({"_id": {"id": id, "version": current["version"]}, **kept}))


def _tombstone(write: Write, version: Version, security: Document) -> tuple[RawBSONDocument, Document]:
    # It keeps the last version's security facts: without them a deletion would show to anyone, or to no one.
    by = {"request": write.by.request, "principal": write.by.principal, "client": write.by.client}
    document = {
        "_id": write.id,
        "version": version.version,
        "updated": version.updated,
        "deleted": True,
        "method": "DELETE",
        "by": by,
        "security": security,
    }
    return RawBSONDocument(bson.encode(document)), security


def _portions(items: Sequence[Item], size_of: Callable[[Item], int]) -> Iterable[list[Item]]:
    """The items in runs that each fit one command."""
    portion: list[Item] = []
    size = 0
    for item in items:
        length = size_of(item)
        if portion and size + length > COMMAND_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(item)
        size += length
    yield portion
