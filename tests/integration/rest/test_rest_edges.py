"""The edges of HTTP: methods, media types, hosts, sizes, encodings, headers of every answer.

https://hl7.org/fhir/R4/http.html#general
"""

from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64encode
from collections import Counter
from email.utils import parsedate_to_datetime
from functools import partial
from importlib import import_module
from typing import Any

import pytest

from fhirserver.rest.interactions.bundles.budget import Budget
from tests.integration.serving import FHIR, Server

DOOR = import_module("fhirserver.rest.interactions.bundles.door")
JSON = {"content-type": "application/fhir+json"}
PATIENT = {"resourceType": "Patient", "active": True}
PATCHES = "application/fhir+json, application/fhir+xml, application/json-patch+json"

EDGES: list[tuple[str, str, dict[str, Any], int, dict[str, str]]] = [
    # method, path, options, status, headers
    ("GET", "/Nothing/1", {}, 404, {}),
    ("GET", "/Nothing", {}, 404, {}),
    ("GET", "/Parameters", {}, 404, {}),
    ("POST", "/Nothing", {"json": PATIENT}, 404, {}),
    ("GET", "/Patient/$match", {}, 404, {}),
    ("POST", "/$process-message", {"json": PATIENT}, 404, {}),
    ("GET", "/Nothing/_history", {}, 404, {}),
    ("GET", "/Patient/a_b", {}, 404, {}),
    ("DELETE", "/Patient/a_b", {}, 404, {}),
    ("PUT", "/Patient/a_b", {"json": PATIENT | {"id": "a_b"}}, 400, {}),
    ("PUT", "/Patient/Иван", {"json": PATIENT | {"id": "Иван"}}, 400, {}),
    ("PUT", "/Patient/%D0%98", {"json": PATIENT | {"id": "И"}}, 400, {}),
    ("PUT", "/Patient/%FF", {"json": PATIENT | {"id": "x"}}, 400, {}),
    ("PUT", "/Пациент/1", {"json": PATIENT | {"id": "1"}}, 404, {}),
    ("GET", "/Patient/Иван", {}, 404, {}),
    ("PUT", f"/Patient/{'a' * 65}", {"json": PATIENT | {"id": "a" * 65}}, 400, {}),
    ("PUT", "/Patient/_x", {"json": PATIENT | {"id": "_x"}}, 404, {}),
    ("PUT", "/Nothing/a_b", {"json": PATIENT | {"id": "a_b"}}, 404, {}),
    ("GET", "/Patient/1/Nothing", {}, 404, {}),
    ("GET", "/Patient/1/Organization", {}, 404, {}),
    ("GET", "/.well-known/other", {}, 404, {}),
    ("PATCH", "/Patient", {"json": []}, 415, {}),
    ("PATCH", "/Patient/1", {"json": []}, 415, {"accept-patch": PATCHES}),
    ("POST", "/Patient/1", {"json": PATIENT}, 405, {"allow": "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"}),
    ("PUT", "/Patient", {"json": PATIENT}, 412, {}),
    ("DELETE", "/Patient", {}, 412, {}),
    ("GET", "/Patient/_search", {}, 405, {"allow": "POST, OPTIONS"}),
    ("PUT", "/Patient/1/_history/1", {"json": PATIENT}, 405, {"allow": "GET, HEAD, OPTIONS"}),
    ("POST", "/metadata", {}, 405, {"allow": "GET, HEAD, OPTIONS"}),
    ("POST", "", {"json": {"resourceType": "Bundle", "type": "batch"}}, 200, {}),
    ("GET", "", {}, 200, {}),
    ("DELETE", "", {}, 405, {"allow": "GET, POST, HEAD, OPTIONS"}),
    ("TRACE", "/Patient/1", {}, 405, {}),
    ("BREW", "/Patient/1", {}, 405, {}),
    ("OPTIONS", "/Patient/1", {}, 204, {"allow": "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"}),
    ("OPTIONS", "/Patient", {}, 204, {"allow": "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"}),
    ("OPTIONS", "", {}, 200, {}),
    ("OPTIONS", "/metadata", {}, 204, {"allow": "GET, HEAD, OPTIONS"}),
    ("GET", "/Patient", {"headers": {"accept": "text/turtle"}}, 406, {}),
    ("GET", "/Patient?_format=ttl", {}, 406, {}),
    ("GET", "/Patient/1?_format=ttl", {}, 406, {}),
    ("POST", "/Patient?_format=ttl", {"json": PATIENT}, 406, {}),
    ("GET", "/Patient?_format=json&_format=json", {}, 400, {}),
    (
        "GET",
        "/Patient?_format=application/fhir%2Bjson",
        {},
        200,
        {"content-type": "application/fhir+json; charset=utf-8"},
    ),
    (
        "GET",
        "/Patient",
        {"headers": {"accept": "application/json"}},
        200,
        {"content-type": "application/json; charset=utf-8"},
    ),
    ("POST", "/Patient", {"content": b"<Patient/>", "headers": {"content-type": "application/xhtml+xml"}}, 415, {}),
    ("POST", "/Patient", {"content": b"{}"}, 415, {}),
    ("POST", "/Patient", {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, {}),
    ("POST", "/Patient", {"content": b"{}", "headers": JSON | {"content-encoding": "br"}}, 415, {}),
    ("POST", "/Patient", {"content": b"{}", "headers": JSON | {"content-encoding": "gzip"}}, 400, {}),
    ("POST", "/Patient", {"json": PATIENT, "headers": {"if-none-exist": "_count=1"}}, 412, {}),
    ("GET", "/Patient?name=" + "a" * 9000, {}, 414, {}),
    ("GET", "/Patient/" + "a" * 9000, {}, 414, {}),
    ("GET", "/Patient", {"headers": {"host": "evil.example"}}, 421, {}),
    ("GET", "/metadata", {"headers": {"host": "evil.example"}}, 421, {}),
    ("GET", "/Patient", {"headers": {"host": "localhost:1234"}}, 200, {}),
    ("GET", "/Patient?name=%ff", {}, 400, {}),
    ("GET", "/Patient?name=%00", {}, 400, {}),
    ("GET", "/Patient?" + "&".join(["name=a"] * 60), {}, 400, {}),
    ("GET", "/Patient?" + "&".join(["name=a"] * 100), {}, 400, {}),
    ("POST", "/Patient/_search", {"json": {}}, 415, {}),
    ("POST", "/Patient/_search", {}, 200, {}),
    ("GET", "/metadata", {"headers": {"accept": "text/html"}}, 406, {}),
]


@pytest.mark.parametrize(("method", "path", "options", "status", "headers"), EDGES)
async def test_an_edge_of_http(
    server: Server, method: str, path: str, options: dict[str, Any], status: int, headers: dict[str, str]
) -> None:
    answer = await server(method, path, **options)
    assert answer.status_code == status, answer.text
    assert {name: answer.headers[name] for name in headers} == headers
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["vary"] == "Authorization, Accept, Prefer, Origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-request-id"]
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    if status >= 400:
        assert answer.json()["resourceType"] == "OperationOutcome"
        assert answer.headers["content-type"].startswith("application/fhir+json")


@pytest.mark.parametrize(
    ("sent", "is_kept"),
    [("abc-1.2_3", True), ("a" * 64, True), ("a" * 65, False), ("a b", False), ("<script>", False), ("", False)],
)
async def test_a_request_id_that_may_stand_in_a_log_is_given_back(server: Server, sent: str, is_kept: bool) -> None:
    """http.html#custom: X-Request-Id"""
    answer = await server("GET", "/Patient/absent", headers={"x-request-id": sent})
    assert (answer.headers["x-request-id"] == sent) is is_kept
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "path", ["//fhir/Patient/%2e%2e/x", "//fhir/Patient/a%2fb", "//fhir/%24export", "//fhir//Patient"]
)
async def test_spellings_of_other_addresses_are_not_supported(server: Server, path: str) -> None:
    answer = await server("GET", path)
    assert answer.status_code == 404
    assert answer.json()["issue"][0]["code"] == "not-supported"


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)],
)
async def test_compressed_bodies_are_read(server: Server, encoding: str, compress: Any) -> None:
    content = compress(json.dumps(PATIENT).encode())
    answer = await server("POST", "/Patient", content=content, headers=JSON | {"content-encoding": encoding})
    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b" " * (16 * 1024 * 1024 + 1), {}, 413),
        (gzip.compress(b" " * (2 * 1024 * 1024), mtime=0), {"content-encoding": "gzip"}, 413),
        (gzip.compress(b" " * (64 * 1024 * 1024), mtime=0), {"content-encoding": "gzip"}, 413),
        (gzip.compress(b"{}", mtime=0)[:-4], {"content-encoding": "gzip"}, 400),
        (gzip.compress(b"{}", mtime=0) + b"more", {"content-encoding": "gzip"}, 400),
        (zlib.compress(b"{}"), {"content-encoding": "gzip"}, 400),
        (b"{}", {"content-encoding": "gzip, gzip"}, 415),
    ],
)
async def test_bodies_past_a_bound_are_refused(
    server: Server, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await server("POST", "/Patient", content=content, headers=JSON | headers)
    assert answer.status_code == status, answer.text


async def test_a_resource_past_five_megabytes_is_refused(server: Server) -> None:
    text = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">' + "a" * 1000 + "</div>"}
    names = [{"text": "a" * 1000} for _ in range(6000)]
    answer = await server("POST", "/Patient", json=PATIENT | {"text": text, "name": names})
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (413, "too-long")


async def test_pretty_text_has_the_same_content(server: Server, new_id: str) -> None:
    """http.html#parameters: _pretty"""
    await server.put({**PATIENT, "id": new_id})
    plain = await server("GET", f"/Patient/{new_id}")
    pretty = await server("GET", f"/Patient/{new_id}?_pretty=true")
    assert pretty.json() == plain.json()
    assert b"\n" in pretty.content
    assert int(pretty.headers["content-length"]) == len(pretty.content)


async def test_links_come_from_the_base_url_and_never_from_the_host(server: Server) -> None:
    headers = {"host": "localhost:9999", "x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}
    made = await server("POST", "/Patient", json=PATIENT, headers=headers)
    found = await server("GET", f"/Patient?_id={made.json()['id']}", headers=headers)
    assert made.headers["location"].startswith(f"{FHIR}/Patient/")
    assert found.json()["entry"][0]["fullUrl"].startswith(f"{FHIR}/Patient/")
    assert all(link["url"].startswith(FHIR) for link in found.json()["link"])


@pytest.mark.parametrize("type", ["batch", "transaction"])
@pytest.mark.parametrize(
    ("method", "url"), [("GET", "metadata"), ("GET", "Binary?_id={id}"), ("POST", "Binary/_search?_id={id}")]
)
async def test_the_reads_of_a_bundle_answer_within_a_bound(
    server: Server, method: str, url: str, type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand statements of capabilities are more than a gigabyte: what has no room is refused, however it is asked for."""
    large = await server("POST", "/Binary", content=b"x" * 200_000, headers={"content-type": "text/plain"})
    id = large.headers["location"].split("/")[-3]
    read = {"request": {"method": method, "url": url.format(id=id)}}
    size = len((await server("POST", "", json={"resourceType": "Bundle", "type": "batch", "entry": [read]})).content)
    bound = 3 * size
    monkeypatch.setattr(DOOR, "Budget", partial(Budget, bound))
    write = {"request": {"method": "POST", "url": "Patient"}, "resource": PATIENT}
    body = {"resourceType": "Bundle", "type": type, "entry": [read] * 40 + [write]}
    answer = await server("POST", "", json=body)
    assert len(answer.content) < bound + 20_000
    if type == "transaction":
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["code"] == "too-costly"
        return
    statuses = Counter(entry["response"]["status"] for entry in answer.json()["entry"])
    assert statuses == {"200 OK": 3, "400 Bad Request": 37, "201 Created": 1}


@pytest.mark.parametrize("type", ["batch", "transaction"])
async def test_what_is_written_past_the_bound_is_answered_without_the_resource(
    server: Server, new_id: str, type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A patch is small, and what it changes can be large: it is done, so it cannot be refused any more."""
    ids = [f"{new_id}-{number}" for number in range(3)]
    for id in ids:
        await server.put({"resourceType": "Patient", "id": id, "name": [{"text": "x" * 10_000}]})
    monkeypatch.setattr(DOOR, "Budget", partial(Budget, 15_000))
    change = b64encode(b'[{"op":"add","path":"/active","value":true}]').decode()
    patch = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": change}
    entries = [{"request": {"method": "PATCH", "url": f"Patient/{id}"}, "resource": patch} for id in ids]
    answer = await server("POST", "", json={"resourceType": "Bundle", "type": type, "entry": entries})
    answers = answer.json()["entry"]
    assert [each["response"]["etag"] for each in answers] == ['W/"2"'] * 3
    assert Counter("resource" in each for each in answers) == {True: 1, False: 2}


async def test_nothing_was_last_modified_after_the_answer_was_sent(server: Server) -> None:
    """RFC 9110 8.8.2.1; and each answer has one `Date`, in the facade and beside it."""
    for _ in range(3):
        answer = await server("POST", "/Patient", json=PATIENT)
        sent, modified = (parsedate_to_datetime(answer.headers[name]) for name in ("date", "last-modified"))
        assert modified <= sent
    for path in ("/Patient/absent", "/metadata", "//health/live", "//nothing"):
        assert len((await server("GET", path)).headers.get_list("date")) == 1
