"""fhirpy, the asynchronous client: everything that it offers and the server has.

https://github.com/beda-software/fhir-py
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from fhirpy import AsyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

from tests.e2e.clients.place import SYSTEM, Place, bundle, number, observation, patient
from tests.e2e.clients.table import Name


async def capabilities(client: AsyncFHIRClient) -> None:
    statement = await client.execute("metadata", method="get")
    assert statement.fhirVersion == "4.0.1"


async def create(client: AsyncFHIRClient) -> None:
    made = client.resource("Patient", **patient())
    await made.save()
    assert made.id
    assert made.meta.versionId == "1"


async def read(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    assert (await client.get("Patient", made.id))["name"] == made.name
    assert (await client.reference("Patient", made.id).to_resource()).serialize() == made.serialize()
    with pytest.raises(ResourceNotFound):
        await client.get("Patient", number())


async def read_unless_known(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    await made.refresh()
    assert made.meta.versionId == "1"
    await client.resource("Patient", id=made.id, **patient("Changed")).update()
    await made.refresh()
    assert made.name[0].family == "Changed"


async def vread(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    await client.resource("Patient", id=made.id, **patient("Changed")).update()
    first = await made.execute("_history/1", method="get")
    assert first.name[0].family == "Proba"


async def update(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    made["birthDate"] = "1999-05-07"
    await made.update()
    assert made.meta.versionId == "2"
    given = await client.resource("Patient", id=number(), **patient()).save()
    assert given.meta.versionId == "1"


async def delete(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    await made.delete()
    with pytest.raises(ResourceNotFound):
        await client.get("Patient", made.id)


async def conditional_update(client: AsyncFHIRClient) -> None:
    body = patient()
    found = client.resources("Patient").search(identifier=f"{SYSTEM}|{body['identifier'][0]['value']}")
    made, is_new = await found.update(client.resource("Patient", **body))
    assert (is_new, made.meta.versionId) == (True, "1")
    again, is_new = await found.update(client.resource("Patient", **{**body, "gender": "unknown"}))
    assert (is_new, again.id, again.meta.versionId) == (False, made.id, "2")


async def conditional_delete(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    found = client.resources("Patient").search(identifier=f"{SYSTEM}|{made.identifier[0].value}")
    assert (await found.delete())[1] == 204
    assert await found.fetch() == []


async def search(client: AsyncFHIRClient) -> None:
    family = f"F{number()}"
    for gender in ("female", "male", "male"):
        await client.resource("Patient", **patient(family, gender=gender)).create()
    found = client.resources("Patient").search(family=family)
    assert len(await found.fetch()) == 3
    assert (await found.search(gender="female").get()).gender == "female"
    assert (await found.sort("-gender").first()).gender == "male"
    with pytest.raises(OperationOutcome):
        await client.resources("Patient").search(nosuch="x").fetch()


async def pages(client: AsyncFHIRClient) -> None:
    family = f"F{number()}"
    made = {(await client.resource("Patient", **patient(family)).create()).id for _ in range(7)}
    assert [len(await client.resources("Patient").search(family=family).limit(3).fetch())] == [3]
    walked = [each.id async for each in client.resources("Patient").search(family=family).limit(3)]
    assert (len(walked), set(walked)) == (7, made)


async def count(client: AsyncFHIRClient) -> None:
    """Its count() sends a parameter of another server's; the server passes it over where it is asked to be lenient."""
    family = f"F{number()}"
    await client.resource("Patient", **patient(family)).create()
    lenient = AsyncFHIRClient(client.url, client.authorization, extra_headers={"Prefer": "handling=lenient"})
    assert await lenient.resources("Patient").search(family=family).count() == 1


async def includes(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    result = await client.resource("Observation", **observation(f"Patient/{made.id}")).create()
    raw = await client.resources("Observation").search(_id=result.id).include("Observation", "subject").fetch_raw()
    assert {each.resource.resourceType for each in raw.entry} == {"Observation", "Patient"}
    back = await client.resources("Patient").search(_id=made.id).revinclude("Observation", "subject").fetch_raw()
    assert {each.search.mode for each in back.entry} == {"match", "include"}


async def elements(client: AsyncFHIRClient) -> None:
    """It asks for `id` and `resourceType` besides."""
    family = f"F{number()}"
    await client.resource("Patient", **patient(family)).create()
    found = await client.resources("Patient").search(family=family).elements("gender").fetch()
    assert (found[0].gender, found[0].get("name")) == ("female", None)


async def everything(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    await client.resource("Observation", **observation(f"Patient/{made.id}")).create()
    page = await made.execute("$everything", method="get")
    assert {each.resource.resourceType for each in page.entry} == {"Observation", "Patient"}


async def validate(client: AsyncFHIRClient) -> None:
    assert await client.resource("Patient", **patient()).is_valid()
    assert not await client.resource("Patient", **patient(gender="nobody")).is_valid()
    with pytest.raises(OperationOutcome, match=r"Patient\.gender"):
        await client.resource("Patient", **patient(gender="nobody")).is_valid(raise_exception=True)


async def instance_history(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    await client.resource("Patient", id=made.id, **patient("Changed")).update()
    versions = await made.execute("_history", method="get")
    assert [each.resource.meta.versionId for each in versions.entry] == ["2", "1"]


async def type_history(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    versions = await client.execute("Patient/_history", method="get", params={"_count": ["1"]})
    assert versions.entry[0].resource.id == made.id


async def system_history(client: AsyncFHIRClient) -> None:
    made = await client.resource("Patient", **patient()).create()
    versions = await client.execute("_history", method="get", params={"_count": ["1"]})
    assert versions.entry[0].resource.id == made.id


async def batch(client: AsyncFHIRClient) -> None:
    wanted = {"request": {"method": "GET", "url": f"Patient/{number()}"}}
    done = await client.execute("", data=bundle("batch", _create(patient()), wanted))
    assert [each.response.status[:3] for each in done.entry] == ["201", "404"]


async def transaction(client: AsyncFHIRClient) -> None:
    whose = f"urn:uuid:{UUID}"
    done = await client.execute(
        "", data=bundle("transaction", {**_create(patient()), "fullUrl": whose}, _create(observation(whose)))
    )
    assert [each.response.status[:3] for each in done.entry] == ["201", "201"]
    made = done.entry[0].response.location.split("/")[-3]
    assert len(await client.resources("Observation").search(patient=made).fetch()) == 1


UUID = "7b5f2a3c-6d1e-4f80-9a2b-3c4d5e6f7a8b"


def _create(resource: dict[str, object]) -> dict[str, object]:
    return {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}


DOES: dict[Name, Callable[[AsyncFHIRClient], Awaitable[None]]] = {
    "capabilities": capabilities,
    "create": create,
    "read": read,
    "read, unless the client has it": read_unless_known,
    "vread": vread,
    "update": update,
    "update, conditional": conditional_update,
    "delete": delete,
    "delete, conditional": conditional_delete,
    "search": search,
    "search: the next page": pages,
    "search: how many": count,
    "search: includes": includes,
    "search: chosen elements": elements,
    "history of a resource": instance_history,
    "history of a type": type_history,
    "history of the system": system_history,
    "batch": batch,
    "transaction": transaction,
    "operation: everything": everything,
    "operation: validate": validate,
}


@pytest.mark.parametrize("name", DOES)
async def test_fhirpy_does(name: Name, place: Place) -> None:
    client = AsyncFHIRClient(place.base, authorization=f"Bearer {place.token}" if place.token else None)
    await DOES[name](client)


async def test_what_fhirpy_sends_in_another_servers_form_is_refused_and_changes_nothing(place: Place) -> None:
    """Its get_or_create puts the criteria into the address, its patch sends a part of the resource: neither is R4's form."""
    client = AsyncFHIRClient(place.base, authorization=f"Bearer {place.token}" if place.token else None)
    body = patient()
    found = client.resources("Patient").search(identifier=f"{SYSTEM}|{body['identifier'][0]['value']}")
    with pytest.raises(OperationOutcome, match="If-None-Exist"):
        await found.get_or_create(client.resource("Patient", **body))
    assert await found.fetch() == []
    made = await client.resource("Patient", **body).create()
    with pytest.raises(OperationOutcome):
        await made.patch(gender="male")
    assert (await client.get("Patient", made.id))["meta"]["versionId"] == "1"
