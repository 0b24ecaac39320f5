"""A write as the interactions ask for it, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

from msgspec import Struct

from fhirserver.model.resource import Resource, Version
from fhirserver.search.permit import Permit

Companion = tuple[str, Mapping[str, Any]]
"""A document of another room's, with its collection, that is written with the version or not at all."""


class By(Struct, frozen=True):
    """Who really wrote a version, as the server knows it."""

    request: str
    principal: str
    client: str


class Derived(Struct, frozen=True):
    """What is computed from a resource and stored beside it: search values, sort scalars, security facts.

    `generation` says by which search parameters: it grows with every change of them."""

    index: dict[str, Any]
    sort: dict[str, Any]
    security: dict[str, Any]
    generation: int = 0


class Derive(Protocol):
    """Computes the derived fields of a resource of this type; `texts` are those of its elements, where the caller has them."""

    def __call__(
        self, resource_type: str, resource: Resource, texts: Mapping[str, str | bytes] | None = None
    ) -> Derived: ...


class Write(Struct, frozen=True):
    """One write.

    POST creates under a server-made id; PUT updates, or creates at the id if `may_create`; DELETE deletes. `permit` decides which
    current version is visible (`of`) and which may be replaced (`writes`); the candidate was matched by the caller.
    `if_match` holds version ids, or "*". `carries` says of the meta of the version that is replaced whether all of it is in
    the resource that shall be. `members` are the texts of its elements with their names, where they are at hand.
    """

    method: Literal["POST", "PUT", "DELETE"]
    resource_type: str
    id: str
    resource: Resource | None
    derived: Derived | None
    by: By
    permit: Permit
    if_match: tuple[str, ...] | None = None
    if_none_match_any: bool = False
    may_create: bool = False
    companions: tuple[Companion, ...] = ()
    members: Mapping[str, bytes] | None = None
    carries: Callable[[Mapping[str, Any]], bool] | None = None


class Written(Struct, frozen=True):
    """A write that is on disk. `created` also where a deleted resource came back."""

    version: Version
    created: bool


class Member(Struct, frozen=True):
    """A write of a group whose outcome is decided and not yet committed, as `seal` sees it."""

    write: Write
    version: Version
    created: bool


Seal = Callable[[Sequence[Member]], Iterable[Companion]]
"""Called once an attempt with the members in group order; what it returns is written with them. A load in bulk has no members: it
leaves one row of its own for its requests."""


REQUESTS: Final = "requests"


def request_rows(members: Sequence[Member]) -> Iterable[Companion]:
    """A plain row a request: what it changed, by whom."""
    rows: dict[By, dict[str, Any]] = {}
    for member in members:
        by, version = member.write.by, member.version
        row = rows.get(by)
        if row is None:
            who = {"request": by.request, "principal": by.principal, "client": by.client}
            row = rows[by] = {**who, "at": version.updated, "writes": []}
        wrote = {"method": version.method, "type": version.resource_type, "id": version.id, "version": version.version}
        row["writes"].append(wrote)
    for row in rows.values():
        yield REQUESTS, row
