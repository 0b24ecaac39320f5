"""Binary: content as it is, or as a resource.

https://hl7.org/fhir/R4/binary.html#rest
"""

from __future__ import annotations

import base64
import json

import pytest

from tests.integration.serving import Server

PDF = b"%PDF-1.7 \x00\xff not really"


async def stored(server: Server, content: bytes = PDF, content_type: str = "application/pdf") -> str:
    """The id of content that was just sent."""
    answer = await server("POST", "/Binary", content=content, headers={"content-type": content_type})
    assert answer.status_code == 201, answer.text
    id: str = answer.json()["id"]
    return id


@pytest.mark.parametrize(
    "accept", ["", "*/*", "application/pdf", "application/pdf, application/fhir+json;q=0.5", "application/*"]
)
async def test_content_comes_back_byte_for_byte_in_a_sandbox(server: Server, accept: str) -> None:
    id = await stored(server)
    answer = await server("GET", f"/Binary/{id}", headers={"accept": accept})
    assert (answer.status_code, answer.content) == (200, PDF)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == "attachment"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["etag"] == 'W/"1"'


@pytest.mark.parametrize("accept", ["application/fhir+json", "application/json", "application/fhir+json, */*;q=0.1"])
async def test_the_resource_is_served_where_fhirs_json_is_asked_for(server: Server, accept: str) -> None:
    id = await stored(server)
    answer = await server("GET", f"/Binary/{id}", headers={"accept": accept})
    assert answer.headers["content-type"].startswith(accept.partition(",")[0])
    binary = answer.json()
    assert (binary["contentType"], base64.b64decode(binary["data"])) == ("application/pdf", PDF)
    assert (await server("GET", f"/Binary/{id}?_format=json")).json() == binary


async def test_another_type_than_the_contents_is_not_acceptable(server: Server) -> None:
    id = await stored(server)
    assert (await server("GET", f"/Binary/{id}", headers={"accept": "image/png"})).status_code == 406


async def test_a_resource_in_fhirs_json_gives_its_content(server: Server) -> None:
    body = {"resourceType": "Binary", "contentType": "text/html", "data": base64.b64encode(b"<script>").decode()}
    for content_type in ("application/fhir+json", "application/json"):
        made = await server("POST", "/Binary", content=json.dumps(body), headers={"content-type": content_type})
        assert made.status_code == 201, made.text
        answer = await server("GET", f"/Binary/{made.json()['id']}", headers={"accept": "*/*"})
        assert (answer.content, answer.headers["content-type"]) == (b"<script>", "text/html")
        assert answer.headers["content-disposition"] == "attachment"


async def test_plain_json_that_is_no_binary_is_content(server: Server) -> None:
    content = b'{ "any": [1.50] }'
    id = await stored(server, content, "application/json")
    answer = await server("GET", f"/Binary/{id}?_pretty=true", headers={"accept": "*/*"})
    assert answer.content == content


async def test_a_binary_is_updated_with_content_under_its_id(server: Server, new_id: str) -> None:
    for version, content in enumerate((b"one", b"two"), 1):
        answer = await server("PUT", f"/Binary/{new_id}", content=content, headers={"content-type": "text/plain"})
        assert answer.headers["etag"] == f'W/"{version}"'
    headers = {"accept": "text/plain"}
    assert (await server("GET", f"/Binary/{new_id}", headers=headers)).content == b"two"
    assert (await server("GET", f"/Binary/{new_id}/_history/1", headers=headers)).content == b"one"
    assert (await server("GET", f"/Binary/{new_id}", headers=headers | {"if-none-match": 'W/"2"'})).status_code == 304


async def test_the_security_context_is_kept(server: Server, new_id: str) -> None:
    await server.put({"resourceType": "Patient", "id": new_id})
    headers = {"content-type": "text/plain", "x-security-context": f"Patient/{new_id}"}
    made = (await server("POST", "/Binary", content=b"x", headers=headers)).json()
    assert made["securityContext"] == {"reference": f"Patient/{new_id}"}
    answer = await server("GET", f"/Binary/{made['id']}", headers={"accept": "*/*"})
    assert answer.headers["x-security-context"] == f"Patient/{new_id}"


@pytest.mark.parametrize(
    ("range", "status", "content", "said"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=5-99", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-2", 416, None, "bytes */10"),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
async def test_a_range_of_content(
    server: Server, range: str, status: int, content: bytes | None, said: str | None
) -> None:
    """RFC 9110, 14"""
    id = await stored(server, b"0123456789", "text/plain")
    answer = await server("GET", f"/Binary/{id}", headers={"accept": "*/*", "range": range})
    assert answer.status_code == status
    assert content is None or answer.content == content
    assert answer.headers.get("content-range") == said


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 415), ({"content-type": "nonsense"}, 415), ({"content-type": "text/plain\tx"}, 415)],
)
async def test_content_needs_a_type(server: Server, headers: dict[str, str], status: int) -> None:
    assert (await server("POST", "/Binary", content=b"x", headers=headers)).status_code == status
