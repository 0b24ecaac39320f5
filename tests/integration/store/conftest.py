"""A store of its own for each test, with a small derivation that does not depend on the search room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from fhirserver.search.expression import Expression, In
from fhirserver.search.permit import Permit
from fhirserver.store import By, Derived, Store, Write
from fhirserver.store.connection.client import Mongo

SYSTEM = Permit.system("test")
BY = By("request", "Practitioner/writer", "client")


def permit(expression: Expression) -> Permit:
    """A permit to read and write what the expression says."""
    return Permit(("test",), lambda _: expression, lambda _: expression)


def owner(*ids: str) -> Permit:
    """A permit for what belongs to one of these alone."""
    return permit(In("security.owner", frozenset(ids)))


def patient(*ids: str) -> list[dict[str, str]]:
    """References to these."""
    return [{"reference": f"Patient/{id}"} for id in ids]


def derive(resource_type: str, resource: dict[str, Any]) -> Derived:
    """Patient, code, date and references of a test resource, as the search room would lay them out."""
    patients = [each["reference"] for each in resource.get("subject", [])]
    codes = resource.get("codes", [])
    index: dict[str, Any] = {"identifier": [f"urn:x|{resource['id']}", f"~{resource['id']}"]}
    sort: dict[str, Any] = {}
    if patients:
        index["patient"] = {"r": patients, "i": []}
        index["subject"] = {"r": patients, "i": []}
    if codes:
        index["code"] = codes
        index["_pair"] = [f"{patient}|{code}" for patient in patients for code in codes]
    if performers := resource.get("performers"):
        index["performer"] = {"r": performers, "i": []}
    if (date := resource.get("date")) is not None:
        index["date"] = [{"lo": date, "hi": date}]
        sort["date"] = {"lo": date, "hi": date}
    if (rank := resource.get("rank")) is not None:
        sort["rank"] = {"lo": rank, "hi": rank}
    owners = [each.removeprefix("Patient/") for each in patients]
    security = {"class": "patient", "owners": owners, "owner": owners[0] if len(owners) == 1 else None, "labels": []}
    return Derived(index, sort, security)


@dataclass(frozen=True, slots=True)
class Writing:
    """Short ways to write test resources."""

    store: Store

    async def put(self, id: str, resource_type: str = "Observation", **fields: Any) -> Any:
        """Put a resource with these fields."""
        return await self.store.commit(self.write("PUT", id, resource_type, **fields))

    async def delete(self, id: str, resource_type: str = "Observation", permit: Permit = SYSTEM) -> Any:
        """Delete a resource."""
        return await self.store.commit(Write("DELETE", resource_type, id, None, None, BY, permit))

    def write(
        self,
        method: Any,
        id: str,
        resource_type: str = "Observation",
        *,
        options: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Write:
        """A write of a resource with these fields."""
        resource = {"resourceType": resource_type, "id": id, **fields}
        settings: dict[str, Any] = {"by": BY, "permit": SYSTEM, "may_create": True, **(options or {})}
        return Write(method, resource_type, id, resource, derive(resource_type, resource), **settings)


@pytest.fixture
async def open_store(mongo_url: str, database_name: str) -> AsyncIterator[Callable[..., Any]]:
    """Opens stores on this test's database, and closes them after it."""
    opened: list[Store] = []

    async def opening(**options: Any) -> Store:
        options = {"types": ("Observation",), "derive": derive, **options}
        store = await Store.open(mongo_url, database_name, **options)
        opened.append(store)
        return store

    yield opening
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: Callable[..., Any]) -> Store:
    """A started store."""
    found: Store = await open_store()
    return found


@pytest.fixture
def writing(store: Store) -> Writing:
    """Short ways to write in the store."""
    return Writing(store)


@pytest.fixture
async def mongo(mongo_url: str, database_name: str) -> AsyncIterator[Mongo]:
    """The test's database, past the store."""
    connection = Mongo(mongo_url, database_name)
    yield connection
    await connection.close()


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime | None = None) -> None:
        self.now = now or datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """A clock that stands until it is moved."""
    return Clock()
