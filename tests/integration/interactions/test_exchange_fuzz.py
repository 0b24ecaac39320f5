"""Whatever a Bundle holds, the server never fails, and each answer or entry of it that refuses is an OperationOutcome."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.integration.serving import Server

IDS = st.sampled_from(["fz-a", "fz-b", "fz-c"])
texts = st.one_of(
    st.sampled_from(["", "a|b", "Patient/fz-a", "urn:uuid:1", "urn:uuid:2", "#x", "?", "\x00", "ё", "\ud7ff"]),
    st.text(max_size=10),
)
references = st.one_of(
    st.sampled_from(
        [
            "urn:uuid:1",
            "urn:uuid:2",
            "Patient/fz-a",
            "Patient?identifier=a|b",
            "Patient?_id=fz-a",
            "Patient?",
            "Patient?x=1",
            "Dog?a=b",
        ]
    ),
    texts,
)
odd = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), texts),
    lambda each: st.lists(each, max_size=2) | st.dictionaries(texts, each, max_size=2),
    max_leaves=4,
)
resources = st.one_of(
    st.fixed_dictionaries(
        {"resourceType": st.sampled_from(["Patient", "Observation"])},
        optional={
            "id": st.one_of(IDS, odd),
            "identifier": st.just([{"system": "a", "value": "b"}]),
            "subject": st.fixed_dictionaries({"reference": references}),
            "status": st.just("final"),
            "code": st.just({"text": "a"}),
            "x": odd,
            "meta": odd,
            "contained": odd,
        },
    ),
    odd,
    st.fixed_dictionaries(
        {
            "resourceType": st.just("Binary"),
            "contentType": st.one_of(st.just("application/json-patch+json"), texts),
            "data": texts,
        }
    ),
)
urls = st.one_of(
    st.builds("{}/{}".format, st.sampled_from(["Patient", "Observation"]), IDS),
    st.sampled_from(
        [
            "Patient",
            "Observation",
            "Patient?identifier=a|b",
            "Patient?_id=fz-a",
            "Observation?status=final",
            "Patient?_count=1",
            "Patient/fz-a/_history",
            "Patient/fz-a/_history/1",
            "/",
            "",
            "metadata",
            "_history",
            "Patient/$meta",
            "Patient/_search?_id=fz-a",
            "http://127.0.0.1:8000/fhir/Patient/fz-a",
        ]
    ),
    texts,
)
requests = st.fixed_dictionaries(
    {
        "method": st.one_of(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]), odd),
        "url": st.one_of(urls, odd),
    },
    optional={
        "ifMatch": st.one_of(st.just('W/"1"'), texts),
        "ifNoneMatch": st.one_of(st.just("*"), texts),
        "ifNoneExist": st.one_of(st.just("identifier=a|b"), texts),
        "ifModifiedSince": st.one_of(st.just("2026-01-01T00:00:00Z"), texts),
    },
)
entries = st.one_of(
    st.fixed_dictionaries(
        {"request": requests},
        optional={
            "resource": resources,
            "fullUrl": st.one_of(st.sampled_from(["urn:uuid:1", "urn:uuid:2"]), texts, odd),
        },
    ),
    odd,
)
bundles = st.fixed_dictionaries(
    {"resourceType": st.just("Bundle"), "type": st.sampled_from(["batch", "transaction"])},
    optional={"entry": st.one_of(st.lists(entries, max_size=4), odd)},
)
FUZZ = {"deadline": None, "suppress_health_check": list(HealthCheck)}


async def check(server: Server, bundle: dict[str, Any]) -> None:
    """Send it, and look at every answer."""
    content = json.dumps(bundle).encode()
    answer = await server("POST", "", content=content, headers={"Content-Type": "application/fhir+json"})
    assert answer.status_code < 500, answer.text
    body = answer.json()
    if answer.status_code != 200:
        assert body["resourceType"] == "OperationOutcome"
        return
    assert len(body.get("entry", [])) == len(bundle.get("entry") or [])
    for entry in body.get("entry", []):
        status = int(entry["response"]["status"][:3])
        assert status < 500, entry
        if status >= 400:
            assert entry["response"]["outcome"]["resourceType"] == "OperationOutcome"
            assert bundle["type"] == "batch"


@settings(max_examples=120, **FUZZ)  # type: ignore[arg-type]
@given(bundle=bundles)
async def test_no_bundle_makes_the_server_fail(server: Server, bundle: dict[str, Any]) -> None:
    await check(server, bundle)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=10_000, **FUZZ)  # type: ignore[arg-type]
@given(bundle=bundles)
async def test_no_bundle_makes_the_server_fail_at_length(server: Server, bundle: dict[str, Any]) -> None:
    await check(server, bundle)
