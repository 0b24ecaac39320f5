"""Patches of one resource by many at once, and patches that nobody would write.

https://hl7.org/fhir/R4/http.html#patch and https://hl7.org/fhir/R4/http.html#concurrency
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.serving import Server

PATCH = {"Content-Type": "application/json-patch+json"}
MANY = 40


async def patch(server: Server, path: str, *operations: Any, **headers: str) -> Any:
    """Send a patch."""
    return await server("PATCH", path, content=json.dumps(operations), headers=PATCH | headers)


async def test_patches_of_many_at_once_all_count(server: Server, new_id: str) -> None:
    """Each is applied to the very version that it replaces: none undoes another."""
    path = f"/Patient/{new_id}"
    await server.put({"resourceType": "Patient", "id": new_id, "name": [{"given": ["first"]}]})
    added = [{"op": "add", "path": "/name/0/given/-", "value": f"g{number}"} for number in range(MANY)]
    answers = await asyncio.gather(*(patch(server, path, each) for each in added))
    assert [answer.status_code for answer in answers] == [200] * MANY
    stored = (await server("GET", path)).json()
    assert stored["meta"]["versionId"] == str(MANY + 1)
    assert sorted(stored["name"][0]["given"]) == sorted(["first", *(each["value"] for each in added)])
    tags = {answer.headers["etag"] for answer in answers}
    assert len(tags) == MANY


async def test_patches_in_transactions_of_many_at_once_all_count(server: Server, new_id: str) -> None:
    """What a transaction patches is read in it: who came between makes it run again, and nobody is told of a version."""
    await server.put({"resourceType": "Patient", "id": new_id, "name": [{"given": ["first"]}]})

    def bundle(value: str) -> dict[str, Any]:
        change = json.dumps([{"op": "add", "path": "/name/0/given/-", "value": value}]).encode()
        data = {"contentType": "application/json-patch+json", "data": base64.b64encode(change).decode()}
        request = {"method": "PATCH", "url": f"Patient/{new_id}"}
        entry = {"resource": {"resourceType": "Binary", **data}, "request": request}
        return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}

    added = [f"g{number}" for number in range(8)]
    answers = await asyncio.gather(*(server("POST", "", json=bundle(each)) for each in added))
    assert [answer.status_code for answer in answers] == [200] * len(added)
    stored = (await server("GET", f"/Patient/{new_id}")).json()
    assert sorted(stored["name"][0]["given"]) == ["first", *added]


async def test_of_many_with_one_if_match_one_wins(server: Server, new_id: str) -> None:
    path = f"/Patient/{new_id}"
    await server.put({"resourceType": "Patient", "id": new_id})
    change = {"op": "add", "path": "/gender", "value": "female"}
    answers = await asyncio.gather(*(patch(server, path, change, **{"If-Match": 'W/"1"'}) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9


async def test_of_many_that_test_and_take_one_takes(server: Server, new_id: str) -> None:
    """Test and replace is a lock: who comes later sees that it is taken."""
    path = f"/Basic/{new_id}"
    await server.put({"resourceType": "Basic", "id": new_id, "code": {"text": "free"}})

    def take(number: int) -> tuple[Any, Any]:
        return (
            {"op": "test", "path": "/code/text", "value": "free"},
            {"op": "replace", "path": "/code/text", "value": f"taken by {number}"},
        )

    answers = await asyncio.gather(*(patch(server, path, *take(number)) for number in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 9


async def test_a_patch_and_a_deletion(server: Server, new_id: str) -> None:
    """Whichever is first, nothing comes back by a patch."""
    path = f"/Patient/{new_id}"
    await server.put({"resourceType": "Patient", "id": new_id})
    change = {"op": "add", "path": "/gender", "value": "female"}
    answer, deleted = await asyncio.gather(patch(server, path, change), server("DELETE", path))
    assert (answer.status_code, deleted.status_code) in {(200, 204), (410, 204)}
    assert (await server("GET", path)).status_code == 410


SAMPLES: dict[str, dict[str, Any]] = {
    "Patient": {
        "name": [{"family": "a", "given": ["b", "c"]}],
        "active": True,
        "birthDate": "1980",
        "_birthDate": {"extension": [{"url": "http://x.example", "valueString": "a"}]},
    },
    "Observation": {
        "status": "final",
        "code": {"text": "a"},
        "valueQuantity": {"value": 1.5},
        "contained": [{"resourceType": "Patient", "id": "p"}],
        "subject": {"reference": "#p"},
    },
    "Consent": {
        "status": "draft",
        "scope": {"text": "a"},
        "category": [{"text": "b"}],
        "policyRule": {"text": "a"},
        "provision": {"actor": [{"role": {"text": "a"}, "reference": {"reference": "Patient/x"}}]},
    },
}

tokens = st.sampled_from(
    [
        *("name", "given", "family", "active", "birthDate", "_birthDate", "extension", "url", "valueString", "meta"),
        *("versionId", "tag", "security", "profile", "id", "resourceType", "status", "code", "text", "valueQuantity"),
        *("value", "contained", "subject", "reference", "provision", "actor", "category", "policyRule", "unknown"),
        *("0", "1", "-", "01", "", "~0", "~1", "~"),
    ]
)
pointers = st.one_of(
    st.sampled_from(["", "/name/0/given/0", "/meta/tag", "/code", "/provision/actor/0/reference", "/contained/0", "x"]),
    st.lists(tokens, max_size=4).map(lambda each: "".join(f"/{token}" for token in each)),
)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
        st.sampled_from(["Patient/x", "#p", "final", "1980-05", "http://x.example", {"reference": "Patient/x"}]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(tokens, inner, max_size=3),
    max_leaves=6,
)
operations = st.one_of(
    st.fixed_dictionaries({"op": st.sampled_from(["add", "replace", "test"]), "path": pointers, "value": values}),
    st.fixed_dictionaries({"op": st.just("remove"), "path": pointers}),
    st.fixed_dictionaries({"op": st.sampled_from(["move", "copy"]), "path": pointers, "from": pointers}),
    st.dictionaries(st.sampled_from(["op", "path", "from", "value"]), values, max_size=4),
)


@pytest.fixture(scope="module")
async def sampled(server: Server) -> Server:
    """The server, with a resource of each kind to be patched."""
    for kind, elements in SAMPLES.items():
        await server.put({"resourceType": kind, "id": "patched", **elements})
    return server


@given(st.sampled_from(sorted(SAMPLES)), st.lists(operations, max_size=4))
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
async def test_no_patch_is_a_fault(sampled: Server, kind: str, changes: list[Any]) -> None:
    """It is done, or refused with a reason; and what is stored is a valid resource still, with its own id."""
    path = f"/{kind}/patched"
    answer = await patch(sampled, path, *changes)
    assert answer.status_code in (200, 400, 413, 422), (changes, answer.text)
    if answer.status_code == 200:
        assert (answer.json()["resourceType"], answer.json()["id"]) == (kind, "patched")
        await sampled.put({"resourceType": kind, "id": "patched", **SAMPLES[kind]})
    else:
        assert answer.json()["issue"][0]["diagnostics"]
        assert (await sampled("GET", path)).status_code == 200


@given(st.one_of(st.binary(max_size=40), values.map(lambda each: json.dumps(each).encode())))
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
async def test_no_body_is_a_fault(sampled: Server, body: bytes) -> None:
    answer = await sampled("PATCH", "/Patient/patched", content=body, headers=PATCH)
    assert answer.status_code in (200, 400, 422), (body, answer.text)
