"""The gate on the real store: what the oracle says of a generated world is what MongoDB gives, by id and by search.

https://hl7.org/fhir/R4/security.html
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient

from fhirserver.access.gate.decide import Gate
from fhirserver.access.gate.request import Request
from fhirserver.access.principal import Principal
from fhirserver.access.security.compartments import security_facts
from fhirserver.model.resource import Resource
from fhirserver.search.expression import All
from fhirserver.search.permit import Permit
from fhirserver.search.request import SearchRequest
from fhirserver.store import By, Derived, Store, Write
from tests.fakes.facts import BASE
from tests.unit.access.gate.test_oracle import (
    NOW,
    ORGANIZATIONS,
    Made,
    as_consent,
    as_resource,
    caller,
    callers,
    organization,
    owners_of,
    practitioner_role,
    sees,
    stored,
    worlds,
)

SYSTEM = Permit.system("test")
facts = security_facts(BASE)


def derive(resource_type: str, resource: Resource) -> Derived:
    return Derived({}, {}, facts(resource_type, resource))


@pytest.fixture
async def store(mongo_url: str, database_name: str) -> AsyncIterator[Store]:
    opened = await Store.open(mongo_url, database_name, derive, native_copy=False)
    yield opened
    await opened.close()


async def empty(mongo_url: str, database_name: str) -> None:
    async with AsyncMongoClient[dict[str, Any]](mongo_url) as client:
        database = client[database_name]
        for name in await database.list_collection_names():
            if name[0].isupper():
                await database[name].delete_many({})


async def put(store: Store, resource: Resource, by: str) -> None:
    resource_type, id = resource["resourceType"], resource["id"]
    await store.commit(
        Write(
            "PUT",
            resource_type,
            id,
            resource,
            derive(resource_type, resource),
            By("request", by, "client"),
            SYSTEM,
            may_create=True,
        )
    )


async def build(store: Store, made: Made) -> None:
    for each in ORGANIZATIONS:
        parent = made.part_of.get(each)
        await put(store, organization(each, f"Organization/{parent}" if parent else None), "operator")
    for name, (practitioner, organization_id, active) in made.roles.items():
        where = f"Organization/{organization_id}" if organization_id else None
        await put(store, practitioner_role(name, f"Practitioner/{practitioner}", where, active=active), "operator")
    for number, rule in enumerate(made.rules):
        await put(store, as_consent(number, rule), rule.writer)
    for number, record in enumerate(made.records):
        await put(store, as_resource(number, record), record.writer)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds, callers)
async def test_mongodb_gives_what_the_oracle_says(
    store: Store, mongo_url: str, database_name: str, made: Made, who: tuple[str, str | None]
) -> None:
    await empty(mongo_url, database_name)
    await build(store, made)
    gate, (user, role) = Gate(store, lambda: NOW), who
    principal = caller(user, role)
    for (resource_type, id), record in stored(made).items():
        expected = sees(made, user, role, record)
        permit = await gate.decide(principal, Request("read", resource_type, ids=(id,)))
        assert (await store.read(resource_type, id, permit) is not None) is expected
        for narrowed in (None, frozenset(sorted(owners_of(record))[:1]) or None):
            permit = await gate.decide(principal, Request("search-type", resource_type, patients=narrowed))
            page = await store.find(SearchRequest(resource_type, All(), count=100), permit)
            assert (id in {each.id for each in page.matches}) is expected


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(worlds, st.lists(callers, min_size=2, max_size=4, unique=True))
async def test_mongodb_gives_everybody_in_one_turn_what_the_oracle_says(
    store: Store, mongo_url: str, database_name: str, made: Made, everybody: list[tuple[str, str | None]]
) -> None:
    """Decisions and reads of several callers share their queries; each is shown what she alone may see."""
    await empty(mongo_url, database_name)
    await build(store, made)
    gate = Gate(store, lambda: NOW)

    async def read(principal: Principal, resource_type: str, id: str) -> bool:
        permit = await gate.decide(principal, Request("read", resource_type, ids=(id,)))
        return await store.read(resource_type, id, permit) is not None

    principals = {each: caller(*each) for each in everybody}
    reads = [(each, address, record) for each in everybody for address, record in stored(made).items()]
    seen = await asyncio.gather(*(read(principals[each], *address) for each, address, _ in reads))
    assert seen == [sees(made, *each, record) for each, _, record in reads]
