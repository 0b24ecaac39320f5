"""Whatever is sent, the server never fails: no 5xx, and every refusal is an OperationOutcome.

The small form runs always, the long one (20,000 requests) on request.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhirserver.definitions import load
from fhirserver.model.outcome import NotAcceptable
from fhirserver.rest.representation.xml import read, write
from tests.integration.serving import Server

TYPES = ("Patient", "Observation", "Binary", "Consent", "Appointment", "Bundle", "List", "Slot")
ALL_TYPES = load().resource_types
CODES = sorted({code for name in TYPES for code in load().search_parameters(name)})
IDS = ("a", "b", "x-1", "A.b", "1")

short = st.text(max_size=12)
latin = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=24)

segment = st.one_of(
    st.sampled_from((*TYPES, *IDS, "_search", "_history", "metadata", "$everything", "1", "2", "..", ".", "", "%24x")),
    st.sampled_from(ALL_TYPES),
    latin.map(lambda text: text.replace("?", "").replace("#", "")),
)
path = st.one_of(
    st.tuples(st.sampled_from(TYPES), st.sampled_from(IDS)).map("/".join),
    st.sampled_from(TYPES),
    st.tuples(st.sampled_from(TYPES), st.sampled_from(IDS), st.just("_history")).map("/".join),
    st.tuples(st.sampled_from(TYPES), st.sampled_from(IDS), st.just("_history"), st.sampled_from(("1", "2", "x"))).map(
        "/".join
    ),
    st.tuples(st.just("Patient"), st.sampled_from(IDS), st.sampled_from(TYPES)).map("/".join),
    st.sampled_from(TYPES).map(lambda name: f"{name}/_search"),
    st.lists(segment, max_size=5).map("/".join),
)

name = st.one_of(
    st.sampled_from(CODES),
    st.tuples(
        st.sampled_from(CODES),
        st.sampled_from(
            ("missing", "exact", "contains", "not", "identifier", "Patient", "text", "above", "x", "of-type")
        ),
    ).map(":".join),
    st.sampled_from(
        (
            *(
                "_id",
                "_lastUpdated",
                "_tag",
                "_profile",
                "_security",
                "_source",
                "_sort",
                "_count",
                "_total",
                "_summary",
            ),
            *("_include", "_revinclude", "_elements", "_format", "_pretty", "_cursor", "_since", "_at", "_has:x:y:z"),
            *("_include:iterate", "_contained", "_type", "_list", "_text", "_content", "_filter", "_query"),
        )
    ),
    short,
)
value = st.one_of(
    st.sampled_from(
        (
            *(
                "a",
                "a|b",
                "|b",
                "a|",
                "|",
                "Patient/a",
                "Observation/b/_history/1",
                "http://127.0.0.1:8000/fhir/Patient/a",
            ),
            *(
                "2026",
                "ge2026-01",
                "ap2026-01-01T00:00:00Z",
                "lt0001",
                "gt9999-12-31T23:59:59.999999999Z",
                "eb2026-02-30",
            ),
            *("true", "false", "0", "1", "5", "-1", "99999999999999999999", "1e5", "name", "-name", "-_id,date", "*"),
            *("Observation:subject", "Observation:subject:Patient", "Patient:x", "json", "xml", "accurate", "count"),
            *(
                "urn:uuid:x",
                "urn:oid:1.2",
                "#a",
                "\\,",
                "a\\|b",
                "$",
                "a$b",
                ",",
                ",,",
                "\x00",
                "\ud7ff",
                "٣",
                "ё",
                "ﬁ",
            ),
        )
    ),
    short,
)
pairs = st.lists(st.tuples(name, value), max_size=5)

header = st.one_of(
    st.tuples(
        st.sampled_from(
            ("accept", "content-type", "if-match", "if-none-match", "if-modified-since", "prefer", "range")
        ),
        st.one_of(
            st.sampled_from(
                (
                    *(
                        "application/fhir+json",
                        "application/json",
                        "*/*",
                        "text/html;q=0.x",
                        ",;=",
                        "application/fhir+xml",
                    ),
                    *(
                        'W/"1"',
                        '"1", W/"2"',
                        "*",
                        "W/",
                        "Thu, 01 Jan 1970 00:00:00 GMT",
                        "Thu, 99 Zzz 0000 00:00:00 +9999",
                    ),
                    *("return=minimal", "handling=lenient", "return=OperationOutcome; handling=strict", "bytes=0-1"),
                    *("bytes=-5", "bytes=9999999999999999999-", "application/x-www-form-urlencoded"),
                )
            ),
            latin,
        ),
    ),
    st.tuples(
        st.sampled_from(
            (
                "x-request-id",
                "content-encoding",
                "if-none-exist",
                "authorization",
                "x-security-context",
                "host",
                "x-any",
            )
        ),
        st.one_of(st.sampled_from(("gzip", "deflate", "identity", "127.0.0.1:8000", "Patient/a")), latin),
    ),
)

leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    short,
    st.sampled_from(
        ("final", "active", "male", "2026-01-01", "Patient/a", "http://loinc.org", "a", "text/plain", "YQ==")
    ),
)
element = st.sampled_from(
    sorted({each.name for name in (*TYPES, "CodeableConcept", "Reference", "Meta") for each in load().children(name)})
)
json_value = st.recursive(
    leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(element, inner, max_size=4), max_leaves=8
)

VALID: dict[str, dict[str, Any]] = {
    "Patient": {"name": [{"family": "Иванова", "given": ["Анна"]}], "birthDate": "1980", "gender": "female"},
    "Observation": {"status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/a"}},
    "Binary": {"contentType": "text/plain", "data": "YQ=="},
    "Consent": {
        "status": "active",
        "scope": {"text": "x"},
        "category": [{"text": "x"}],
        "patient": {"reference": "Patient/a"},
        "policyRule": {"text": "x"},
    },
    "Appointment": {"status": "proposed", "participant": [{"status": "accepted", "actor": {"reference": "Patient/a"}}]},
    "Bundle": {"type": "collection"},
    "List": {"status": "current", "mode": "working"},
    "Slot": {
        "schedule": {"reference": "Schedule/a"},
        "status": "free",
        "start": "2026-01-01T00:00:00Z",
        "end": "2026-01-01T01:00:00Z",
    },
}


@st.composite
def resource(draw: st.DrawFn) -> bytes:
    """A resource, near to a valid one or far from it."""
    kind = draw(st.sampled_from(TYPES))
    body: dict[str, Any] = {"resourceType": kind, "id": draw(st.sampled_from(IDS)), **VALID[kind]}
    if draw(st.booleans()):
        body.update(draw(st.dictionaries(element, json_value, max_size=3)))
    return json.dumps(body).encode("utf-8", "surrogatepass")


body = st.one_of(st.none(), st.binary(max_size=30), json_value.map(lambda each: json.dumps(each).encode()), resource())

CURED = {"content-type": "application/fhir+json", "host": "127.0.0.1:8000"}


@st.composite
def request(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    """A request: its method, its path, and the rest."""
    if draw(st.integers(0, 2)) == 0:
        text = draw(resource())
        sent = json.loads(text)
        where = sent["resourceType"] + (f"/{sent['id']}" if draw(st.booleans()) else "")
        method = "PUT" if "/" in where else "POST"
        headers = CURED | dict(draw(st.lists(header, max_size=1)))
        if draw(st.booleans()):
            with suppress(NotAcceptable):
                text = write(load(), sent)
                headers["content-type"] = "application/fhir+xml"
        return method, where, {"content": text, "headers": headers}
    method = draw(st.sampled_from(("GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")))
    options: dict[str, Any] = {"params": draw(pairs), "headers": dict(draw(st.lists(header, max_size=3)))}
    if method in ("POST", "PUT", "PATCH"):
        options["content"] = draw(body)
    return method, draw(path), options


async def check(server: Server, asked: tuple[str, str, dict[str, Any]]) -> None:
    """Send it, and look at the answer."""
    method, where, options = asked
    answer = await server(method, f"/{where}", **options)
    assert answer.status_code < 500, (asked, answer.text)
    if not f"{answer.request.url.path}/".startswith("/fhir/"):
        return  # the client took dot segments away
    if answer.status_code >= 400 and method != "HEAD":
        outcome = read(load(), answer.content) if "xml" in answer.headers["content-type"] else answer.json()
        assert outcome["resourceType"] == "OperationOutcome"
        assert outcome["issue"][0]["diagnostics"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


CALM = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@given(request())
@settings(max_examples=2_000, **CALM)
async def test_no_request_makes_the_server_fail(server: Server, asked: tuple[str, str, dict[str, Any]]) -> None:
    await check(server, asked)


@pytest.mark.slow
@given(request())
@settings(max_examples=20_000, **CALM)
async def test_no_request_of_many_makes_the_server_fail(server: Server, asked: tuple[str, str, dict[str, Any]]) -> None:
    await check(server, asked)
