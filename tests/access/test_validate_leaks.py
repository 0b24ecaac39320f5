"""`$validate` tells of a write what the write itself would tell, and of the hidden what it tells of the absent.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from fhirserver.settings import Settings
from tests.access.conftest import World, consent, observation
from tests.access.test_hidden_equals_absent import ABSENT, HIDDEN, filled, seen
from tests.integration.serving import serving

MISSING = ABSENT[: len(HIDDEN)]
WHO = ["doctor", "stranger", "anna", "laboratory"]


@pytest.fixture
def tokens(doctor: str, stranger: str, anna: str, laboratory: str) -> dict[str, str]:
    """A token for each of them."""
    return {"doctor": doctor, "stranger": stranger, "anna": anna, "laboratory": laboratory}


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(
    ("method", "query", "resource"),
    [
        ("GET", "", None),
        ("POST", "", None),
        ("GET", "?mode=update", None),
        ("GET", "?mode=delete", None),
        ("POST", "?mode=delete", None),
        ("GET", "?mode=profile&profile=http://hl7.org/fhir/StructureDefinition/Observation", None),
        ("POST", "", observation("{id}", "anna")),
        ("POST", "?mode=update", observation("{id}", "anna")),
        ("POST", "?mode=update", observation("{id}", "boris")),
        ("POST", "?mode=update", observation("{id}", "anna", status="nonsense")),
    ],
)
async def test_what_is_said_of_the_hidden_is_said_of_the_absent(
    world: World, tokens: dict[str, str], who: str, method: str, query: str, resource: Any
) -> None:
    """WG-07: for a deletion as for every other mode."""
    answers = []
    for id in (HIDDEN, MISSING):
        options = {} if resource is None else {"json": filled(resource, id)}
        answers.append(
            seen(await world.asks(tokens[who], method, f"/Observation/{id}/$validate{query}", **options), id)
        )
    assert answers[0] == answers[1]
    assert answers[0][0] in (200, 403, 404)
    assert (await world.open("GET", f"/Observation/{HIDDEN}")).headers["etag"] == 'W/"1"'


WRITES: list[tuple[str, dict[str, Any]]] = [
    ("POST", observation("x", "anna")),
    ("POST", observation("x", "boris")),
    ("POST", observation("x", "nobody")),
    ("POST", {"resourceType": "Patient", "active": True}),
    ("POST", consent("x", "anna", "Organization/clinic")),
    ("PUT", observation("anna-0", "anna", status="amended")),
    ("PUT", observation("boris-0", "boris")),
    ("PUT", observation("nobody-0", "anna")),
    ("DELETE", observation("nobody-0", "anna")),
    ("DELETE", observation("boris-0", "boris")),
]


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("method", "resource"), WRITES)
async def test_a_write_is_refused_as_validation_said(
    world: World, tokens: dict[str, str], who: str, method: str, resource: dict[str, Any]
) -> None:
    """The same issues; and none where the write is done, which it had not been before."""
    path = f"/{resource['resourceType']}" + ("" if method == "POST" else f"/{resource['id']}")
    mode = {"POST": "create", "PUT": "update", "DELETE": "delete"}[method]
    sent = {} if method == "DELETE" else {"json": resource}
    asked = await world.asks(tokens[who], "POST", f"{path}/$validate?mode={mode}", **sent)
    assert asked.status_code == 200, asked.text
    refusals = [each for each in asked.json()["issue"] if each["severity"] == "error"]
    answer = await world.asks(tokens[who], method, path, **sent)
    if answer.is_success:
        assert refusals == []
    else:
        assert refusals == answer.json()["issue"]


async def test_a_token_without_the_scope_is_told_so(world: World) -> None:
    """As an issue: that is the answer to what was asked. What lies there is not looked at."""
    reading = await world.token("Patient/anna", "patient/Observation.rs", patient="anna")
    for id in ("anna-0", "boris-0", "nobody-0"):
        answer = await world.asks(reading, "GET", f"/Observation/{id}/$validate?mode=delete")
        assert [each["code"] for each in answer.json()["issue"]] == ["forbidden"]
    blind = await world.token("Patient/anna", "patient/Observation.c", patient="anna")
    assert (await world.asks(blind, "GET", "/Observation/anna-0/$validate")).status_code == 403
    assert (await world.asks(None, "POST", "/Observation/$validate", json=observation("x", "anna"))).status_code == 401


@pytest.fixture(scope="module")
async def strict(world: World, _settings: Settings) -> AsyncIterator[World]:
    """The same world behind doors that guard references."""
    settings = replace(_settings, referential_integrity=True)
    async with serving(settings) as open_door, serving(replace(settings, auth="smart")) as gated:
        yield World(open_door, gated)


async def test_references_are_checked_where_the_setting_asks_for_it(strict: World, doctor: str) -> None:
    """SC-19: a hidden target is an absent one; and what is referred to cannot be deleted."""
    for target in (HIDDEN, MISSING):
        sent = observation("x", "anna", hasMember=[{"reference": f"Observation/{target}"}])
        answer = await strict.asks(doctor, "POST", "/Observation/$validate?mode=create", json=sent)
        assert [(each["severity"], each["code"]) for each in answer.json()["issue"]][:1] == [("error", "not-found")]
        without = await strict.asks(doctor, "POST", "/Observation/$validate", json=sent)
        assert not any(each["severity"] == "error" for each in without.json()["issue"])
    answer = await strict.open("GET", "/Patient/anna/$validate?mode=delete")
    assert [(each["severity"], each["code"]) for each in answer.json()["issue"]] == [("error", "conflict")]
    assert (await strict.open("GET", "/Patient/anna")).status_code == 200


FOLLOWING = {
    "resourceType": "StructureDefinition", "id": "following", "url": "urn:t:following", "name": "Following",
    "status": "active", "kind": "resource", "abstract": False, "type": "Observation", "derivation": "constraint",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Observation",
    "differential": {"element": [{"id": "Observation.hasMember", "path": "Observation.hasMember", "type": [
        {"code": "Reference", "targetProfile": ["urn:t:followed"]}]}]},
}  # fmt: skip
FOLLOWED = FOLLOWING | {
    "id": "followed", "url": "urn:t:followed", "name": "Followed",
    "differential": {"element": [{"id": "Observation.method", "path": "Observation.method", "min": 1}]},
}  # fmt: skip


@pytest.mark.parametrize("who", WHO)
async def test_a_hidden_target_of_a_profile_is_an_absent_one(world: World, tokens: dict[str, str], who: str) -> None:
    """Only what the caller may read is held against the profile of what is referred to."""
    for profile in (FOLLOWED, FOLLOWING):
        await world.open.put(profile)
    answers = []
    for target in (HIDDEN, MISSING, "anna-0"):
        sent = observation("x", "anna", hasMember=[{"reference": f"Observation/{target}"}])
        asked = "/Observation/$validate?profile=urn:t:following"
        answers.append(seen(await world.asks(tokens[who], "POST", asked, json=sent), target))
    assert answers[0] == answers[1]
    assert (b"conforms to none" in answers[2][1]) is (who in ("doctor", "anna"))
