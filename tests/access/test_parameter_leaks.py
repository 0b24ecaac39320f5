"""A search parameter of somebody's own shows nothing that the permit hides; jobs say nothing to those they are not for.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.access.conftest import World, consent

EXTENSION = "urn:secret"
CODE = f"secret-{uuid.uuid4().hex[:8]}"
"""Another test's servers may share the catalog."""

SYSTEM = "system/SearchParameter.cruds system/Patient.rs"


def parameter(id: str, base: list[str], **changes: Any) -> dict[str, Any]:
    """A SearchParameter."""
    return {
        "resourceType": "SearchParameter",
        "id": id,
        "url": f"urn:parameter:{id}",
        "name": "P",
        "status": "active",
        "description": "Secrets.",
        "code": id,
        "base": base,
        "type": "token",
        "expression": " | ".join(f"{each}.extension('{EXTENSION}').value" for each in base),
    } | changes


async def settle(world: World) -> None:
    """Every server takes in what was written, and does its jobs."""
    rounds = 4
    async with asyncio.timeout(60):
        while rounds > 0:
            rounds -= 1
            for server in (world.open, world.gated):
                upkeep = server.application.upkeep
                assert upkeep is not None
                await upkeep.keeper.refresh()
                await upkeep.worker.work()
                # Their upkeep goes on by itself as well, and may be in the middle of it.
                if any(each.state.value != "ready" for each in upkeep.keeper.catalog.entries):
                    rounds = max(rounds, 1)


@pytest.fixture(scope="module")
async def ready(world: World) -> AsyncIterator[World]:
    """The world with a parameter of Patient, Observation and SearchParameter, in use."""
    for id, secret in (("leak-her", "one"), ("leak-him", "two")):
        marked = [{"url": EXTENSION, "valueCode": secret}]
        await world.open.put({"resourceType": "Patient", "id": id, "extension": marked})
        await world.open.put(
            {
                "resourceType": "Observation",
                "id": f"{id}-o",
                "status": "final",
                "code": {"text": "c"},
                "subject": {"reference": f"Patient/{id}"},
                "extension": marked,
            }
        )
    await world.open.put(parameter(CODE, ["Patient", "Observation"]))
    reference = "Observation.subject.where(resolve() is Patient)"
    await world.open.put(parameter(f"{CODE}-who", ["Observation"], type="reference", expression=reference))
    await settle(world)
    yield world
    for id in (CODE, f"{CODE}-who"):
        await world.open("DELETE", f"/SearchParameter/{id}")
    await settle(world)


def text(answer: httpx.Response) -> str:
    """What an answer says, but for when it was made."""
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    for name in ("id", "meta", "timestamp"):
        bundle.pop(name, None)
    return str(bundle).replace("two", "VALUE").replace("none", "VALUE")


QUERIES = [
    "Patient?{code}={value}",
    "Patient?{code}={value}&_total=accurate",
    "Patient?{code}={value}&_summary=count",
    "Patient?_sort={code}&{code}={value}",
    "Observation?{code}={value}&_total=accurate",
    "Observation?subject:Patient.{code}={value}&_total=accurate",
    "Observation?{code}-who.{code}={value}",
    "Observation?_has:Provenance:target:_id=none&{code}={value}",
    "Patient?_has:Observation:{code}-who:{code}={value}",
    "Observation?{code}={value}&_include=Observation:{code}-who",
    "Patient?{code}:not={value}&{code}={value}",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_a_value_of_a_hidden_resource_and_one_that_nobody_has_are_the_same_to_her(
    ready: World, query: str
) -> None:
    """SC: hidden equals absent, for parameters that were not foreseen as well."""
    token = await ready.token("Patient/leak-her", "patient/*.rs", patient="leak-her")
    hidden = await ready.asks(token, "GET", "/" + query.format(code=CODE, value="two"))
    absent = await ready.asks(token, "GET", "/" + query.format(code=CODE, value="none"))
    assert text(hidden) == text(absent)
    assert hidden.json().get("total") in (None, 0)
    seen = await ready.open("GET", "/" + query.format(code=CODE, value="two"))
    if "not=" not in query and "Provenance" not in query and "_summary" not in query:
        assert len(seen.json()["entry"]) >= 1, "The one who may see it does."


async def test_what_she_may_see_is_found(ready: World) -> None:
    token = await ready.token("Patient/leak-her", "patient/*.rs", patient="leak-her")
    found = await ready.asks(token, "GET", f"/Observation?{CODE}=one&_include=Observation:{CODE}-who")
    assert [each["resource"]["id"] for each in found.json()["entry"]] == ["leak-her-o", "leak-her"]


async def test_a_doctor_finds_by_it_only_where_a_consent_permits(ready: World) -> None:
    doctor = "Practitioner/leak-doctor"
    await ready.open.put({"resourceType": "Practitioner", "id": "leak-doctor"})
    token = await ready.token(doctor, "user/*.rs")
    assert (await ready.asks(token, "GET", f"/Patient?{CODE}=two")).json().get("entry") is None
    await ready.open.put(consent("leak-consent", "leak-him", doctor))
    found = (await ready.asks(token, "GET", f"/Patient?{CODE}=two")).json()
    assert [each["resource"]["id"] for each in found["entry"]] == ["leak-him"]
    await ready.open("DELETE", "/Consent/leak-consent")


CALLERS = [
    ("a patient", "Patient/leak-her", "patient/*.cruds", {"patient": "leak-her"}, 403),
    ("a doctor", "Practitioner/leak-doctor", "user/*.cruds", {}, 403),
    ("a system that reads", "Device/d", "system/SearchParameter.rs", {}, 403),
    ("a system of everything, by no name", "Device/d", "system/*.cruds", {}, 403),
    ("a system that only creates", "Device/d", "system/SearchParameter.c", {}, 403),
    ("a system that writes them", "Device/d", SYSTEM, {}, 202),
]


@pytest.mark.parametrize(
    ("user", "scope", "more", "status"), [row[1:] for row in CALLERS], ids=[row[0] for row in CALLERS]
)
async def test_jobs_are_for_those_who_write_search_parameters(
    ready: World, user: str, scope: str, more: dict[str, Any], status: int
) -> None:
    token = await ready.token(user, scope, **more)
    begun = await ready.asks(token, "POST", "/$reindex?type=Basic")
    assert begun.status_code == status
    of_one = await ready.asks(token, "POST", f"/SearchParameter/{CODE}/$reindex")
    assert of_one.status_code == status
    assert (await ready.asks(token, "POST", "/SearchParameter/none/$reindex")).status_code in (404, status)
    begun = await ready.open("POST", "/$reindex?type=Basic")
    place = begun.headers["content-location"].partition("/fhir")[2]
    polled, absent = await ready.asks(token, "GET", place), await ready.asks(token, "GET", "/_jobs/none")
    if status == 403:
        assert (polled.status_code, absent.status_code) == (403, 403)
        assert polled.content == absent.content
        assert (await ready.asks(token, "DELETE", place)).status_code == 403
    else:
        assert (polled.status_code, absent.status_code) == (202, 404)
        assert (await ready.asks(token, "DELETE", place)).status_code == 202
    await settle(ready)
    assert (await ready.asks(None, "GET", place)).status_code == 401


@pytest.mark.parametrize("row", CALLERS, ids=[row[0] for row in CALLERS])
@pytest.mark.parametrize("path", ["/SearchParameter", "/SearchParameter/$validate", "/"])
async def test_parameters_are_written_and_judged_for_those_alone_whose_scope_names_them(
    ready: World, row: tuple[str, str, str, dict[str, Any], int], path: str
) -> None:
    """An expression is not even read for anybody else: what is wrong with it is not said, and it costs nothing."""
    name, user, scope, more, _ = row
    token = await ready.token(user, scope, **more)
    bad = {name: value for name, value in parameter("leak-bad", ["Patient"]).items() if name != "id"}
    bad |= {"expression": "Patient.nothing.of.that.name", "code": "leak-bad"}
    mode = [{"name": "mode", "valueCode": "create"}, {"name": "resource", "resource": bad}]
    entry = {"resource": bad, "request": {"method": "POST", "url": "SearchParameter"}}
    body = {
        "/SearchParameter": bad,
        "/SearchParameter/$validate": {"resourceType": "Parameters", "parameter": mode},
        "/": {"resourceType": "Bundle", "type": "transaction", "entry": [entry]},
    }[path]
    answer = await ready.asks(token, "POST", path, json=body)
    is_named = name in ("a system that only creates", "a system that writes them")
    assert ("nothing" in answer.text) is is_named, answer.text


async def test_a_parameter_that_names_a_patient_is_part_of_her_record_and_not_used(ready: World) -> None:
    """And so does not tell by its name what she has."""
    hers = {"extension": [{"url": "urn:of", "valueReference": {"reference": "Patient/leak-her"}}]}
    await ready.open.put(parameter(f"{CODE}-hers", ["Patient"], **hers))
    await settle(ready)
    answer = await ready.open("GET", f"/Patient?{CODE}-hers=x")
    assert (answer.status_code, "no search parameter" in answer.text) == (400, True)
    await ready.open("DELETE", f"/SearchParameter/{CODE}-hers")
